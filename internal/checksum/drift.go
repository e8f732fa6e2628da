package checksum

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	// driftLooks is how often a difference has to be seen, with driftPause
	// between, before it is one: the members are looked at at two moments.
	driftLooks = 3
	driftPause = 300 * time.Millisecond
	// driftText bounds what is quoted of a definition.
	driftText = 120
)

// object names something that has a definition.
type object struct{ kind, name string }

// definitions are the definitions of one member.
type definitions map[object]string

// userSchemas leaves out what belongs to mysqld.
const userSchemas = " NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"

// definitionQueries give schema, name and one text each. What the members do
// not share by design is left out: an event is disabled on the passive, and
// each has a counter and times of its own.
var definitionQueries = []struct{ kind, query string }{
	{"Schema", `SELECT '', SCHEMA_NAME, CONCAT_WS(' ', DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, DEFAULT_ENCRYPTION)
		FROM information_schema.SCHEMATA WHERE SCHEMA_NAME` + userSchemas},
	{"View", `SELECT TABLE_SCHEMA, TABLE_NAME, CONCAT_WS(' ', DEFINER, SECURITY_TYPE, CHECK_OPTION, CHARACTER_SET_CLIENT,
		COLLATION_CONNECTION, VIEW_DEFINITION)
		FROM information_schema.VIEWS WHERE TABLE_SCHEMA` + userSchemas},
	{"Trigger", `SELECT TRIGGER_SCHEMA, TRIGGER_NAME, CONCAT_WS(' ', ACTION_TIMING, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER,
		DEFINER, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION, ACTION_STATEMENT)
		FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA` + userSchemas},
	{"Routine", `SELECT ROUTINE_SCHEMA, ROUTINE_NAME, CONCAT_WS(' ', ROUTINE_TYPE,
		(SELECT GROUP_CONCAT(CONCAT_WS(' ', PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER)
			ORDER BY ORDINAL_POSITION SEPARATOR ', ') FROM information_schema.PARAMETERS p
			WHERE p.SPECIFIC_SCHEMA = r.ROUTINE_SCHEMA AND p.SPECIFIC_NAME = r.SPECIFIC_NAME AND p.ROUTINE_TYPE = r.ROUTINE_TYPE),
		IS_DETERMINISTIC, SQL_DATA_ACCESS, SECURITY_TYPE, DEFINER, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION,
		ROUTINE_DEFINITION)
		FROM information_schema.ROUTINES r WHERE ROUTINE_SCHEMA` + userSchemas},
	{"Event", `SELECT EVENT_SCHEMA, EVENT_NAME, CONCAT_WS(' ', EVENT_TYPE, EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, STARTS, ENDS,
		ON_COMPLETION, DEFINER, SQL_MODE, TIME_ZONE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION, EVENT_DEFINITION)
		FROM information_schema.EVENTS WHERE EVENT_SCHEMA` + userSchemas},
	{"Component", "SELECT '', component_urn, '' FROM mysql.component"},
	{"Plugin", `SELECT '', PLUGIN_NAME, CONCAT_WS(' ', PLUGIN_STATUS, PLUGIN_LIBRARY)
		FROM information_schema.PLUGINS WHERE PLUGIN_LIBRARY IS NOT NULL`},
}

// grantTables hold accounts and what they may do, by the columns that name the
// account.
var grantTables = []struct{ kind, table, user, host string }{
	{"User", "user", "User", "Host"},
	{"Grant", "db", "User", "Host"},
	{"Grant", "tables_priv", "User", "Host"},
	{"Grant", "columns_priv", "User", "Host"},
	{"Grant", "procs_priv", "User", "Host"},
	{"Grant", "proxies_priv", "User", "Host"},
	{"Grant", "global_grants", "USER", "HOST"},
	{"Role", "role_edges", "TO_USER", "TO_HOST"},
	{"Role", "default_roles", "USER", "HOST"},
}

// compareSchemas notes what differs besides rows.
func (r *run) compareSchemas(ctx context.Context) error {
	seen, err := r.driftNow(ctx)
	if err != nil {
		return err
	}
	for look := 1; look < driftLooks && len(seen) > 0; look++ {
		if err := sleep(ctx, driftPause); err != nil {
			return err
		}
		if err := r.catchUp(ctx, r.control); err != nil {
			return err
		}
		again, err := r.driftNow(ctx)
		if err != nil {
			return err
		}
		seen = slices.DeleteFunc(seen, func(one SchemaDrift) bool { return !slices.Contains(again, one) })
	}
	r.book.setDrift(seen)
	return nil
}

