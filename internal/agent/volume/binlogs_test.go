package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/pair"
)

var owner = Owner{Namespace: "ns", Pair: "shop", Member: "shop-0"}

// withBinlogs is complete data with two binary logs on a volume of their own.
func withBinlogs(t *testing.T) (*Volume, Identity) {
	t.Helper()
	v := Open(t.TempDir(), t.TempDir())
	if err := v.Lock(); err != nil {
		t.Fatal(err)
	}
	id := Identity{
		Owner:        owner,
		PairUID:      "u",
		Initializing: "data-0",
	}
	made(t, v, id)
	writeLogs(t, v, "1111", "22")
	id.Initializing = ""
	id.DataID = "data-0"
	id.SeparateBinlogs = true
	if err := v.WriteIdentity(id); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v.DataDir(), "ibdata1"), "data")
	return v, id
}

func made(t *testing.T, v *Volume, id Identity) {
	t.Helper()
	if err := errors.Join(v.WriteIdentity(id), v.NewBinlogs()); err != nil {
		t.Fatal(err)
	}
}

// writeLogs writes binary logs and an index with their full paths, as mysqld does.
func writeLogs(t *testing.T, v *Volume, contents ...string) {
	t.Helper()
	var index strings.Builder
	for i, content := range contents {
		path := filepath.Join(v.BinlogDir(), "binlog.00000"+string(rune('1'+i)))
		write(t, path, content)
		index.WriteString(path + "\n")
	}
	write(t, filepath.Join(v.BinlogDir(), "binlog.index"), index.String())
}

