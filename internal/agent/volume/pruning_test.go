package volume

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheQuarantineIsPruned(t *testing.T) {
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	ages := map[string]time.Duration{ // each takes 100 bytes
		"data-a/binlog.000001":  90 * day,
		"data-b/binlog.000001":  60 * day,
		"binlog.000002.tail-9":  80 * day,
		"repairs/op.jsonl":      70 * day,
		"data-young/binlog.000": 5 * day,
	}
	cases := map[string]struct {
		limit   int64
		marked  []string
		removed []string
		left    int64
	}{
		"nothing while it fits": {limit: 500, left: 500},
		"the oldest first":      {limit: 399, removed: []string{"data-a", "binlog.000002.tail-9"}, left: 300},
		"never what is young":   {limit: 0, removed: []string{"data-a", "binlog.000002.tail-9", "repairs/op.jsonl", "data-b"}, left: 100},
		"never what is marked, directory": {
			limit:   0,
			marked:  []string{"data-a/keep"},
			removed: []string{"binlog.000002.tail-9", "repairs/op.jsonl", "data-b"},
			left:    200,
		},
		"never what is marked, file": {
			limit:   0,
			marked:  []string{"repairs/op.jsonl.keep"},
			removed: []string{"data-a", "binlog.000002.tail-9", "data-b"},
			left:    200,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v := Open(t.TempDir(), "")
			for path := range ages {
				write(t, filepath.Join(v.QuarantineDir(), path), strings.Repeat("x", 100))
			}
			for _, path := range c.marked {
				write(t, filepath.Join(v.QuarantineDir(), path), "")
			}
			for path, age := range ages {
				entry := filepath.Join(v.QuarantineDir(), path)
				if dir := filepath.Dir(path); dir != "." && dir != "repairs" {
					entry = filepath.Dir(entry)
				}
				if err := os.Chtimes(entry, now.Add(-age), now.Add(-age)); err != nil {
					t.Fatal(err)
				}
			}
			list, err := v.Saved()
			if err != nil {
				t.Fatal(err)
			}
			due, left := DueForRemoval(list, c.limit, now.Add(-30*day))
			var removed []string
			for _, one := range due {
				if err := v.RemoveSaved(one); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(one.Path); !os.IsNotExist(err) {
					t.Errorf("%s is still there", one.Path)
				}
				name, _ := filepath.Rel(v.QuarantineDir(), one.Path)
				removed = append(removed, name)
			}
			if diff := cmp.Diff(c.removed, removed); diff != "" || left != c.left {
				t.Errorf("left %d, want %d; removed (-want +got):\n%s", left, c.left, diff)
			}
			for path := range ages {
				top := strings.Split(path, "/")[0]
				if !slices.Contains(c.removed, top) && !slices.Contains(c.removed, path) {
					if _, err := os.Stat(filepath.Join(v.QuarantineDir(), path)); err != nil {
						t.Errorf("%s: %v", path, err)
					}
				}
			}
		})
	}
	if list, err := Open(t.TempDir(), "").Saved(); err != nil || len(list) > 0 {
		t.Errorf("without a quarantine: %v, %v", list, err)
	}
}

func TestNothingElseIsRemovedFromTheVolume(t *testing.T) {
	v := Open(t.TempDir(), "")
	write(t, filepath.Join(v.DataDir(), "ibdata1"), "x")
	write(t, filepath.Join(v.QuarantineDir(), "data-a", "binlog.000001"), "x")
	for _, path := range []string{v.DataDir(), v.QuarantineDir(), "/", filepath.Join(v.QuarantineDir(), "..", "mysql")} {
		if err := v.RemoveSaved(Saved{Path: path}); err == nil {
			t.Errorf("%s was removed", path)
		}
	}
	for _, path := range []string{v.DataDir(), filepath.Join(v.QuarantineDir(), "data-a")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
