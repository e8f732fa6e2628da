package tablesql

import (
	"fmt"
	"strconv"
	"strings"
)

// wantLarge is up to how many bytes a value of a large column goes into the
// text of a row as it is; of a longer one its hash goes in. So the text stays
// far below max_allowed_packet, at which MySQL would make it NULL.
const wantLarge = 8192

// largeLimit returns wantLarge, or what max_allowed_packet leaves.
func (t *Table) largeLimit() (int64, error) {
	const perColumn = 90 // 65 digits of a DECIMAL, sign, point, length, separators
	fixed := rowLimit + perColumn*int64(len(t.Columns))
	large := int64(0)
	for _, c := range t.Columns {
		bounded := c.isKnown() || c.isOrdered() || c.isHashed()
		if c.isLarge() || !bounded {
			large++
		}
	}
	const least = 64
	room := t.MaxPacket/2 - fixed
	if large > 0 {
		room /= large
	}
	if room < least {
		return 0, fmt.Errorf("max_allowed_packet of %d bytes is too small for the columns of %s: raise it", t.MaxPacket, t.TableName)
	}
	return min(room, wantLarge), nil
}

// rowText is an expression for a text that two rows share only if they are
// equal in every stored column. Columns whose text cannot hold the separator
// come first, then the lengths of the others, then these; NULL is said by an N
// where the number or the length would be.
func (t *Table) rowText() (string, error) {
	limit, err := t.largeLimit()
	if err != nil {
		return "", err
	}
	var first, lengths, last []string
	open := t.openColumns()
	mixed := t.mixesCollations()
	for _, c := range t.Columns {
		name := Name(c.Name)
		orNull := func(expression string) string {
			if c.Nullable {
				return "IFNULL(" + expression + ",'N')"
			}
			return expression
		}
		switch {
		case c.isHashed():
			first = append(first, orNull("SHA2("+name+",224)"))
			if c.isJSON() {
				first = append(first, c.jsonKinds()...)
			}
		case !c.isBytes():
			first = append(first, orNull(c.Source()))
		default:
			if open--; open > 0 || c.Nullable || c.isLarge() {
				lengths = append(lengths, orNull("LENGTH("+name+")"))
			}
			if mixed && c.isCharacter() {
				name = "CAST(" + name + " AS BINARY)"
			}
			if c.isLarge() || !c.isOrdered() {
				name = "IF(LENGTH(" + name + ")<=" + strconv.FormatInt(limit, 10) + "," + name + ",SHA2(" + name + ",256))"
			}
			last = append(last, name)
		}
	}
	all := append(append(first, lengths...), last...)
	return "CONCAT_WS('#'," + strings.Join(all, ",") + ")", nil
}

// openColumns counts the columns whose end is known by a length or by the end of the text.
func (t *Table) openColumns() int {
	open := 0
	for _, c := range t.Columns {
		if c.isBytes() && !c.isHashed() {
			open++
		}
	}
	return open
}

// mixesCollations reports whether MySQL would refuse to join the columns'
// texts, or convert them. Taking their bytes costs a copy, so that it is done
// only then.
func (t *Table) mixesCollations() bool {
	first := ""
	for _, c := range t.Columns {
		switch {
		case !c.isCharacter():
		case first == "":
			first = c.Collation
		case first != c.Collation:
			return true
		}
	}
	return false
}

// ChunkDigest is the query for the number of rows that fulfill where and the
// exclusive or of their hashes, of 224 bits each. It does not depend on the
// order. Equal rows would cancel out, but no two rows of a member are equal:
// the text of each holds its unique key. Without a key it fails; compare
// CopyDigests then.
func (t *Table) ChunkDigest(where string) (string, error) {
	if t.Key == nil {
		return "", fmt.Errorf("%s has no key: equal rows would cancel out in a digest of its rows", t.TableName)
	}
	text, err := t.rowText()
	if err != nil {
		return "", err
	}
	// Making a number of the hash, for SUM, would cost as much as all the rest
	// but the text. 224 bits cost the same as 256 and are the shortest that SHA2 has.
	return "SELECT COUNT(*), HEX(BIT_XOR(UNHEX(SHA2(" + text + ",224)))) FROM " + t.from() + " WHERE " + where, nil
}

// Check fails when no digest can be made of the table's rows.
func (t *Table) Check() error {
	_, err := t.rowText()
	return err
}

// RowDigests is the query for one row each: the columns of Key.Select, those
// of Key.Match, and a hash of 128 bits in hex.
func (t *Table) RowDigests(where string) (string, error) {
	text, err := t.rowText()
	if err != nil {
		return "", err
	}
	return "SELECT " + t.Key.Select() + ", " + t.Key.Match() + ", LEFT(SHA2(" + text + ",224),32) FROM " + t.from() + " WHERE " + where, nil
}

// CopyDigests is the query, for a table without a key, for each hash of a row
// and how many rows have it.
func (t *Table) CopyDigests() (string, error) {
	text, err := t.rowText()
	if err != nil {
		return "", err
	}
	return "SELECT LEFT(SHA2(" + text + ",224),32) h, COUNT(*) FROM " + t.from() + " GROUP BY h", nil
}

// ColumnsOf is the query for the columns of Key.Match and then one expression
// of every stored column.
func (t *Table) ColumnsOf(where string, expression func(Column) string) string {
	out := []string{t.Key.Match()}
	for _, c := range t.Columns {
		out = append(out, expression(c))
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM " + t.from() + " WHERE " + where
}

func (t *Table) from() string {
	if t.Key == nil {
		return t.SQL()
	}
	return t.SQL() + t.Key.Force()
}