func TestDataIsNotUsedWithoutItsBinlogs(t *testing.T) {
	in := func(v *Volume, name string) string { return filepath.Join(v.BinlogDir(), name) }
	remove := func(paths ...string) error {
		var err error
		for _, path := range paths {
			err = errors.Join(err, os.RemoveAll(path))
		}
		return err
	}
	for name, c := range map[string]struct {
		happens func(*Volume) error
		want    error
	}{
		"nothing":       {func(*Volume) error { return nil }, nil},
		"the next log":  {func(v *Volume) error { writeLogs(t, v, "1111", "22", "3"); return nil }, nil},
		"the log grows": {func(v *Volume) error { writeLogs(t, v, "1111", "2222"); return nil }, nil},
		"old logs purged": {func(v *Volume) error {
			err := os.WriteFile(in(v, "binlog.index"), []byte(in(v, "binlog.000002")+"\n"), 0o600)
			return errors.Join(err, remove(in(v, "binlog.000001")))
		}, nil},
		"a crash while the index is replaced": {func(v *Volume) error {
			return os.Rename(in(v, "binlog.index"), in(v, "binlog.index_crash_safe"))
		}, nil},
		"an empty volume":        {func(v *Volume) error { return remove(v.BinlogDir(), v.binlogFile("")) }, ErrBinlogsLost},
		"an empty directory":     {func(v *Volume) error { return remove(v.BinlogDir()) }, ErrBinlogsLost},
		"no index":               {func(v *Volume) error { return remove(in(v, "binlog.index")) }, ErrBinlogsLost},
		"an empty index":         {func(v *Volume) error { return os.WriteFile(in(v, "binlog.index"), []byte("\n"), 0o600) }, ErrBinlogsLost},
		"the newest log removed": {func(v *Volume) error { return remove(in(v, "binlog.000002")) }, ErrBinlogsLost},
		"an older log removed":   {func(v *Volume) error { return remove(in(v, "binlog.000001")) }, ErrBinlogsLost},
		"an older state, by a log": {func(v *Volume) error {
			writeLogs(t, v, "1111")
			return nil
		}, ErrBinlogsLost},
		"an older state, by some bytes": {func(v *Volume) error { writeLogs(t, v, "1111", "2"); return nil }, ErrBinlogsLost},
		"logs of other data": {func(v *Volume) error {
			return v.writeJSON(v.binlogIdentityFile(), binlogIdentity{Owner: owner, DataID: "data-9"})
		}, ErrBinlogsLost},
		"logs of another member": {func(v *Volume) error {
			other := Owner{
				Namespace: "ns",
				Pair:      "shop",
				Member:    "shop-1",
			}
			return v.writeJSON(v.binlogIdentityFile(), binlogIdentity{Owner: other, DataID: "data-0"})
		}, ErrForeign},
		"logs of nobody":         {func(v *Volume) error { return remove(v.binlogIdentityFile()) }, ErrForeign},
		"an unreadable identity": {func(v *Volume) error { return os.WriteFile(v.binlogIdentityFile(), []byte("{"), 0o600) }, ErrUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			v, id := withBinlogs(t)
			if err := errors.Join(v.CheckBinlogs(id), v.MarkBinlogs("data-0")); err != nil {
				t.Fatal(err)
			}
			if err := c.happens(v); err != nil {
				t.Fatal(err)
			}
			if err := v.CheckBinlogs(id); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestTheVolumesAreThoseThatTheDataWasMadeWith(t *testing.T) {
	v, id := withBinlogs(t)
	if err := Open(v.Root(), "").CheckBinlogs(id); !errors.Is(err, ErrBinlogsElsewhere) {
		t.Errorf("without the volume: %v", err)
	}
	id.SeparateBinlogs = false
	if err := v.CheckBinlogs(id); !errors.Is(err, ErrBinlogsElsewhere) {
		t.Errorf("with a volume that was not there before: %v", err)
	}
	if err := Open(v.Root(), "").CheckBinlogs(id); err != nil {
		t.Errorf("one volume from the beginning: %v", err)
	}
}

func TestTheNoteOfTheEndOfTheBinlogsIsNeverTakenBack(t *testing.T) {
	v, id := withBinlogs(t)
	if err := v.MarkBinlogs("data-0"); err != nil {
		t.Fatal(err)
	}
	writeLogs(t, v, "1") // as after RESET BINARY LOGS AND GTIDS
	if err := v.MarkBinlogs("data-0"); err != nil {
		t.Fatal(err)
	}
	if err := v.CheckBinlogs(id); !errors.Is(err, ErrBinlogsLost) {
		t.Errorf("after a reset: %v", err)
	}
	// A rewind cuts a part off on purpose.
	if err := errors.Join(v.ForgetBinlogMark("data-0"), v.ForgetBinlogMark("data-0"), v.CheckBinlogs(id)); err != nil {
		t.Error(err)
	}
}

// Either volume alone may be given back from a snapshot: then data and logs are of different moments.
func TestVolumesOfDifferentMomentsAreRecognized(t *testing.T) {
	copyOf := func(root string) string {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(root)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	v, id := withBinlogs(t)
	mark := func(logs ...string) {
		writeLogs(t, v, logs...)
		if err := v.MarkBinlogs("data-0"); err != nil {
			t.Fatal(err)
		}
	}
	fresh := copyOf(v.Root())
	mark("1111", "22")
	oldData := copyOf(v.Root())
	oldLogs := copyOf(v.BinlogRoot())
	mark("1111", "2222")
	mark("1111", "2222", "3")
	for name, c := range map[string]struct {
		data, logs string
		want       error
	}{
		"both of now":             {v.Root(), v.BinlogRoot(), nil},
		"both of one moment":      {oldData, oldLogs, nil},
		"older logs":              {v.Root(), oldLogs, ErrBinlogsLost},
		"older data":              {oldData, v.BinlogRoot(), ErrBinlogsLost},
		"data of before any note": {fresh, v.BinlogRoot(), ErrBinlogsLost},
	} {
		if err := Open(c.data, c.logs).CheckBinlogs(id); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// A note that a crash cut off, or a full volume, is finished before the next one begins.
func TestANoteIsFinished(t *testing.T) {
	v, id := withBinlogs(t)
	if err := v.MarkBinlogs("data-0"); err != nil {
		t.Fatal(err)
	}
	second := v.binlogNumberFile()
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	if err := v.CheckBinlogs(id); err != nil {
		t.Errorf("one number behind: %v", err)
	}
	for i := range 3 {
		writeLogs(t, v, "1111", "2222", strings.Repeat("3", 1+i))
		if err := errors.Join(v.MarkBinlogs("data-0"), v.CheckBinlogs(id)); err != nil {
			t.Error(err)
		}
	}
}

// What the volume holds of other data is saved before room is made, and data that is there keeps
// its logs.
func TestRoomIsMadeForNewBinlogs(t *testing.T) {
	v, id := withBinlogs(t)
	id.Void = true
	id.Initializing = "copy"
	if err := v.WriteIdentity(id); err != nil {
		t.Fatal(err)
	}
	if err := v.NewBinlogs(); err == nil {
		t.Error("the logs of data that is there were given up")
	}
	if n, err := v.Quarantine("data-0"); err != nil || n != 3 {
		t.Fatalf("quarantine: %d files, %v", n, err)
	}
	if err := errors.Join(v.GiveUpData(), v.NewBinlogs()); err != nil {
		t.Fatal(err)
	}
	if full, err := hasContent(v.BinlogDir()); err != nil || full {
		t.Errorf("the directory has content: %t, %v", full, err)
	}
	writeLogs(t, v, "half made")
	if n, err := v.Quarantine("data-0"); err != nil || n != 0 {
		t.Errorf("the logs of a half made copy were saved: %d files, %v", n, err)
	}
	saved := filepath.Join(v.QuarantineDir(), "data-0", "binlog.000002")
	if text, err := os.ReadFile(saved); err != nil || string(text) != "22" {
		t.Errorf("%s holds %q, %v", saved, text, err)
	}
	if !strings.HasPrefix(saved, v.BinlogRoot()) {
		t.Errorf("%s is not on the volume of the binary logs, where hard links take no room", saved)
	}
}

// The volume of the data is lost and that of the logs is not: they are the only record of what the
// data held.
func TestBinlogsOfLostDataAreSaved(t *testing.T) {
	v, _ := withBinlogs(t)
	again := Open(t.TempDir(), v.BinlogRoot())
	fresh := Identity{Owner: owner}
	if err := again.CheckBinlogs(fresh); err != nil {
		t.Fatalf("an empty volume beside logs of the member: %v", err)
	}
	fresh.Initializing = "copy"
	made(t, again, fresh)
	if _, err := os.Stat(filepath.Join(again.QuarantineDir(), "data-0", "binlog.000001")); err != nil {
		t.Error(err)
	}
	if list, err := again.Saved(); err != nil || len(list) != 1 {
		t.Errorf("saved %v, %v", list, err)
	}
}

func TestBothVolumesAreLocked(t *testing.T) {
	v, _ := withBinlogs(t)
	other := Open(t.TempDir(), v.BinlogRoot())
	if err := other.Lock(); !errors.Is(err, ErrInUse) {
		t.Errorf("the same binary logs for another process: %v", err)
	}
	if err := Open(other.Root(), "").Lock(); err != nil {
		t.Errorf("the lock of the data was kept: %v", err)
	}
}

func TestOneVolumeKnowsNothingOfMarks(t *testing.T) {
	v := Open(t.TempDir(), "")
	write(t, filepath.Join(v.DataDir(), "ibdata1"), "data")
	id := Identity{Owner: owner, DataID: "data-0"}
	if err := errors.Join(v.NewBinlogs(), v.MarkBinlogs(pair.DataID("data-0")), v.CheckBinlogs(id)); err != nil {
		t.Error(err)
	}
	if v.BinlogDir() != v.DataDir() || v.BinlogRoot() != v.Root() || v.SeparateBinlogDir() != "" {
		t.Errorf("binary logs in %s", v.BinlogDir())
	}
}
