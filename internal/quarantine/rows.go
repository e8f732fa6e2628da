package quarantine

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/agentapi"
)

const (
	mostValue = 200  // bytes of a value in a comment
	mostRow   = 2000 // bytes of a comment
	// tableIDSize is that of the number of a table at the head of row events.
	tableIDSize = 6
)

func (r *reading) tableMap(source *events, raw []byte) error {
	decoded, err := source.decode(raw)
	if err != nil {
		return err
	}
	event, ok := decoded.(*replication.TableMapEvent)
	if !ok {
		return fmt.Errorf("%w: %T where the map of a table is due", errDamaged, decoded)
	}
	r.tables[event.TableID] = tableName{schema: string(event.Schema), table: string(event.Table)}
	return nil
}

// rowsEvent counts rows, and prints them if that is asked for. Those of a kind that cannot be
// decoded are noted, and the file is read on: the checksum says that it is not damaged.
func (r *reading) rowsEvent(source *events, h header, raw []byte) error {
	if len(raw) < headerSize+tableIDSize {
		return fmt.Errorf("%w: an event of rows is too short", errDamaged)
	}
	name, known := r.tables[tableID(raw[headerSize:])]
	decoded, err := source.decode(raw)
	event, ok := decoded.(*replication.RowsEvent)
	if err != nil || !ok || !known {
		r.current.Unread = fmt.Sprintf("rows of table %s.%s cannot be decoded: %v", name.schema, name.table, err)
		return nil
	}
	images := 1
	if event.ColumnBitmap2 != nil {
		images = 2
	}
	count(r.current.counts.of(name), h.kind, int64(len(event.Rows)/images))
	for i := 0; i+images <= len(event.Rows); i += images {
		if r.rows >= r.wanted.Rows || r.printed >= r.wanted.Transactions {
			if r.wanted.Rows > 0 {
				r.summary.RowsNotPrinted += int64((len(event.Rows) - i) / images)
			}
			break
		}
		r.rows++
		r.current.Rows = append(r.current.Rows, rowText(event, h.kind, i))
	}
	return nil
}

// large counts the one row of an event that is too large to be decoded, once all of it was there.
func (r *reading) large(source *events, h header) error {
	if r.current == nil {
		return nil
	}
	if h.kind != replication.QUERY_EVENT && !isRows(h.kind) {
		return fmt.Errorf("%w: an event %s of %d bytes", errDamaged, h.kind, h.length)
	}
	id, err := source.take(tableIDSize)
	if err == nil {
		err = source.skip()
	}
	if err != nil {
		return err
	}
	if h.kind == replication.QUERY_EVENT {
		r.current.note("", fmt.Sprintf("(a statement of %d bytes)", h.length))
		return nil
	}
	count(r.current.counts.of(r.tables[tableID(id)]), h.kind, 1)
	if r.wanted.Rows > 0 {
		r.summary.RowsNotPrinted++
	}
	return nil
}

func tableID(raw []byte) uint64 {
	var number [8]byte
	copy(number[:], raw[:tableIDSize])
	return binary.LittleEndian.Uint64(number[:])
}

func count(table *agentapi.QuarantineTable, kind replication.EventType, rows int64) {
	switch kind {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2:
		table.Inserted += rows
	case replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2:
		table.Deleted += rows
	default: // only rows come here, and the rest of them are updates
		table.Updated += rows
	}
}

// rowText is a row, or its two versions, as a comment of one line.
func rowText(event *replication.RowsEvent, kind replication.EventType, at int) string {
	name := quoteName(string(event.Table.Schema)) + "." + quoteName(string(event.Table.Table))
	var text string
	switch kind {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2:
		text = "INSERT INTO " + name + " SET " + columnsText(event, at, ", ")
	case replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2:
		text = "DELETE FROM " + name + " WHERE " + columnsText(event, at, " AND ")
	default:
		text = "UPDATE " + name + " SET " + columnsText(event, at+1, ", ") + " WHERE " + columnsText(event, at, " AND ")
	}
	return "-- " + clip(text, mostRow)
}

// columnsText names columns by number, as mysqlbinlog does, where the log does not have their names.
func columnsText(event *replication.RowsEvent, at int, separator string) string {
	skipped := map[int]bool{}
	for _, column := range event.SkippedColumns[at] {
		skipped[column] = true
	}
	names := event.Table.ColumnNameString()
	unsigned := event.Table.UnsignedMap()
	var parts []string
	size := 0
	for i, value := range event.Rows[at] {
		if skipped[i] {
			continue
		}
		if size > mostRow {
			break
		}
		name := "@" + strconv.Itoa(i+1)
		if i < len(names) {
			name = quoteName(names[i])
		}
		part := name + "=" + valueText(value, unsigned[i], event.Table.ColumnType[i])
		size += len(part)
		parts = append(parts, part)
	}
	return strings.Join(parts, separator)
}

func valueText(value any, unsigned bool, kind byte) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case string:
		return quoteText(v)
	case []byte:
		return quoteText(string(v))
	case int8, int16, int32, int64:
		if unsigned {
			return unsignedText(v, kind)
		}
		return fmt.Sprint(v)
	case int, float32, float64:
		return fmt.Sprint(v)
	default:
		return quoteText(fmt.Sprint(v))
	}
}

func unsignedText(value any, kind byte) string {
	const most24 = 1<<24 - 1
	var number uint64
	switch v := value.(type) {
	case int8:
		number = uint64(uint8(v))
	case int16:
		number = uint64(uint16(v))
	case int32:
		number = uint64(uint32(v))
		if kind == mysql.MYSQL_TYPE_INT24 {
			number &= most24
		}
	case int64:
		number = uint64(v)
	}
	return strconv.FormatUint(number, 10)
}

// quoteText is a literal of one line: text, or hexadecimal digits for what is none.
func quoteText(text string) string {
	cut := ""
	if len(text) > mostValue {
		cut = fmt.Sprintf(" /* %d bytes */", len(text))
		text = text[:mostValue]
		for len(text) > mostValue-utf8.UTFMax && !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	if !utf8.ValidString(text) {
		return "0x" + hex.EncodeToString([]byte(text)) + cut
	}
	return "'" + strings.ReplaceAll(escape(strings.ReplaceAll(text, `\`, `\\`)), "'", "''") + "'" + cut
}

// quoteName is an identifier of one line.
func quoteName(name string) string {
	return "`" + escape(strings.ReplaceAll(name, "`", "``")) + "`"
}

// escape writes what does not print, such as a line feed that would end a comment, as an escape
// sequence.
func escape(text string) string {
	var out strings.Builder
	for _, c := range text {
		switch {
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\r':
			out.WriteString(`\r`)
		case c == '\t':
			out.WriteString(`\t`)
		case c <= math.MaxUint8 && !unicode.IsPrint(c):
			fmt.Fprintf(&out, `\x%02x`, c)
		case !unicode.IsPrint(c) && !unicode.IsSpace(c), c == '\u2028', c == '\u2029':
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			out.WriteRune(c)
		}
	}
	return out.String()
}

// clip shortens a text to so many bytes, on a boundary of characters.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	text = strings.ToValidUTF8(text[:most], "")
	return text + " ..."
}
