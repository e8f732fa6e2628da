package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/authority"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnEmptyVolumeHasNoIdentity(t *testing.T) {
	v := Open(t.TempDir(), "")
	if err := v.Lock(); err != nil {
		t.Fatal(err)
	}
	if id, found, err := v.ReadIdentity(); err != nil || found || id != (Identity{}) {
		t.Errorf("got %+v, %t, %v", id, found, err)
	}
	if _, found, err := v.ReadMemory(); err != nil || found {
		t.Errorf("memory: %t, %v", found, err)
	}
}

func TestContentWithoutAnIdentityIsForeign(t *testing.T) {
	v := Open(t.TempDir(), "")
	write(t, filepath.Join(v.DataDir(), "ibdata1"), "someone's")
	if err := v.Lock(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.ReadIdentity(); !errors.Is(err, ErrForeign) {
		t.Errorf("want ErrForeign, got %v", err)
	}
}

func TestTheLockIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	first := Open(dir, "")
	second := Open(dir, "")
	if err := first.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := first.Lock(); err != nil {
		t.Errorf("the lock is not idempotent: %v", err)
	}
	if err := second.Lock(); !errors.Is(err, ErrInUse) {
		t.Errorf("want ErrInUse, got %v", err)
	}
}

func TestDamagedFilesAreNotTakenForMissing(t *testing.T) {
	v := Open(t.TempDir(), "")
	write(t, v.identityFile(), "{")
	write(t, v.epochFile(), "")
	if _, _, err := v.ReadIdentity(); !errors.Is(err, ErrUnreadable) {
		t.Errorf("identity: want ErrUnreadable, got %v", err)
	}
	if _, _, err := v.ReadMemory(); !errors.Is(err, ErrUnreadable) {
		t.Errorf("memory: want ErrUnreadable, got %v", err)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	v := Open(t.TempDir(), "")
	id := Identity{Owner: Owner{Namespace: "ns", Pair: "shop", Member: "shop-0"}, PairUID: "u", DataID: "d"}
	m := Memory{Durable: authority.Durable{DataID: "d", Known: 7, Ceased: 6, OpenAt: 7, ReceiverStopped: 5}}
	if err := v.WriteIdentity(id); err != nil {
		t.Fatal(err)
	}
	if err := v.WriteMemory(m); err != nil {
		t.Fatal(err)
	}
	gotID, _, err := v.ReadIdentity()
	if err != nil {
		t.Fatal(err)
	}
	gotM, _, err := v.ReadMemory()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(id, gotID) + cmp.Diff(m, gotM); diff != "" {
		t.Error(diff)
	}
}

func TestAFullVolumeStillTakesTheEpoch(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("SKIPPED: a small file system for this test takes the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	v := Open(dir, "")
	if err := v.WriteMemory(Memory{Durable: authority.Durable{Known: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := v.KeepReserve(); err != nil {
		t.Fatal(err)
	}
	_ = os.WriteFile(filepath.Join(dir, "binlog"), make([]byte, 2<<20), 0o600) // takes all there is
	if err := WriteFile(filepath.Join(dir, "more"), make([]byte, 4096), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the volume is not full: %v", err)
	}
	if err := v.WriteMemory(Memory{Durable: authority.Durable{Known: 2}}); err != nil {
		t.Fatalf("a full volume does not take the epoch: %v", err)
	}
	if m, _, err := v.ReadMemory(); err != nil || m.Known != 2 {
		t.Errorf("known epoch %d, %v", m.Known, err)
	}
}

func TestDataIsNeverOverwritten(t *testing.T) {
	v := Open(t.TempDir(), "")
	write(t, filepath.Join(v.DataDir(), "ibdata1"), "old")
	write(t, filepath.Join(v.NewDataDir(), "ibdata1"), "new")
	if err := v.InstallNew(); err == nil {
		t.Error("a data directory was replaced")
	}
	if err := v.WriteIdentity(Identity{DataID: "d"}); err != nil {
		t.Fatal(err)
	}
	if err := v.GiveUpData(); err == nil {
		t.Error("data was removed that the identity does not call void")
	}
	if text, _ := os.ReadFile(filepath.Join(v.DataDir(), "ibdata1")); string(text) != "old" {
		t.Errorf("the data is %q now", text)
	}
	if err := v.WriteIdentity(Identity{DataID: "d", Void: true}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v.DataDir(), "binlog.000001"), "tail")
	if n, err := v.Quarantine("d"); err != nil || n != 1 {
		t.Fatalf("quarantine: %d, %v", n, err)
	}
	if err := v.GiveUpData(); err != nil {
		t.Fatal(err)
	}
	if err := v.InstallNew(); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(filepath.Join(v.QuarantineDir(), "d", "binlog.000001")); string(text) != "tail" {
		t.Errorf("the quarantine holds %q", text)
	}
}

func TestTheVolumeKnowsTheNodeThatWroteLast(t *testing.T) {
	v := Open(t.TempDir(), "")
	if err := v.Beat(); err == nil {
		t.Error("a beat before any node took the volume")
	}
	for _, node := range []string{"", "node-a", "node-b"} {
		if node != "" {
			if err := errors.Join(v.TakeNode(node), v.Beat(), v.Beat()); err != nil {
				t.Fatal(err)
			}
		}
		if last, err := v.LastNode(); err != nil || last != node {
			t.Errorf("last node %q, %v, want %q", last, err, node)
		}
	}
}
