package repair

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// unique is a unique key other than the primary one.
type unique struct {
	name    string
	columns []tablesql.Column
	// whole is false when it covers parts of columns or expressions.
	whole bool
}

// refusals lists why the table cannot be repaired, all reasons at once.
func (r *run) refusals(ctx context.Context) ([]string, error) {
	var reasons []string
	for _, member := range []*tablesql.Member{r.primary, r.passive} {
		s, err := member.Session(ctx)
		if err != nil {
			return nil, err
		}
		found, err := r.refusalsOn(ctx, s, member == r.primary)
		s.Close()
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			if !slices.Contains(reasons, one) {
				reasons = append(reasons, one)
			}
		}
	}
	return reasons, nil
}

func (r *run) refusalsOn(ctx context.Context, s *tablesql.Session, primary bool) (reasons []string, err error) {
	table, err := tablesql.Load(ctx, s, r.Table)
	if errors.Is(err, tablesql.ErrTableChanged) {
		return []string{fmt.Sprintf("there is no such table on %s: give <schema>.<table> as the primary spells it, "+
			"and make it on both members first", s.MemberName())}, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case table.Engine != "InnoDB":
		reasons = append(reasons, "its engine is "+table.Engine+", which has no transactions")
	case table.Key == nil || !table.Key.IsPrimary():
		reasons = append(reasons, "it has no primary key, so that the passive would not find the rows: "+
			"add one by ALTER TABLE … ADD PRIMARY KEY on the primary, or seed the passive again")
	case !table.Key.IsExact():
		reasons = append(reasons, "its primary key has floating point numbers, which cannot be named exactly")
	}
	if primary {
		r.table = table
		if r.uniques, err = loadUniques(ctx, s, table); err != nil {
			return nil, err
		}
		row, err := s.Row(ctx, "SELECT @@GLOBAL.binlog_format, @@GLOBAL.binlog_row_image")
		if err != nil {
			return nil, err
		}
		if row[0] != "ROW" || row[1] != "FULL" {
			reasons = append(reasons, fmt.Sprintf("the primary logs in format %s with %s row images: a repair needs ROW and FULL", row[0], row[1]))
		}
	}
	here := "_SCHEMA = " + tablesql.Text(r.Table.Schema)
	err = s.Rows(ctx, "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT"+here+
		" AND EVENT_OBJECT_TABLE = "+tablesql.Text(r.Table.Name), func(row []sql.RawBytes) error {
		reasons = append(reasons, fmt.Sprintf("its trigger %s would run for rows that are only rewritten", row[0]))
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.Rows(ctx, `SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE
		FROM information_schema.REFERENTIAL_CONSTRAINTS
		WHERE UNIQUE_CONSTRAINT`+here+` AND REFERENCED_TABLE_NAME = `+tablesql.Text(r.Table.Name)+`
		AND (DELETE_RULE NOT IN ('NO ACTION', 'RESTRICT') OR UPDATE_RULE NOT IN ('NO ACTION', 'RESTRICT'))`, func(row []sql.RawBytes) error {
		reasons = append(reasons, fmt.Sprintf("the foreign key %s of %s.%s says ON DELETE %s ON UPDATE %s: "+
			"rewriting a row could change rows there", row[2], row[0], row[1], row[3], row[4]))
		return nil
	})
	return reasons, err
}

func loadUniques(ctx context.Context, s *tablesql.Session, table *tablesql.Table) ([]unique, error) {
	var list []unique
	err := s.Rows(ctx, `SELECT INDEX_NAME, COALESCE(COLUMN_NAME, ''), SUB_PART IS NULL AND EXPRESSION IS NULL
		FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = `+tablesql.Text(table.Schema)+` AND TABLE_NAME = `+tablesql.Text(table.Name)+`
		AND NON_UNIQUE = 0 AND INDEX_NAME <> 'PRIMARY' ORDER BY INDEX_NAME, SEQ_IN_INDEX`, func(row []sql.RawBytes) error {
		name := string(row[0])
		if len(list) == 0 || list[len(list)-1].name != name {
			list = append(list, unique{name: name, whole: true})
		}
		one := &list[len(list)-1]
		column, found := table.Column(string(row[1]))
		one.columns = append(one.columns, column)
		one.whole = one.whole && found && string(row[2]) == "1"
		return nil
	})
	return list, err
}
