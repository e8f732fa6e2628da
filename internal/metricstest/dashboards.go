package metricstest

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Dashboard is what tests read of a dashboard of Grafana.
type Dashboard struct {
	// File is its name in charts/dbpair/dashboards.
	File       string  `json:"-"`
	UID        string  `json:"uid"`
	Panels     []Panel `json:"panels"`
	Templating struct {
		List []Variable `json:"list"`
	} `json:"templating"`
}

// Panel is one of its panels; a row has no targets.
type Panel struct {
	ID         int         `json:"id"`
	Title      string      `json:"title"`
	Type       string      `json:"type"`
	Datasource *Datasource `json:"datasource"`
	Targets    []struct {
		Expr       string      `json:"expr"`
		Legend     string      `json:"legendFormat"`
		Datasource *Datasource `json:"datasource"`
	} `json:"targets"`
	GridPos struct{ X, Y, W, H int } `json:"gridPos"`
}

// Variable is what the viewer may choose.
type Variable struct {
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	Query      string      `json:"query"`
	Datasource *Datasource `json:"datasource"`
}

// Datasource is where Grafana reads.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

var (
	legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	// ranges are the durations that Grafana puts in.
	ranges = strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h")
)

// Dashboards reads those of the chart.
func Dashboards(tb testing.TB) []Dashboard {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(root(tb), "charts/dbpair/dashboards/*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no dashboards: %v", err)
	}
	var out []Dashboard
	for _, file := range files {
		d := Dashboard{File: filepath.Base(file)}
		if err := json.Unmarshal(Read(tb, "charts/dbpair/dashboards/"+d.File), &d); err != nil {
			tb.Fatalf("%s: %v", d.File, err)
		}
		out = append(out, d)
	}
	return out
}

// Queries returns those of the panels and of the variables.
func (d Dashboard) Queries() []Query {
	var out []Query
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			q := Query{Where: d.File + ", panel " + panel.Title, Expr: ranges.Replace(target.Expr)}
			for _, label := range legendLabel.FindAllStringSubmatch(target.Legend, -1) {
				q.Legend = append(q.Legend, label[1])
			}
			out = append(out, q)
		}
	}
	for _, variable := range d.Templating.List {
		if parts := labelValues.FindStringSubmatch(variable.Query); parts != nil {
			out = append(out, Query{
				Where:  d.File + ", variable " + variable.Name,
				Expr:   parts[1],
				Legend: []string{parts[2]},
			})
		}
	}
	return out
}
