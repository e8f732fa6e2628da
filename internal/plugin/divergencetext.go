package plugin

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

func renderDivergence(out io.Writer, d Divergence) error {
	var b strings.Builder
	if len(d.Ways) == 0 {
		fmt.Fprintf(&b, "%s has no transactions that %s lacks: nothing has diverged\n", d.Sides[1].Member, d.Sides[0].Member)
	} else {
		fmt.Fprintf(&b, "The members of %s in namespace %s have diverged:\n\n", d.Pair, d.Namespace)
		table(&b, sidesTable(d.Sides))
		writeProblems(&b, d.Sides)
		for _, way := range d.Ways {
			writeWay(&b, way)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// sidesTable has a column for each member.
func sidesTable(sides []Side) [][]string {
	rows := [][]string{{""}, {"only there"}, {"transactions"}, {"first"}, {"last"}}
	for _, side := range sides {
		changes := agentapi.BinlogChanges{}
		if side.Changes != nil {
			changes = *side.Changes
		}
		rows[0] = append(rows[0], fmt.Sprintf("%s (%s, %s)", side.Member, side.Role, side.State))
		rows[1] = append(rows[1], dash(side.GTIDs))
		rows[2] = append(rows[2], fmt.Sprint(side.own.Count()))
		rows[3] = append(rows[3], instant(changes.First))
		rows[4] = append(rows[4], instant(changes.Last))
	}
	names := map[string]bool{}
	counts := make([]map[string]string, len(sides))
	for i, side := range sides {
		counts[i] = countsOf(side.Changes)
		for name := range counts[i] {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row := []string{name}
		for i := range sides {
			row = append(row, dash(counts[i][name]))
		}
		rows = append(rows, row)
	}
	return rows
}

func instant(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

// countsOf says by table what a side changed, and what cannot be counted in rows.
func countsOf(changes *agentapi.BinlogChanges) map[string]string {
	counts := map[string]string{}
	if changes == nil {
		return counts
	}
	for _, t := range changes.Tables {
		counts[printable(t.Schema+"."+t.Table)] = rowsText(t)
	}
	if changes.WithStatements > 0 {
		counts["(statements)"] = fmt.Sprintf("%d transactions", changes.WithStatements)
	}
	return counts
}

func rowsText(t agentapi.QuarantineTable) string {
	var parts []string
	for _, kind := range []struct {
		rows int64
		word string
	}{{t.Inserted, "inserted"}, {t.Updated, "updated"}, {t.Deleted, "deleted"}} {
		if kind.rows > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", kind.rows, kind.word))
		}
	}
	return strings.Join(parts, ", ")
}

func writeProblems(b *strings.Builder, sides []Side) {
	for _, side := range sides {
		switch c := side.Changes; {
		case c == nil:
		case c.NotFound != "" && c.Problem != "":
			fmt.Fprintf(b, "%s: %s are not counted: %s\n", side.Member, c.NotFound, printable(c.Problem))
		case c.NotFound != "":
			fmt.Fprintf(b, "%s: %s are in none of its binary logs any more and are not counted\n", side.Member, c.NotFound)
		}
		if side.Changes != nil && side.Changes.Unread > 0 {
			fmt.Fprintf(b, "%s: rows of %d transactions could not be read and are not counted\n", side.Member, side.Changes.Unread)
		}
	}
}

func writeWay(b *strings.Builder, way Way) {
	fmt.Fprintf(b, "\nKeep the data of %s", way.Keep)
	if way.NotOpen != "" {
		fmt.Fprintf(b, ": not possible now, %s\n", way.NotOpen)
		return
	}
	b.WriteString(":\n")
	for _, command := range way.Commands {
		fmt.Fprintf(b, "  %s\n", command)
	}
	fmt.Fprintf(b, "  loses %s\n", way.Loses)
}
