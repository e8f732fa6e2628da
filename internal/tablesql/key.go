package tablesql

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// Key is a unique key without NULLs, in the order of its index. A value of it
// is one SQL literal per column.
type Key struct {
	Name    string
	Columns []Column
}

// loadKey chooses the primary key, else the unique key over whole columns
// without NULLs that has the fewest and, of these, the smallest columns.
func loadKey(ctx context.Context, s *Session, t *Table, where string) (*Key, error) {
	type part struct {
		column string
		usable bool
	}
	parts := make(map[string][]part)
	err := s.Rows(ctx, `SELECT INDEX_NAME, COALESCE(COLUMN_NAME, ''), SUB_PART IS NULL AND EXPRESSION IS NULL AND IS_VISIBLE = 'YES'
		FROM information_schema.STATISTICS`+where+` AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX`, func(row []sql.RawBytes) error {
		text := Texts(row)
		parts[text[0]] = append(parts[text[0]], part{text[1], text[2] == "1"})
		return nil
	})
	if err != nil {
		return nil, err
	}
	var best *Key
	for name, list := range parts {
		key := &Key{Name: name}
		for _, one := range list {
			column, found := t.Column(one.column)
			usable := found && one.usable
			if !usable || column.Nullable || !column.isOrdered() {
				key = nil
				break
			}
			key.Columns = append(key.Columns, column)
		}
		if key != nil && (best == nil || key.isBetter(best)) {
			best = key
		}
	}
	return best, nil
}

func (k *Key) isBetter(other *Key) bool {
	if (k.Name == "PRIMARY") != (other.Name == "PRIMARY") {
		return k.Name == "PRIMARY"
	}
	if len(k.Columns) != len(other.Columns) {
		return len(k.Columns) < len(other.Columns)
	}
	strings1 := k.countStrings()
	strings2 := other.countStrings()
	if strings1 != strings2 {
		return strings1 < strings2
	}
	return k.Name < other.Name // the same choice every time
}

func (k *Key) countStrings() int {
	n := 0
	for _, c := range k.Columns {
		if c.isBytes() {
			n++
		}
	}
	return n
}

// IsPrimary reports whether it is the primary key.
func (k *Key) IsPrimary() bool { return k.Name == "PRIMARY" }

// IsExact reports whether every value of the key survives as a literal and
// equal literals mean the same row: floating point has two zeros.
func (k *Key) IsExact() bool {
	return !slices.ContainsFunc(k.Columns, func(c Column) bool { return c.isFloat() })
}

// IsInteger reports whether the key is one column of integers.
func (k *Key) IsInteger() bool {
	if len(k.Columns) != 1 {
		return false
	}
	switch k.Columns[0].Type {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return true
	}
	return false
}

// list joins what f says of each column.
func (k *Key) list(f func(Column) string) string {
	out := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		out[i] = f(c)
	}
	return strings.Join(out, ", ")
}

// Select is the list of expressions whose values Literals reads.
func (k *Key) Select() string { return k.list(Column.Source) }

// Literals makes SQL literals of a row of Select.
func (k *Key) Literals(row []sql.RawBytes) []string {
	out := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		out[i] = c.Literal(row[i])
	}
	return out
}

// Match is the list of expressions that are equal exactly when the keys are
// equal in the index, under its collation.
func (k *Key) Match() string { return k.list(Column.match) }

// Order is the list for ORDER BY.
func (k *Key) Order() string { return k.list(func(c Column) string { return Name(c.Name) }) }

// Force is the index hint.
func (k *Key) Force() string { return " FORCE INDEX (" + Name(k.Name) + ")" }

// After is the condition "key > low", Upto "key <= high". Both are written so
// that the optimizer sees ranges: it does not for row constructors.
func (k *Key) After(low []string) string { return k.beyond(low, " > ", ">=", "") }

// Upto is the condition "key <= high".
func (k *Key) Upto(high []string) string { return k.beyond(high, " < ", "<=", "=") }

// beyond makes a OP x OR (a = x AND (b OP y OR …)); orEqual is added to the
// last column's comparison.
func (k *Key) beyond(value []string, op, loose, orEqual string) string {
	last := len(k.Columns) - 1
	cond := Name(k.Columns[last].Name) + strings.TrimRight(op, " ") + orEqual + " " + value[last]
	for i := last - 1; i >= 0; i-- {
		name := Name(k.Columns[i].Name)
		// The first comparison is redundant and is what makes it a range.
		cond = name + " " + loose + " " + value[i] + " AND (" + name + op + value[i] + " OR " + name + " = " + value[i] + " AND (" + cond + "))"
	}
	return "(" + cond + ")"
}

// Within is the condition low < key <= high; nil means no bound on that side.
func (k *Key) Within(low, high []string) string {
	switch {
	case low == nil && high == nil:
		return "TRUE"
	case low == nil:
		return k.Upto(high)
	case high == nil:
		return k.After(low)
	}
	return k.After(low) + " AND " + k.Upto(high)
}

// In is the condition that the key is one of values.
func (k *Key) In(values [][]string) string {
	if slices.ContainsFunc(k.Columns, func(c Column) bool { return c.Type == "enum" || c.Type == "set" }) {
		return k.anyOf(values)
	}
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = strings.Join(value, ", ")
		if len(value) > 1 {
			out[i] = "(" + out[i] + ")"
		}
	}
	left := k.Order()
	if len(k.Columns) > 1 {
		left = "(" + left + ")"
	}
	return left + " IN (" + strings.Join(out, ", ") + ")"
}

// anyOf is In without row constructors: with more than one of them MySQL finds
// no member of an ENUM or a SET by its number.
func (k *Key) anyOf(values [][]string) string {
	out := make([]string, len(values))
	for i, value := range values {
		equal := make([]string, len(value))
		for j, c := range k.Columns {
			equal[j] = Name(c.Name) + " = " + value[j]
		}
		out[i] = "(" + strings.Join(equal, " AND ") + ")"
	}
	return "(" + strings.Join(out, " OR ") + ")"
}

// Boundary is the query for the key n rows after low.
func (t *Table) Boundary(low, high []string, n int64) string {
	return "SELECT " + t.Key.Select() + " FROM " + t.SQL() + t.Key.Force() + " WHERE " + t.Key.Within(low, high) +
		" ORDER BY " + t.Key.Order() + " LIMIT 1 OFFSET " + strconv.FormatInt(n-1, 10)
}

// Last is the query for the largest key, for a key of one column.
func (t *Table) Last() string {
	return "SELECT " + t.Key.Select() + " FROM " + t.SQL() + t.Key.Force() + " ORDER BY " + t.Key.Order() + " DESC LIMIT 1"
}
