package volume

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func relayNote() SavedRelayLog {
	return SavedRelayLog{
		Operation: "op-1", Epoch: 8, DataID: "d",
		GTIDs:   "00000000-0000-0000-0000-00000000000a:5-7",
		SavedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestASavedRelayLogOutlivesTheOriginal(t *testing.T) {
	v := Open(t.TempDir(), "")
	for _, name := range []string{"relay.000001", "relay.000002", "relay.index", "binlog.000001"} {
		write(t, filepath.Join(v.DataDir(), name), "content of "+name)
	}
	// A crash has left the beginning of a copy.
	write(t, filepath.Join(v.QuarantineDir(), "unapplied-new", "relay.000001"), "half")
	saved, err := v.SaveRelayLog(relayNote())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"relay.000001", "relay.000002", "relay.index"}; !slices.Equal(saved.Files, want) {
		t.Errorf("files %v, want %v", saved.Files, want)
	}
	for _, name := range saved.Files {
		if err := os.Remove(filepath.Join(v.DataDir(), name)); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(saved.Directory, name)); err != nil || string(text) != "content of "+name {
			t.Errorf("saved %s: %q, %v", name, text, err)
		}
	}
	write(t, filepath.Join(v.DataDir(), "relay.000001"), "new")
	second, err := v.SaveRelayLog(relayNote())
	if err != nil || second.Directory == saved.Directory {
		t.Fatalf("again: %+v, %v, want another directory", second, err)
	}
	saved.Discarded, saved.Transactions, saved.DiscardedAt = saved.GTIDs, 3, saved.SavedAt
	if err := v.NoteDiscarded(saved); err != nil {
		t.Fatal(err)
	}
	list, err := v.SavedRelayLogs()
	if err != nil || len(list) != 2 {
		t.Fatalf("list %+v, %v", list, err)
	}
	if diff := cmp.Diff(saved, list[0]); diff != "" {
		t.Errorf("the note (-want +got):\n%s", diff)
	}
	if list[1].Discarded != "" {
		t.Errorf("the second copy counts as discarded: %+v", list[1])
	}
}

func TestARelayLogThatIsNotThereIsNotSaved(t *testing.T) {
	v := Open(t.TempDir(), "")
	write(t, filepath.Join(v.DataDir(), "binlog.000001"), "x")
	if saved, err := v.SaveRelayLog(relayNote()); err == nil {
		t.Errorf("saved %+v", saved)
	}
	if list, err := v.SavedRelayLogs(); err != nil || len(list) != 0 {
		t.Errorf("list %+v, %v", list, err)
	}
	// What people put there is not taken for a note.
	write(t, filepath.Join(v.QuarantineDir(), "unapplied-mine", "note.json"), "not json")
	write(t, filepath.Join(v.QuarantineDir(), "unapplied-other", "readme"), "x")
	if list, err := v.SavedRelayLogs(); err != nil || len(list) != 0 {
		t.Errorf("list %+v, %v", list, err)
	}
}
