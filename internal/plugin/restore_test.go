package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// onVolume is a pair with backups.
func onVolume() *v1alpha1.DatabasePair {
	p := healthy()
	p.Spec.Hibernate = true
	p.Spec.Backup = &v1alpha1.BackupSpec{
		Destination: v1alpha1.BackupDestination{Volume: &v1alpha1.VolumeDestination{ClaimName: "backups"}},
	}
	return p
}

func TestRestoreMakesAPairThatBeginsWithABackup(t *testing.T) {
	p := onVolume()
	w := newWorld(t, p)
	const id = "20260102T030405Z-0a1b2c3d"
	printed, _, err := w.call(t, "", "restore", p.Name, "--as", "shop2", "--backup", id, "--dry-run")
	if err != nil {
		t.Fatal(err)
	}
	name := types.NamespacedName{Namespace: p.Namespace, Name: "shop2"}
	got := &v1alpha1.DatabasePair{}
	if err := w.client.Get(t.Context(), name, got); err == nil {
		t.Error("a dry run made the pair")
	}
	if out, _, err := w.call(t, "", "restore", p.Name, "--as", "shop2", "--backup", id); err != nil || !strings.Contains(out, "shop2 created") {
		t.Fatalf("%q, %v", out, err)
	}
	if err := w.client.Get(t.Context(), name, got); err != nil {
		t.Fatal(err)
	}
	want := p.Spec.DeepCopy()
	want.Hibernate = false
	want.Bootstrap = &v1alpha1.BootstrapSpec{Backup: &v1alpha1.BackupSource{
		Destination: p.Spec.Backup.Destination,
		Pair: v1alpha1.BackedUpPair{
			Namespace: p.Namespace,
			Name:      p.Name,
			UID:       string(p.UID),
		},
		BackupID: id,
	}}
	if diff := cmp.Diff(*want, got.Spec); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	dry := &v1alpha1.DatabasePair{}
	if err := yaml.UnmarshalStrict([]byte(printed), dry); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got.Spec, dry.Spec); diff != "" || dry.Name != "shop2" || strings.Contains(printed, "status") {
		t.Errorf("the manifest (-made +printed):\n%s\n%s", diff, printed)
	}
	const moment = "2026-01-02T03:04:05+02:00"
	if said, _, err := w.call(t, "", "restore", p.Name, "--as", "shop3", "--time", moment); err != nil || strings.Contains(said, "alone") {
		t.Fatal(said, err)
	}
	then := &v1alpha1.DatabasePair{}
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: p.Namespace, Name: "shop3"}, then); err != nil {
		t.Fatal(err)
	}
	if source := then.Spec.Bootstrap.Backup; source.Target == nil || source.Target.Time != moment || source.BackupID != v1alpha1.LatestBackup {
		t.Errorf("at a moment: %+v", source)
	}
	_, _, err = w.call(t, "", "restore", p.Name, "--as", "shop4", "--time", moment, "--gtid", "a:1")
	if err == nil || !strings.Contains(err.Error(), "none of the others can be") {
		t.Errorf("two targets: %v", err)
	}
	if _, _, err := w.call(t, "", "restore", p.Name, "--as", "shop2"); err == nil || !strings.Contains(err.Error(), "there is a pair shop2") {
		t.Errorf("over a pair that is there: %v", err)
	}
}

func TestRestoreOfAPairThatIsGone(t *testing.T) {
	p := onVolume()
	p.Namespace = "old"
	p.Spec.Backup.Encryption = &v1alpha1.BackupEncryption{Recipients: []string{"age1"}}
	p.APIVersion = v1alpha1.GroupVersion.String()
	p.Kind = "DatabasePair"
	text, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for says, args := range map[string][]string{
		"give the manifest by -f":      {p.Name, "--as", "new"},
		"--as is missing":              {p.Name, "-f", file},
		"and not of DatabasePair":      {"other", "--as", "new", "-f", file},
		"the backups are encrypted":    {p.Name, "--as", "new", "-f", file},
		"write SECRET/KEY":             {p.Name, "--as", "new", "-f", file, "--identity", "key"},
		"--filename: open /none/there": {p.Name, "--as", "new", "-f", "/none/there"},
	} {
		if _, _, err := w.call(t, "", append([]string{"restore"}, args...)...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("restore %q: %v, want %q", args, err, says)
		}
	}
	out, _, err := w.call(t, string(text), "restore", p.Name, "--as", "new", "-f", "-", "--identity", "key/identity.txt", "--dry-run")
	if err != nil {
		t.Fatal(err)
	}
	got := &v1alpha1.DatabasePair{}
	if err := yaml.UnmarshalStrict([]byte(out), got); err != nil {
		t.Fatal(err)
	}
	source := got.Spec.Bootstrap.Backup
	if source.Pair.Namespace != "old" || source.Pair.UID != string(p.UID) || source.BackupID != v1alpha1.LatestBackup ||
		source.IdentitySecretRef == nil || source.IdentitySecretRef.Key != "identity.txt" {
		t.Errorf("%+v", source)
	}
}

func TestARestoreSaysThatItLeavesAnArchiveOut(t *testing.T) {
	p := onVolume()
	p.Spec.Backup.Binlog.Enabled = true
	w := newWorld(t, p)
	for name, tc := range map[string]struct {
		args []string
		says bool
	}{
		"alone": {nil, true},
		"end":   {[]string{"--time", v1alpha1.LatestMoment}, false},
	} {
		out, _, err := w.call(t, "", append([]string{"restore", p.Name, "--as", name}, tc.args...)...)
		if err != nil || strings.Contains(out, "--time Latest") != tc.says {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}
