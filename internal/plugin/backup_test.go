package plugin

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// storedObject is the object of a backup of a pair.
func storedObject(p *v1alpha1.DatabasePair, id string) *v1alpha1.DatabasePairBackup {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	return &v1alpha1.DatabasePairBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name:      p.Name + "-" + strings.ToLower(id),
			Namespace: p.Namespace,
			Labels:    map[string]string{v1alpha1.LabelBackupOf: p.Name},
		},
		Spec: v1alpha1.StoredBackupSpec{
			PairRef:  v1alpha1.BackupPairReference{Name: p.Name, UID: string(p.UID)},
			BackupID: id,
		},
		Status: v1alpha1.StoredBackupStatus{
			Location:       "file:///backups/default.shop/uid",
			CompletionTime: &at,
			From:           "shop-1",
			Verified:       v1alpha1.BackupReadBack,
		},
	}
}

func TestBackupsListsTheObjectsOfThePair(t *testing.T) {
	const older, newer, former = "20260102T030405Z-00000001", "20260103T030405Z-00000002", "20250102T030405Z-00000003"
	p := onVolume()
	other := storedObject(p, former)
	other.Spec.PairRef.UID = "of-a-former-pair"
	w := newWorld(t, p, storedObject(p, older), storedObject(p, newer), other)
	out, _, err := w.call(t, "", "backups", p.Name)
	if err != nil {
		t.Fatal(err)
	}
	first, second := strings.Index(out, newer), strings.Index(out, older)
	if first < 0 || second < first || strings.Contains(out, former) {
		t.Errorf("not these two, the newest first:\n%s", out)
	}
	for _, want := range []string{"file:///backups/default.shop/uid", "2026-01-02T03:04:05Z", "shop-1", "ReadBack", "never"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// The operator makes the objects a moment after it has written the status, and an earlier version makes none.
func TestBackupsListsTheStatusWhileTheObjectsAreOlder(t *testing.T) {
	const older, newer = "20260102T030405Z-00000001", "20260103T030405Z-00000002"
	p := onVolume()
	at := metav1.NewTime(time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC))
	p.Status.Backup = &v1alpha1.BackupStatus{
		LastSuccessTime: &at,
		Last: &v1alpha1.BackupResult{
			ID:          newer,
			Location:    "file:///backups/default.shop/uid",
			Stored:      []v1alpha1.StoredBackup{{ID: newer, Finished: at, Proven: &at}, {ID: older, Finished: at}},
			StoredTotal: 3,
		},
	}
	w := newWorld(t, p, storedObject(p, older))
	out, _, err := w.call(t, "", "backups", p.Name)
	if err != nil || !strings.Contains(out, newer) || !strings.Contains(out, "and 1 older ones") || !strings.Contains(out, "as of") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestExpireNamesTheBackup(t *testing.T) {
	const id = "20260102T030405Z-0a1b2c3d"
	p := onVolume()
	w := newWorld(t, p)
	if _, _, err := w.call(t, "", "expire", p.Name, "--force"); err == nil || !strings.Contains(err.Error(), "--force needs the ID") {
		t.Errorf("got %v", err)
	}
	for _, args := range [][]string{{"expire", p.Name}, {"expire", p.Name, id, "--force"}, {"backup", p.Name, "--pin"}} {
		if _, _, err := w.call(t, "", args...); err != nil {
			t.Fatal(err)
		}
	}
	var made v1alpha1.DatabasePairOperationList
	if err := w.client.List(t.Context(), &made); err != nil {
		t.Fatal(err)
	}
	rule, one, pinned := 0, 0, 0
	for i := range made.Items {
		spec := &made.Items[i].Spec
		switch {
		case spec.Type == v1alpha1.OperationExpire && spec.Expire == nil:
			rule++
		case spec.Type == v1alpha1.OperationExpire && spec.Expire.BackupID == id && spec.Expire.Force:
			one++
		case spec.Type == v1alpha1.OperationBackup && spec.Backup.Pin:
			pinned++
		}
	}
	if rule != 1 || one != 1 || pinned != 1 {
		t.Errorf("made %+v", made.Items)
	}
}
