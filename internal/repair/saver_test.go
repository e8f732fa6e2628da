package repair

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// fileSaver keeps rows in a file, a JSON object a line.
type fileSaver struct{ file *os.File }

var _ Saver = fileSaver{}

func newFileSaver(t *testing.T) (fileSaver, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return fileSaver{file}, path
}

// Save implements Saver.
func (s fileSaver) Save(_ context.Context, rows []SavedRow) error {
	encoder := json.NewEncoder(s.file)
	for _, row := range rows {
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	return nil
}
