package checksum

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// chosen are the tables that the run is asked for; ErrBadRequest when there are none of
// these, with what to ask for instead.
func (r *run) chosen(ctx context.Context, all []tablesql.Size) ([]tablesql.Size, error) {
	tables := slices.DeleteFunc(slices.Clone(all), func(t tablesql.Size) bool { return !r.filter.has(t.TableName) })
	switch {
	case len(tables) > 0:
		return tables, nil
	case r.Table != nil:
		isView, err := tablesql.IsView(ctx, r.control.primary, *r.Table)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s", ErrBadRequest, noSuchTable(*r.Table, isView, all))
	case len(r.Include) > 0 && !slices.ContainsFunc(all, func(t tablesql.Size) bool { return matches(r.Include, t.TableName) }):
		return nil, fmt.Errorf("%w: include %q matches no table of the primary: patterns are schema.table or schema as they are spelled there, "+
			"with * and ?, such as app.orders or app.*; %s", ErrBadRequest, r.Include, schemasOf(all))
	case len(r.Exclude) > 0 && len(all) > 0:
		return nil, fmt.Errorf("%w: exclude %q leaves no table to compare: take a pattern out", ErrBadRequest, r.Exclude)
	}
	return nil, nil // an empty pair is equal
}

// noSuchTable says why a table cannot be compared that is none, and what may have been meant.
func noSuchTable(name TableName, isView bool, all []tablesql.Size) string {
	if tablesql.IsSystemSchema(name.Schema) {
		return fmt.Sprintf("table %s is mysqld's own: its rows are not compared; users and grants are, when no table is named", name)
	}
	if isView {
		return fmt.Sprintf("%s is a view and has no rows of its own: name the tables that it reads", name)
	}
	near := slices.MinFunc(append(slices.Clone(all), tablesql.Size{}), func(a, b tablesql.Size) int {
		return cmp.Compare(distance(a.TableName, name), distance(b.TableName, name))
	})
	switch {
	case strings.EqualFold(near.TableName.String(), name.String()) && len(all) > 0:
		return fmt.Sprintf("table %s is not on the primary, %s is: names differ by upper and lower case", name, near.TableName)
	case near.Name != "" && distance(near.TableName, name) <= 2:
		return fmt.Sprintf("table %s is not on the primary; did you mean %s?", name, near.TableName)
	case !slices.ContainsFunc(all, func(t tablesql.Size) bool { return t.Schema == name.Schema }):
		return fmt.Sprintf("table %s is not on the primary: no table is in schema %s; %s", name, name.Schema, schemasOf(all))
	}
	return fmt.Sprintf("table %s is not on the primary: give schema.table as it is spelled there (SHOW TABLES FROM %s)",
		name, tablesql.Name(name.Schema))
}

// schemasOf names some of the schemas that there are.
func schemasOf(all []tablesql.Size) string {
	var names []string
	for _, table := range all {
		if !slices.Contains(names, table.Schema) {
			names = append(names, table.Schema)
		}
	}
	const few = 8
	switch {
	case len(names) == 0:
		return "the primary has no tables yet"
	case len(names) > few:
		return fmt.Sprintf("the primary has tables in %s and %d more schemas", strings.Join(names[:few], ", "), len(names)-few)
	}
	return "the primary has tables in " + strings.Join(names, ", ")
}

// distance is how many letters have to be changed, added or taken away, in lower case.
func distance(a, b TableName) int {
	from := []rune(strings.ToLower(a.String()))
	to := []rune(strings.ToLower(b.String()))
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, one := range from {
		last := row[0]
		row[0] = i + 1
		for j, other := range to {
			cost := last
			if one != other {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, last+1)
		}
	}
	return row[len(to)]
}
