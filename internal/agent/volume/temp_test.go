package volume

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheDirectoryOfTemporaryFilesIsEmptied(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, v *Volume){
		"a new volume": func(*testing.T, *Volume) {},
		"files and directories that were left": func(t *testing.T, v *Volume) {
			write(t, filepath.Join(v.TempDir(), "MLfd=1"), "rows")
			write(t, filepath.Join(v.TempDir(), "of-someone", "file"), "rows")
		},
		"a file in its place": func(t *testing.T, v *Volume) { write(t, v.TempDir(), "rows") },
		"a link to the data in its place": func(t *testing.T, v *Volume) {
			if err := os.Symlink(v.DataDir(), v.TempDir()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := Open(t.TempDir(), "")
			write(t, filepath.Join(v.DataDir(), "ibdata1"), "data")
			prepare(t, v)
			if err := v.EmptyTemp(); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(v.TempDir())
			if err != nil || !info.IsDir() {
				t.Fatalf("%v, %v, want a directory", info, err)
			}
			if full, err := hasContent(v.TempDir()); full || err != nil {
				t.Errorf("content is left: %t, %v", full, err)
			}
			if full, err := v.HasData(); !full || err != nil {
				t.Errorf("the data is gone: %t, %v", full, err)
			}
		})
	}
}
