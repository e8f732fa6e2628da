// Command chart-sync writes the parts of charts/dbpair that come from config/: the CRDs, the operator's
// rules, the admission policy and the alerts. It is idempotent; `make check` runs it and refuses a difference, so
// that the chart and config/ can never say two things.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: chart-sync <root of the repository>")
		os.Exit(2)
	}
	if err := sync(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chart-sync:", err)
		os.Exit(1)
	}
}

// sync renders each part and writes it when it differs.
func sync(root string) error {
	parts := []struct {
		target string
		render func(root string) (string, error)
	}{
		{"crds.yaml", renderCRDs},
		{"_rules.tpl", renderRules},
		{"userroles.yaml", renderUserRoles},
		{"admission.yaml", renderAdmission},
		{"alerts.yaml", renderAlerts},
	}
	for _, p := range parts {
		text, err := p.render(root)
		if err != nil {
			return fmt.Errorf("render %s: %w", p.target, err)
		}
		if err := write(filepath.Join(root, "charts/dbpair/templates", p.target), text); err != nil {
			return err
		}
	}
	return nil
}

func write(path, text string) error {
	old, err := os.ReadFile(path)
	if err == nil && string(old) == text {
		return nil
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