func (r *run) driftNow(ctx context.Context) ([]SchemaDrift, error) {
	var found pairOf[definitions]
	err := atOnce(
		func() (err error) { found.primary, err = r.define(ctx, r.control.primary); return err },
		func() (err error) { found.passive, err = r.define(ctx, r.control.passive); return err },
	)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(found.primary)
	maps.Copy(all, found.passive)
	order := slices.SortedFunc(maps.Keys(all), func(a, b object) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	var drift []SchemaDrift
	for _, what := range order {
		primary, onPrimary := found.primary[what]
		passive, onPassive := found.passive[what]
		one := SchemaDrift{Object: what.kind, Name: what.name}
		switch {
		case !onPassive:
			one.Kind = Missing
		case !onPrimary:
			one.Kind = Extra
		case primary == passive:
			continue
		default:
			one.Kind = Changed
			one.Primary, one.Passive = firstDifference(primary, passive)
		}
		drift = append(drift, one)
	}
	return drift, nil
}

// firstDifference quotes the first line in which two texts differ.
func firstDifference(a, b string) (string, string) {
	left := strings.Split(a, "\n")
	right := strings.Split(b, "\n")
	for i := range max(len(left), len(right)) {
		var one, other string
		if i < len(left) {
			one = left[i]
		}
		if i < len(right) {
			other = right[i]
		}
		if one != other {
			return around(one, other), around(other, one)
		}
	}
	return "", ""
}

// around cuts a line to the part where it begins to differ from other.
func around(line, other string) string {
	same := 0
	for same < min(len(line), len(other)) && line[same] == other[same] {
		same++
	}
	from := max(0, same-driftText/2)
	to := min(len(line), from+driftText)
	return strings.ToValidUTF8(strings.TrimSpace(line[from:to]), "�")
}

// define reads all definitions of one member.
func (r *run) define(ctx context.Context, s *tablesql.Session) (definitions, error) {
	out := make(definitions)
	if err := s.Exec(ctx, "SET SESSION group_concat_max_len = 1048576"); err != nil {
		return nil, err
	}
	for _, one := range definitionQueries {
		err := s.Rows(ctx, one.query, func(row []sql.RawBytes) error {
			text := tablesql.Texts(row)
			name := text[1]
			if text[0] != "" {
				name = text[0] + "." + name
			}
			out[object{one.kind, name}] += text[2]
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if err := r.defineTables(ctx, s, out); err != nil {
		return nil, err
	}
	for _, one := range grantTables {
		if err := defineGrants(ctx, s, one.kind, one.table, "CONCAT("+one.user+", '@', "+one.host+")", out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *run) defineTables(ctx context.Context, s *tablesql.Session, out definitions) error {
	tables, err := tablesql.List(ctx, s)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if !r.filter.has(table.TableName) {
			continue
		}
		text, err := tablesql.Definition(ctx, s, table.TableName)
		if errors.Is(err, tablesql.ErrTableChanged) {
			continue // dropped just now
		}
		if err != nil {
			return err
		}
		out[object{"Table", table.String()}] = text
	}
	return nil
}

// defineGrants reads one table of accounts: digests of its rows, by account.
func defineGrants(ctx context.Context, s *tablesql.Session, kind, table, account string, out definitions) error {
	var columns []string
	err := s.Rows(ctx, `SELECT COLUMN_NAME FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = `+tablesql.Text(table)+`
		AND COLUMN_NAME NOT IN ('Timestamp', 'Grantor', 'password_last_changed') ORDER BY ORDINAL_POSITION`, func(row []sql.RawBytes) error {
		columns = append(columns, "IFNULL(HEX("+tablesql.Name(string(row[0]))+"), 'N')")
		return nil
	})
	if err != nil {
		return err
	}
	digest := "LEFT(SHA2(CONCAT_WS('#', " + strings.Join(columns, ", ") + "), 256), 16)"
	return s.Rows(ctx, "SELECT "+account+", "+digest+" FROM mysql."+table+" ORDER BY 1, 2", func(row []sql.RawBytes) error {
		out[object{kind, string(row[0])}] += fmt.Sprintf("%s %s\n", table, row[1])
		return nil
	})
}
