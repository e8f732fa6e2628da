package plugin

import (
	"errors"
	"fmt"
	"strings"
)

const tableForm = "--table takes one table, <schema>.<table> as the primary spells it, such as app.orders"

// parseTable makes <schema>.<table> of what was typed, backquotes taken off. The error says
// what to type instead.
func parseTable(text string) (string, error) {
	typed := text
	text = strings.TrimSpace(text)
	schema, rest, err := nextName(text)
	if err != nil {
		return "", fmt.Errorf("--table %s: %w; %s", typed, err, tableForm)
	}
	rest, dotted := strings.CutPrefix(rest, ".")
	switch {
	case text == "":
		return "", errors.New("name the table: " + tableForm)
	case !dotted && rest == "":
		return "", fmt.Errorf("--table %s: name the table with its schema: %s; whole schemas are compared by spec.checksum.include",
			typed, tableForm)
	case schema == "":
		return "", fmt.Errorf("--table %s: the schema is missing; %s", typed, tableForm)
	case strings.Contains(schema, "."):
		return "", fmt.Errorf("--table %s: a schema with a dot in its name cannot be named here; compare it by spec.checksum.include", typed)
	}
	name, rest, err := nextName(rest)
	plain := !strings.Contains(text, "`")
	switch {
	case err != nil:
		return "", fmt.Errorf("--table %s: %w; %s", typed, err, tableForm)
	case name == "":
		return "", fmt.Errorf("--table %s: the table's name is missing; %s", typed, tableForm)
	case rest != "":
		return "", fmt.Errorf("--table %s: %q follows the table's name; %s. A name with a dot goes in backquotes", typed, rest, tableForm)
	case plain && strings.ContainsAny(schema+name, "*?"):
		return "", fmt.Errorf("--table %s is a pattern: spec.checksum.include takes those; %s. A name that has * or ? in it goes in backquotes",
			typed, tableForm)
	case plain && strings.ContainsAny(schema+name, ",; \t\"'"):
		return "", fmt.Errorf("--table %s: %s. A name with blanks, commas or quotes goes in backquotes", typed, tableForm)
	}
	return schema + "." + name, nil
}

// nextName takes one identifier off the text: in backquotes, a doubled one standing for one,
// or up to the next dot.
func nextName(text string) (name, rest string, err error) {
	if !strings.HasPrefix(text, "`") {
		if i := strings.IndexByte(text, '.'); i >= 0 {
			return text[:i], text[i:], nil
		}
		return text, "", nil
	}
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '`':
			out.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '`':
			out.WriteByte('`')
			i++
		default:
			return out.String(), text[i+1:], nil
		}
	}
	return "", "", errors.New("a backquote is not closed")
}
