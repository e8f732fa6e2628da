package metricstest_test

import (
	"regexp"
	"testing"

	"github.com/dbpair/dbpair/internal/metricstest"
)

// A dashboard that names a data source of its maker is empty everywhere else.
func TestDashboardsReadTheDataSourceThatIsChosen(t *testing.T) {
	for _, d := range metricstest.Dashboards(t) {
		chosen := func(where string, source *metricstest.Datasource) {
			if source == nil || source.Type != "prometheus" || source.UID != "${datasource}" {
				t.Errorf("%s, %s: its data source is %v", d.File, where, source)
			}
		}
		for _, panel := range d.Panels {
			if panel.Type == "row" {
				continue
			}
			chosen(panel.Title, panel.Datasource)
			if len(panel.Targets) == 0 {
				t.Errorf("%s, %s: no query", d.File, panel.Title)
			}
			for _, target := range panel.Targets {
				chosen(panel.Title, target.Datasource)
			}
		}
		choices := 0
		for _, variable := range d.Templating.List {
			switch variable.Type {
			case "datasource":
				choices++
			case "query":
				chosen(variable.Name, variable.Datasource)
			default:
				t.Errorf("%s: the variable %s is of the type %q", d.File, variable.Name, variable.Type)
			}
		}
		if choices != 1 {
			t.Errorf("%s: %d variables for a data source", d.File, choices)
		}
	}
}

func TestDashboardsUseVariablesThatTheyHave(t *testing.T) {
	used := regexp.MustCompile(`\$(\w+)`)
	for _, d := range metricstest.Dashboards(t) {
		have := map[string]bool{}
		for _, variable := range d.Templating.List {
			have[variable.Name] = true
		}
		for _, q := range d.Queries() {
			for _, m := range used.FindAllStringSubmatch(q.Expr, -1) {
				if !have[m[1]] {
					t.Errorf("%s: no variable $%s", q.Where, m[1])
				}
			}
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	type cell struct{ x, y int }
	uids := map[string]bool{}
	for _, d := range metricstest.Dashboards(t) {
		if d.UID == "" || uids[d.UID] {
			t.Errorf("%s: the UID %q is empty or of another dashboard", d.File, d.UID)
		}
		uids[d.UID] = true
		ids := map[int]bool{}
		taken := map[cell]string{}
		for _, panel := range d.Panels {
			if ids[panel.ID] {
				t.Errorf("%s: two panels %d", d.File, panel.ID)
			}
			ids[panel.ID] = true
			g := panel.GridPos
			if g.X+g.W > 24 {
				t.Errorf("%s: %s is wider than the grid", d.File, panel.Title)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[cell{x, y}]; other != "" {
						t.Fatalf("%s: %s lies on %s", d.File, panel.Title, other)
					}
					taken[cell{x, y}] = panel.Title
				}
			}
		}
	}
}
