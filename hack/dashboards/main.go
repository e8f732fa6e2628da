// Command dashboards writes the Grafana dashboards of the chart, charts/dbpair/dashboards/*.json, from the tables of panels
// in fleet.go and pair.go. It is idempotent; `make check` runs it and refuses a difference. Tests of the packages that
// register metrics compare every query with what is registered (internal/metricstest).
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dashboards <root of the repository>")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

// write renders each dashboard and writes it when it differs.
func write(root string) error {
	for name, d := range map[string]dashboard{"fleet": fleet(), "pair": pair()} {
		text, err := render(d)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		path := filepath.Join(root, "charts/dbpair/dashboards", name+".json")
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func render(d dashboard) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(d)
	return out.Bytes(), err
}
