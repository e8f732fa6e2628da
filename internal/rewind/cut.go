package rewind

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Result is what a rewind did.
type Result struct {
	Tail Tail
	// Saved is the path of the tail as a binlog of its own; beside it, with
	// ".json" added, is a note of where it came from. Empty when there was
	// nothing to cut.
	Saved string
}

// note is written beside a saved tail.
type note struct {
	File         string    `json:"file"`
	Offset       int64     `json:"offset"`
	Size         int64     `json:"size"`
	Errant       string    `json:"errant"`
	Transactions int       `json:"transactions"`
	At           time.Time `json:"at"`
}

// Cut saves the tail of a member and cuts it off; at is the time to note. It
// fails without a change when Inspect does. Everything saved is on disk before
// anything is cut, and a crash in between leaves work that another call ends:
// it saves the tail again, beside the first copy, and cuts it. Cutting what is
// cut already does nothing.
func Cut(member Member, at time.Time) (Result, error) {
	tail, err := Inspect(member)
	if err != nil || tail.IsEmpty() {
		return Result{Tail: tail}, err
	}
	saved, err := save(member.Quarantine, tail, at)
	if err != nil {
		return Result{Tail: tail}, fmt.Errorf("save the tail: %w", err)
	}
	if err := truncate(tail.File, tail.Offset); err != nil {
		return Result{Tail: tail, Saved: saved}, fmt.Errorf("cut the tail: %w", err)
	}
	return Result{Tail: tail, Saved: saved}, nil
}

// save writes the tail with the head of its binlog before it.
func save(dir string, tail Tail, at time.Time) (string, error) {
	if dir == "" {
		return "", errors.New("no quarantine directory")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	binlog, err := os.Open(tail.File)
	if err != nil {
		return "", err
	}
	defer binlog.Close()
	path := filepath.Join(dir, fmt.Sprintf("%s.%s.tail-%d", filepath.Base(tail.File), at.UTC().Format("20060102T150405.000Z"), tail.Offset))
	section := io.NewSectionReader(binlog, tail.Offset, tail.Size-tail.Offset)
	if err := writeFile(path, io.MultiReader(bytes.NewReader(tail.head), section)); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(note{
		File:         filepath.Base(tail.File),
		Offset:       tail.Offset,
		Size:         tail.Size,
		Errant:       tail.Errant.String(),
		Transactions: tail.Transactions,
		At:           at.UTC(),
	}, "", "  ")
	if err != nil {
		return "", err
	}
	if err := writeFile(path+".json", bytes.NewReader(append(text, '\n'))); err != nil {
		return "", err
	}
	return path, errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// writeFile writes beside the final name and renames, so that what has that
// name is whole.
func writeFile(path string, from io.Reader) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, from)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func truncate(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Sync(), file.Close(), syncDir(filepath.Dir(path)))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
