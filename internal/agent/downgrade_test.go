package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataSaysByWhichVersionItWasUsed(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"made and upgraded": {
			`{"file_format":"1","upgrade_history":[{"date":"2025-01-02 03:04:05","version":"8.4.3","maturity":"LTS","initialize":true},{"date":"2026-01-02 03:04:05","version":"9.7.4-2","maturity":"LTS"}]}`,
			"9.7.4-2",
		},
		"no entries":          {`{"file_format":"1","upgrade_history":[]}`, ""},
		"a format of a later": {`<history/>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, upgradeHistory), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := dataVersion(dir); err != nil || got != c.want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if got, err := dataVersion(t.TempDir()); err != nil || got != "" {
		t.Errorf("without the file: %q, %v", got, err)
	}
}

func TestADowngradeIsRefusedWithTheWayOut(t *testing.T) {
	for _, c := range []struct {
		data, program string
		refused       bool
	}{
		{"9.7.4-2", "8.4.6", true},
		{"9.7.4", "9.6.0", true},
		{"9.7.4", "9.7.2", false},
		{"8.4.3", "9.7.4", false},
		{"9.7.4", "10.0.1", false},
		{"", "8.4.3", false},
		{"unknown", "8.4.3", false},
	} {
		err := refuseDowngrade(c.data, c.program)
		if (err != nil) != c.refused {
			t.Errorf("data of %q with %s: %v", c.data, c.program, err)
		}
		if err != nil && !strings.Contains(err.Error(), "spec.mysql.image") {
			t.Errorf("%v does not say what to do", err)
		}
	}
}
