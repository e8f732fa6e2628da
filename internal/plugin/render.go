package plugin

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// render writes a report for people; a wide one has the members' GTIDs.
func render(out io.Writer, r Report, p paint, wide bool) error {
	var b strings.Builder
	renderHead(&b, r, p)
	renderMembers(&b, r, p)
	if wide {
		renderGTIDs(&b, r)
		renderReaders(&b, r)
	}
	renderDiverged(&b, r, p)
	renderConditions(&b, r, p)
	renderAdvice(&b, r, p)
	_, err := io.WriteString(out, b.String())
	return err
}

func renderHead(b *strings.Builder, r Report, p paint) {
	inSync := strings.Join(r.InSync, ", ")
	if inSync == "" {
		inSync = "-"
	}
	fmt.Fprintf(b, "%s in namespace %s\n", p.in(bold, r.Pair), r.Namespace)
	renderSummary(b, r, p)
	fmt.Fprintf(b, "\n  primary   %s\n  epoch     %d\n  in sync   %s\n", dash(r.Primary), r.Epoch, inSync)
	if r.LastFailover != "" {
		fmt.Fprintf(b, "  last      %s (kubectl dbpair report %s -n %s --html)\n", r.LastFailover, r.LastFailover, r.Namespace)
	}
	if r.Paused {
		fmt.Fprintf(b, "  %s\n", p.in(yellow, "paused: the operator changes nothing; agents still close a primary that lost its authority"))
	}
}

func renderMembers(b *strings.Builder, r Report, p paint) {
	rows := [][]string{{"MEMBER", "ROLE", "STATE", "NODE", "MYSQL", "LAG", "SEMI-SYNC"}}
	for _, m := range r.Members {
		waits := "no"
		if m.Waits {
			waits = fmt.Sprintf("yes (%d now)", m.WaitingCommits)
		}
		if m.Executed == "" {
			waits = "-"
		}
		lag := "-"
		if m.LagSeconds != nil && m.Role != v1alpha1.RolePrimary {
			lag = fmt.Sprintf("%ds", *m.LagSeconds)
		}
		rows = append(rows, []string{m.Name, string(m.Role), m.State, dash(m.Node), dash(m.MySQLVersion), lag, waits})
	}
	b.WriteString("\n")
	table(b, rows)
	for _, m := range r.Members {
		if m.Asked != "" {
			fmt.Fprintf(b, "%s\n", p.in(yellow, m.Name+": its agent did not answer: "+m.Asked))
		}
		if m.Copy != nil {
			fmt.Fprintf(b, "%s\n", m.Name+": "+describeCopy(*m.Copy))
		}
		if m.VolumeLow > 0 {
			fmt.Fprintf(b, "%s\n", p.in(yellow, fmt.Sprintf("%s: less than %d %% of its volume is free", m.Name, m.VolumeLow)))
		}
		if m.BinlogVolumeLow > 0 {
			fmt.Fprintf(b, "%s\n", p.in(yellow,
				fmt.Sprintf("%s: less than %d %% of the volume of its binary logs is free", m.Name, m.BinlogVolumeLow)))
		}
		if m.KnownEpoch > r.Epoch {
			fmt.Fprintf(b, "%s\n", p.in(red, fmt.Sprintf("%s: its agent knows epoch %d, which is newer than the pair's", m.Name, m.KnownEpoch)))
		}
	}
}

func renderGTIDs(b *strings.Builder, r Report) {
	rows := [][]string{{"MEMBER", "EXECUTED", "MISSING"}}
	for _, m := range r.Members {
		if m.Executed != "" {
			rows = append(rows, []string{m.Name, m.Executed, dash(m.Missing)})
		}
	}
	if len(rows) > 1 {
		b.WriteString("\n")
		table(b, rows)
	}
}

// renderReaders lists who reads the binary logs. How far one is mysqld says only of those who have
// caught up.
func renderReaders(b *strings.Builder, r Report) {
	rows := [][]string{{"BINLOG READER", "OF", "FROM", "UUID", "POSITION"}}
	for _, m := range r.Members {
		for _, one := range m.BinlogReaders {
			position := "behind"
			if one.CaughtUp {
				position = "caught up"
			}
			rows = append(rows, []string{one.User, m.Name, one.From, dash(one.ReplicaUUID), position})
		}
	}
	if len(rows) > 1 {
		b.WriteString("\n")
		table(b, rows)
	}
}

// renderDiverged names what a member has that the primary lacks. MISSING does not tell: a passive
// in order can have executed what the primary has not committed yet.
func renderDiverged(b *strings.Builder, r Report, p paint) {
	for _, m := range r.Members {
		if m.Errant != "" && m.Name != r.Primary {
			fmt.Fprintf(b, "\n%s\nBy table, and the ways out: kubectl dbpair divergence %s -n %s\n",
				p.in(red, fmt.Sprintf("%s has transactions that the primary lacks: %s", m.Name, m.Errant)), r.Pair, r.Namespace)
		}
	}
}

func renderConditions(b *strings.Builder, r Report, p paint) {
	rows := [][]string{{"CONDITION", "STATUS", "REASON", "MESSAGE"}}
	for _, name := range v1alpha1.ConditionTypes {
		for _, c := range r.Conditions {
			if c.Type == name {
				rows = append(rows, []string{c.Type, string(c.Status), c.Reason, c.Message})
			}
		}
	}
	if len(rows) == 1 {
		return
	}
	b.WriteString("\n")
	var text strings.Builder
	table(&text, rows)
	for i, line := range strings.SplitAfter(text.String(), "\n") {
		if i > 0 && i < len(rows) {
			line = p.in(colorOf(rows[i][0], rows[i][1]), strings.TrimSuffix(line, "\n")) + "\n"
		}
		b.WriteString(line)
	}
}

// goodStatus is the status of a condition that is as it should be.
func goodStatus(condition string) string {
	switch condition {
	case v1alpha1.ConditionInDoubt, v1alpha1.ConditionStalled, v1alpha1.ConditionAgentOutdated, v1alpha1.ConditionProgressing:
		return string(metav1.ConditionFalse)
	}
	return string(metav1.ConditionTrue)
}

// colorOf is green for what is as it should be.
func colorOf(condition, status string) string {
	switch {
	case status == goodStatus(condition):
		return green
	case condition == v1alpha1.ConditionInDoubt || condition == v1alpha1.ConditionAvailable || condition == v1alpha1.ConditionReady:
		return red
	}
	return yellow
}

func renderAdvice(b *strings.Builder, r Report, p paint) {
	if len(r.PrivilegedAccounts) > 0 {
		fmt.Fprintf(b, "\n%s %s\n", p.in(yellow, "Accounts whose rights bypass read-only:"), strings.Join(r.PrivilegedAccounts, ", "))
	}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// table aligns rows; the last column is never padded.
func table(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteString("\n")
	}
}

// describeCopy says how far a copy is, how fast it goes and what its stage still takes.
func describeCopy(c v1alpha1.MemberCopy) string {
	out := "is being copied: " + strings.ToLower(c.Stage)
	if c.EstimatedBytes > 0 {
		out += fmt.Sprintf(", %d of %d MiB", c.Bytes>>20, c.EstimatedBytes>>20)
	}
	if c.BytesPerSecond > 0 {
		out += fmt.Sprintf(", %.1f MiB/s", float64(c.BytesPerSecond)/(1<<20))
	}
	if c.Remaining != nil {
		out += fmt.Sprintf(", %s left", c.Remaining.Duration)
	}
	return out
}
