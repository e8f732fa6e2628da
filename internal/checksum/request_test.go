package checksum

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/tablesql"
)

func sizes(names ...string) []tablesql.Size {
	var out []tablesql.Size
	for _, name := range names {
		schema, table, _ := strings.Cut(name, ".")
		out = append(out, tablesql.Size{TableName: TableName{Schema: schema, Name: table}})
	}
	return out
}

func TestATableThatIsNoneIsToldWithTheWayOut(t *testing.T) {
	all := sizes("app.orders", "app.order_lines", "Shop.Items", "web.pages")
	for _, c := range []struct {
		table string
		view  bool
		says  string
	}{
		{"app.Orders", false, "app.orders is: names differ by upper and lower case"},
		{"shop.items", false, "Shop.Items is"},
		{"app.oders", false, "did you mean app.orders?"},
		{"ap.orders", false, "did you mean app.orders?"},
		{"app.customers", false, "SHOW TABLES FROM `app`"},
		{"crm.customers", false, "no table is in schema crm; the primary has tables in app, Shop, web"},
		{"app.v", true, "name the tables that it reads"},
		{"mysql.user", false, "mysqld's own"},
		{"information_schema.TABLES", false, "mysqld's own"},
		{"PERFORMANCE_SCHEMA.threads", false, "mysqld's own"},
	} {
		schema, name, _ := strings.Cut(c.table, ".")
		if got := noSuchTable(TableName{Schema: schema, Name: name}, c.view, all); !strings.Contains(got, c.says) || !strings.Contains(got, c.table) {
			t.Errorf("%s: %s; want %q", c.table, got, c.says)
		}
	}
	if got := noSuchTable(TableName{Schema: "a", Name: "t"}, false, nil); !strings.Contains(got, "has no tables yet") {
		t.Errorf("on an empty pair: %s", got)
	}
}

func TestPatternsThatChooseNothingAreRefused(t *testing.T) {
	all := sizes("app.orders", "web.pages")
	for name, c := range map[string]struct {
		include, exclude []string
		all              []tablesql.Size
		want             int
		says             string
	}{
		"no patterns":                 {all: all, want: 2},
		"no patterns and no tables":   {},
		"an exclusion of nothing":     {exclude: []string{"crm"}, all: all, want: 2},
		"an exclusion, and no tables": {exclude: []string{"crm"}},
		"a schema that is not there":  {include: []string{"crm"}, all: all, says: "the primary has tables in app, web"},
		"a table that is not there":   {include: []string{"app.lines"}, all: all, says: `include ["app.lines"] matches no table`},
		"another case":                {include: []string{"APP.*"}, all: all, says: "as they are spelled there"},
		"a wildcard of SQL":           {include: []string{"app.%"}, all: all, says: "with * and ?"},
		"quotes":                      {include: []string{"`app`.`orders`"}, all: all, says: "such as app.orders"},
		"a list in one":               {include: []string{"app.orders,web.pages"}, all: all, says: "matches no table"},
		"an inclusion, and no tables": {include: []string{"app"}, says: "has no tables yet"},
		"all excluded":                {exclude: []string{"*"}, all: all, says: "take a pattern out"},
		"what is included is excluded too": {
			include: []string{"app"},
			exclude: []string{"app.*"},
			all:     all,
			says:    `exclude ["app.*"] leaves no table`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Include: c.include, Exclude: c.exclude}
			f, err := newFilter(o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := (&run{Options: o, filter: f}).chosen(t.Context(), c.all)
			if c.says == "" {
				if err != nil || len(got) != c.want {
					t.Errorf("%d tables, %v; want %d", len(got), err, c.want)
				}
				return
			}
			if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want a bad request that says %q", err, c.says)
			}
		})
	}
	for _, o := range []Options{{Include: []string{""}}, {Exclude: []string{"a["}}, {Parallelism: 100}, {MaxLockTime: 1}} {
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%+v: %v, want %v", o, err, ErrBadRequest)
		}
	}
}
