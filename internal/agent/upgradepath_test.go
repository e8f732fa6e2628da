package agent

import (
	"errors"
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

func TestUpgradePaths(t *testing.T) {
	for name, c := range map[string]struct {
		data, program string
		// refused is a part of the reason; empty when the step is allowed.
		refused string
	}{
		"back from one series with long-term support to the former": {"9.7.4-2", "8.4.6", "MySQL 9.7 or newer"},
		"back from one to an innovation release before it":          {"9.7.4", "9.6.0", "older series"},
		"back from an innovation release to another":                {"9.2.0", "9.1.0", "older series"},
		"back from an innovation release to the former series":      {"9.2.0", "8.4.9", "MySQL 9.2 or newer"},
		"back within a series with long-term support":               {"9.7.4", "9.7.2", ""},
		"back within the former series":                             {"8.4.6-6.1", "8.4.3", ""},
		"back within an innovation series":                          {"9.0.1", "9.0.0", "MySQL 9.0.1 or newer"},
		"on within an innovation series":                            {"9.0.0", "9.0.1", ""},
		"the same release":                                          {"9.2.0", "9.2.0", ""},
		"from one series with long-term support to the next":        {"8.4.3", "9.7.4", ""},
		"to an innovation release before the next":                  {"8.4.3", "9.2.0", ""},
		"from one innovation release to another":                    {"9.0.1", "9.5.0", ""},
		"from an innovation release to the next long-term series":   {"9.6.0", "9.7.0", ""},
		"from the newest long-term series to a later release":       {"9.7.4", "26.7.0", ""},
		"over a series with long-term support":                      {"8.4.3", "26.7.0", "MySQL 9.7 first"},
		"over one from an innovation release":                       {"9.2.0", "9.8.0", "MySQL 9.7 first"},
		"over two":                                                  {"8.0.36", "10.1.0", "MySQL 8.4 first"},
		"from a bugfix series to the next long-term series":         {"8.0.36", "8.4.6", ""},
		"within a series that is not known":                         {"26.7.1", "26.7.0", ""},
		"data that does not say its version":                        {"", "8.4.3", ""},
		"data whose version makes no sense":                         {"unknown", "8.4.3", ""},
		"a mysqld whose version makes no sense":                     {"9.7.4", "unknown", ""},
		"a version without a patch":                                 {"9.7", "8.4", "older series"},
	} {
		t.Run(name, func(t *testing.T) {
			err := errors.Join(refuseDowngrade(c.data, c.program), refuseSkippedSeries(c.data, c.program))
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.refused != "" && err == nil:
				t.Error("allowed")
			case c.refused != "" && (!strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "spec.mysql.image")):
				t.Errorf("%v: does not say %q, or what to do", err, c.refused)
			}
		})
	}
}
