package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

const introduction = `<!-- Made from api/v1alpha1 by hack/api-docs (make generate). Do not edit. -->
# API reference

Group ` + "`dbpair.io`" + `, version ` + "`v1alpha1`" + `. ` + "`kubectl explain dbp.spec`" + ` shows the same texts.

| type | how it is written |
| --- | --- |
| duration | a number and a unit, ` + "`ms`, `s`, `m` or `h`: `250ms`, `1m30s`" + ` |
| quantity | bytes, with a suffix: ` + "`10Gi`" + ` |
| time | RFC 3339, in UTC: ` + "`2026-01-31T12:00:00Z`" + ` |
| integer | a count, unless the text names a unit |

A default stands for a field that is absent. A field without one that is not required may be left out.
What the API server refuses is below the table of its object.
`

// renderKind writes the sections of one kind.
func renderKind(page *strings.Builder, name string, shortNames []string, v version, sections []section) {
	fmt.Fprintf(page, "\n## %s\n\n%s\n", name, paragraph(v.Schema.OpenAPI.Description))
	fmt.Fprintf(page, "\nShort name for kubectl: `%s`.\n", strings.Join(shortNames, "`, `"))
	renderRules(page, v.Schema.OpenAPI.Rules)
	page.WriteString("\nColumns of `kubectl get`:\n\n| column | what it shows |\n| --- | --- |\n")
	for _, c := range v.Columns {
		shows := cell(c.Description)
		if shows == "" {
			shows = "`" + strings.TrimPrefix(c.Path, ".") + "`"
		}
		if c.Priority > 0 {
			shows += " (with `-o wide`)"
		}
		fmt.Fprintf(page, "| %s | %s |\n", strings.ToUpper(c.Name), shows)
	}
	for _, s := range sections {
		renderSection(page, s)
	}
}

func renderSection(page *strings.Builder, s section) {
	fmt.Fprintf(page, "\n### %s %s\n\n%s\n", s.kind, s.path, paragraph(s.description))
	page.WriteString("\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range s.fields {
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", f.name, typeCell(s.kind, f), defaultCell(s.path, f), meaning(s.path, f))
	}
	renderRules(page, s.rules)
}

func renderRules(page *strings.Builder, rules []rule) {
	if len(rules) == 0 {
		return
	}
	page.WriteString("\nThe API server refuses what breaks one of these:\n\n")
	for _, r := range rules {
		fmt.Fprintf(page, "- %s\n", escape(r.Message))
	}
}

func typeCell(kind string, f field) string {
	text := f.kind
	if f.object != "" {
		text = fmt.Sprintf("[%s](#%s)", text, anchor(kind+" "+f.object))
	}
	if f.required {
		text += ", required"
	}
	return text
}

// anchor is the id that GitHub gives to a heading.
func anchor(heading string) string {
	return strings.NewReplacer(" ", "-", ".", "", "[", "", "]", "").Replace(strings.ToLower(heading))
}

// defaultCell is the default of a plain value; those of an object are shown with its fields. Of a boolean
// that is asked for and has none, absent is false.
func defaultCell(path string, f field) string {
	if f.object != "" {
		return ""
	}
	if len(f.schema.Default) == 0 {
		if f.kind == "boolean" && strings.HasPrefix(path, "spec") {
			return "`false`"
		}
		return ""
	}
	var text string
	if json.Unmarshal(f.schema.Default, &text) == nil {
		return "`" + text + "`"
	}
	return "`" + string(f.schema.Default) + "`"
}

// meaning is the description, followed by what values are allowed.
func meaning(path string, f field) string {
	parts := []string{cell(f.schema.Description)}
	if len(f.schema.Enum) > 0 {
		parts = append(parts, "One of `"+strings.Join(f.schema.Enum, "`, `")+"`.")
	}
	parts = append(parts, bounds(f.schema)...)
	if f.object == "" {
		for _, r := range f.schema.Rules {
			parts = append(parts, sentence(strings.TrimPrefix(r.Message, path+"."+f.name+" ")))
		}
	}
	return strings.Join(parts, " ")
}

func bounds(s schema) []string {
	var parts []string
	if s.Minimum != nil && s.Maximum != nil {
		parts = append(parts, fmt.Sprintf("From %s to %s.", *s.Minimum, *s.Maximum))
	}
	limits := []struct {
		most *int64
		of   string
	}{
		{s.MaxLength, "characters"},
		{s.MaxItems, "entries"},
		{s.MaxProperties, "entries"},
	}
	for _, l := range limits {
		if l.most != nil {
			parts = append(parts, fmt.Sprintf("At most %d %s.", *l.most, l.of))
		}
	}
	return parts
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	text = escape(text)
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// cell is a text on one line, for a table.
func cell(text string) string { return escape(strings.Join(strings.Fields(text), " ")) }

func paragraph(text string) string { return cell(text) }

// escape keeps Markdown from taking a character of the text for its own.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`, "_", `\_`).Replace(text)
}
