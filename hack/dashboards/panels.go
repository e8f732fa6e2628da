package main

import (
	"fmt"
	"slices"
)

// Widths of panels; the grid has 24 columns.
const (
	columns = 24
	third   = 8
	half    = 12
	sixth   = 4
)

// prometheus is the data source that the viewer has chosen.
func prometheus() *datasource { return &datasource{Type: "prometheus", UID: "${datasource}"} }

// query is an expression and the legend of its series.
type query struct{ expr, legend string }

// newDashboard numbers the panels and lays them out in rows, from left to right; a row's title begins a row.
func newDashboard(uid, title, description string, variables []variable, panels ...panel) dashboard {
	x := 0
	y := 0
	height := 0
	for i := range panels {
		p := &panels[i]
		p.ID = i + 1
		if x+p.GridPos.W > columns {
			x = 0
			y += height
			height = 0
		}
		p.GridPos.X = x
		p.GridPos.Y = y
		x += p.GridPos.W
		height = max(height, p.GridPos.H)
	}
	source := variable{
		Name:  "datasource",
		Label: "Data source",
		Type:  "datasource",
		Query: "prometheus",
	}
	return dashboard{
		UID:           uid,
		Title:         title,
		Description:   description,
		Tags:          []string{"dbpair"},
		SchemaVersion: 39,
		Refresh:       "30s",
		Time:          timeRange{From: "now-6h", To: "now"},
		Templating:    templating{List: slices.Concat([]variable{source}, variables)},
		Links: []link{{
			Title:       "dbpair",
			Type:        "dashboards",
			Tags:        []string{"dbpair"},
			IncludeVars: true,
			KeepTime:    true,
		}},
		Panels: panels,
	}
}

func labelVariable(name, label, metric string) variable {
	return variable{
		Name:       name,
		Label:      label,
		Type:       "query",
		Query:      fmt.Sprintf("label_values(%s, %s)", metric, name),
		Datasource: prometheus(),
		Refresh:    2,
		Sort:       1,
	}
}

func row(title string) panel {
	return panel{
		Title:   title,
		Type:    "row",
		GridPos: gridPos{W: columns, H: 1},
	}
}

func newPanel(kind, title, unit string, width int, queries []query) panel {
	p := panel{
		Title:       title,
		Type:        kind,
		GridPos:     gridPos{W: width, H: 8},
		Datasource:  prometheus(),
		FieldConfig: &fieldConfig{Defaults: defaults{Unit: unit}},
	}
	for i, q := range queries {
		p.Targets = append(p.Targets, target{
			RefID:        string(rune('A' + i)),
			Datasource:   prometheus(),
			Expr:         q.expr,
			LegendFormat: q.legend,
		})
	}
	return p
}

// graph draws figures over time; none of them is ever below zero.
func graph(title, unit string, width int, queries ...query) panel {
	p := newPanel("timeseries", title, unit, width, queries)
	zero := 0.0
	p.FieldConfig.Defaults.Min = &zero
	p.Options = map[string]any{"tooltip": map[string]any{"mode": "multi", "sort": "desc"}}
	return p
}

// number shows the present figure, in red from bad on. A bad of zero leaves it as it is.
func number(title, unit string, bad float64, expr string) panel {
	p := newPanel("stat", title, unit, sixth, []query{{expr: expr}})
	p.GridPos.H = 4
	p.Targets[0].Instant = true
	steps := []threshold{{Color: "green"}}
	if bad > 0 {
		steps = append(steps, threshold{Color: "red", Value: &bad})
	}
	p.FieldConfig.Defaults.Thresholds = &thresholds{Mode: "absolute", Steps: steps}
	return p
}

// states draws series of 0 and 1 as bars, in green while they are 1.
func states(title string, width int, one, zero string, queries ...query) panel {
	p := newPanel("state-timeline", title, "", width, queries)
	p.FieldConfig.Defaults.Color = &color{Mode: "fixed"}
	p.FieldConfig.Defaults.Mappings = []map[string]any{{
		"type": "value",
		"options": map[string]any{
			"0": map[string]any{"text": zero, "color": "orange", "index": 0},
			"1": map[string]any{"text": one, "color": "green", "index": 1},
		},
	}}
	p.Options = map[string]any{"mergeValues": true, "showValue": "auto", "rowHeight": 0.8}
	return p
}

// list is a table of what the query finds now.
func list(title string, width int, expr string) panel {
	p := newPanel("table", title, "", width, []query{{expr: expr}})
	p.Targets[0].Instant = true
	p.Targets[0].Format = "table"
	return p
}
