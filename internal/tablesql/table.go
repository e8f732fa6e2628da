package tablesql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Column is one stored column.
type Column struct {
	Name string
	// Type is the bare type in lower case, such as "varchar"; FullType has
	// length, sign and members.
	Type, FullType string
	// Charset and Collation are empty for what has none. PadSpace says that
	// trailing spaces do not count in comparisons.
	Charset, Collation string
	PadSpace           bool
	Nullable           bool
	// Generated is true for a stored generated column: it is compared, but not
	// written.
	Generated bool
}

// Table is what is known of a table.
type Table struct {
	TableName
	// Columns are those whose values are stored, invisible ones included. A
	// virtual column is a function of the others and is left out.
	Columns []Column
	// Key is the best unique key without NULLs; nil when there is none.
	Key *Key
	// Engine is the storage engine.
	Engine string
	// MaxPacket is the server's max_allowed_packet, which bounds any string.
	MaxPacket int64
}

// Size is one entry of the list of tables.
type Size struct {
	TableName
	Engine string
	// Rows is InnoDB's estimate, Bytes the size of data and overflow pages.
	Rows, Bytes int64
}

// systemSchemas are mysqld's own.
const systemSchemas = "'mysql', 'information_schema', 'performance_schema', 'sys'"

// List returns all base tables outside of mysqld's own schemas, by name.
func List(ctx context.Context, s *Session) ([]Size, error) {
	if err := s.Exec(ctx, "SET SESSION information_schema_stats_expiry = 0"); err != nil {
		return nil, err
	}
	var list []Size
	err := s.Rows(ctx, `SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES
		WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN (`+systemSchemas+`) ORDER BY 1, 2`, func(row []sql.RawBytes) error {
		text := Texts(row)
		one := Size{TableName: TableName{text[0], text[1]}, Engine: text[2]}
		one.Rows, _ = strconv.ParseInt(text[3], 10, 64) // NULL for a broken table
		one.Bytes, _ = strconv.ParseInt(text[4], 10, 64)
		list = append(list, one)
		return nil
	})
	return list, err
}

// IsSystemSchema reports whether the schema is mysqld's own.
func IsSystemSchema(name string) bool {
	return strings.Contains(systemSchemas, "'"+strings.ToLower(name)+"'")
}

// IsView reports whether the name is that of a view.
func IsView(ctx context.Context, s *Session, name TableName) (bool, error) {
	row, err := s.Row(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_TYPE LIKE '%VIEW' AND TABLE_SCHEMA = "+
		Text(name.Schema)+" AND TABLE_NAME = "+Text(name.Name))
	if err != nil {
		return false, err
	}
	return row[0] != "0", nil
}

// Load reads a table's definition. ErrTableChanged when there is no such table.
func Load(ctx context.Context, s *Session, name TableName) (*Table, error) {
	t := &Table{TableName: name}
	where := " WHERE TABLE_SCHEMA = " + Text(name.Schema) + " AND TABLE_NAME = " + Text(name.Name)
	row, err := s.Row(ctx, "SELECT ENGINE, @@GLOBAL.max_allowed_packet FROM information_schema.TABLES"+where)
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("%w: %w", ErrTableChanged, err)
		}
		return nil, err
	}
	t.Engine = row[0]
	if t.MaxPacket, err = strconv.ParseInt(row[1], 10, 64); err != nil {
		return nil, fmt.Errorf("read max_allowed_packet of %s: %w", s.member.Member, err)
	}
	err = s.Rows(ctx, `SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COALESCE(CHARACTER_SET_NAME, ''), COALESCE(c.COLLATION_NAME, ''),
		COALESCE((SELECT l.PAD_ATTRIBUTE FROM information_schema.COLLATIONS l WHERE l.COLLATION_NAME = c.COLLATION_NAME), ''),
		IS_NULLABLE, EXTRA FROM information_schema.COLUMNS c`+where+` ORDER BY ORDINAL_POSITION`, func(row []sql.RawBytes) error {
		text := Texts(row)
		if strings.Contains(text[7], "VIRTUAL GENERATED") {
			return nil
		}
		t.Columns = append(t.Columns, Column{
			Name:      text[0],
			Type:      strings.ToLower(text[1]),
			FullType:  text[2],
			Charset:   text[3],
			Collation: text[4],
			PadSpace:  text[5] == "PAD SPACE",
			Nullable:  text[6] == "YES",
			Generated: strings.Contains(text[7], "STORED GENERATED"),
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	t.Key, err = loadKey(ctx, s, t, where)
	return t, err
}

// autoIncrement is the one part of a definition that is not the same on both
// members: the passive's counter follows rows, the primary's also rollbacks.
var autoIncrement = regexp.MustCompile(`(?m)^(\).*?) AUTO_INCREMENT=\d+`)

// Definition is the text of CREATE TABLE without the AUTO_INCREMENT counter.
// ErrTableChanged when there is no such table.
func Definition(ctx context.Context, s *Session, name TableName) (string, error) {
	row, err := s.Row(ctx, "SHOW CREATE TABLE "+name.SQL())
	if err != nil {
		return "", err
	}
	return autoIncrement.ReplaceAllString(row[1], "$1"), nil
}

// Signature is a digest of what comparing rows depends on: columns and key.
// Members whose signatures are equal can be compared.
func (t *Table) Signature() string {
	h := sha256.New()
	for _, c := range t.Columns {
		fmt.Fprintf(h, "%q\n", []string{c.Name, c.FullType, c.Charset, c.Collation, strconv.FormatBool(c.Nullable)})
	}
	if t.Key != nil {
		fmt.Fprintf(h, "key %q\n", t.Key.Name)
		for _, c := range t.Key.Columns {
			fmt.Fprintf(h, "%q\n", c.Name)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Column returns the named column.
func (t *Table) Column(name string) (Column, bool) {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return t.Columns[i], true
}

// SQL is the quoted name.
func (t TableName) SQL() string { return Name(t.Schema) + "." + Name(t.Name) }

// Name quotes an identifier.
func Name(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Text is a string literal that no sql_mode and no character set changes.
func Text(text string) string { return fmt.Sprintf("_utf8mb4 X'%x'", text) }
