package repair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File saves rows into one file, a JSON object a line, fsynced at each Save.
// Close it after the repair.
type File struct {
	file *os.File
}

// CreateFile makes the file, which must not be there yet, and the folder above
// it if need be.
func CreateFile(path string) (*File, error) {
	const private = 0o700
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, private); err != nil {
		return nil, fmt.Errorf("make the folder for saved rows: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the file for saved rows: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("make the file for saved rows: %w", err), file.Close())
	}
	return &File{file: file}, nil
}

func syncDir(dir string) error {
	handle, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(handle.Sync(), handle.Close())
}

// Save implements Saver.
func (f *File) Save(_ context.Context, rows []SavedRow) error {
	if err := WriteRows(f.file, rows); err != nil {
		return err
	}
	return f.file.Sync()
}

// WriteRows writes rows as a JSON object a line.
func WriteRows(to io.Writer, rows []SavedRow) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	for _, row := range rows {
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the file.
func (f *File) Close() error { return f.file.Close() }
