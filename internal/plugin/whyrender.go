package plugin

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// renderWhy writes an answer for people: the decision first, then what it rests on.
func renderWhy(out io.Writer, w Why, p paint) error {
	var b strings.Builder
	primary := w.Primary
	if primary == "" {
		primary = p.in(red, "nobody accepts writes")
	}
	fmt.Fprintf(&b, "%s in namespace %s\n  primary   %s\n  epoch     %d\n", p.in(bold, w.Pair), w.Namespace, primary, w.Epoch)
	renderDecision(&b, w, p)
	renderNotGood(&b, w, p)
	renderFacts(&b, w)
	renderOperations(&b, w)
	renderEvents(&b, w, p)
	_, err := io.WriteString(out, b.String())
	return err
}

func renderDecision(b *strings.Builder, w Why, p paint) {
	d := w.Decision
	if d == nil {
		fmt.Fprintf(b, "\n%s\n", p.in(yellow, "The operator has published no decision: is it running, and not older than this plugin?"))
		return
	}
	fmt.Fprintf(b, "\n%s %s: %s, since %s\n",
		p.in(bold, "Last decision"), p.in(colorOfKind(string(d.Kind)), d.Rule), kindText(string(d.Kind)), at(d.Since.Time))
	line(b, "fact", d.Message)
	renderRule(b, d.RuleWhy, d.Rule)
}

// renderRule writes what the tables say about a rule.
func renderRule(b *strings.Builder, r RuleWhy, name string) {
	if r.Says == "" {
		line(b, "rule", name+" is in none of this plugin's tables of rules: docs/conditions.md lists the reasons that are not rules")
		return
	}
	line(b, "rule", r.Says)
	line(b, "until", r.Until)
	line(b, "runbook", r.Runbook)
}

func line(b *strings.Builder, name, text string) {
	if text != "" {
		fmt.Fprintf(b, "  %-9s %s\n", name, text)
	}
}

// kindText is what a kind of decision means.
func kindText(kind string) string {
	text := map[string]string{
		"Settled": "nothing is to be done",
		"Acts":    "the operator acts",
		"Waits":   "it waits for what is under way",
		"Holds":   "something is not as the spec demands, and not the operator's to change unasked",
		"Doubts":  "nothing may be done without a proof or a person",
	}[kind]
	if text == "" {
		return kind
	}
	return text
}

func colorOfKind(kind string) string {
	switch kind {
	case "Settled":
		return green
	case "Doubts":
		return red
	}
	return yellow
}

// renderNotGood writes the conditions that are not as they should be. A rule that the decision
// or a condition above was explained by is not explained again.
func renderNotGood(b *strings.Builder, w Why, p paint) {
	explained := map[string]bool{}
	if w.Decision != nil {
		explained[w.Decision.Rule] = true
	}
	for _, c := range w.Conditions {
		status := p.in(colorOf(c.Type, string(c.Status)), c.Type+" is "+string(c.Status))
		fmt.Fprintf(b, "\n%s by %s, since %s\n", status, c.Reason, at(c.LastTransitionTime.Time))
		line(b, "fact", c.Message)
		if !explained[c.Reason] && c.Says != "" {
			renderRule(b, c.RuleWhy, c.Reason)
		}
		explained[c.Reason] = true
	}
}

// renderFacts writes what the members and the Lease said when the status was written.
func renderFacts(b *strings.Builder, w Why) {
	if len(w.Members) > 0 {
		rows := [][]string{{"MEMBER", "ROLE", "STATE", "IN SYNC", "LAG", "PROBLEM"}}
		for _, m := range w.Members {
			rows = append(rows, memberRow(m, w.InSync))
		}
		b.WriteString("\n")
		table(b, rows)
	}
	if a := w.Authority; a != nil {
		ledger := a.Ledger
		if a.LedgerFirst != "" {
			ledger += "(" + a.LedgerFirst + ")"
		}
		fmt.Fprintf(b, "The Lease names %s at epoch %d; its ledger is %s, version %d.\n", dash(a.Holder), a.Epoch, dash(ledger), a.LedgerVersion)
	}
}

func memberRow(m v1alpha1.MemberStatus, inSync []string) []string {
	synced := "no"
	for _, name := range inSync {
		if name == m.Name {
			synced = "yes"
		}
	}
	lag := "-"
	if m.LagSeconds != nil {
		lag = fmt.Sprintf("%ds", *m.LagSeconds)
	}
	return []string{m.Name, string(m.Role), m.State, synced, lag, dash(m.Problem)}
}

func renderOperations(b *strings.Builder, w Why) {
	if len(w.Operations) == 0 {
		return
	}
	rows := [][]string{{"OPERATION", "TYPE", "PHASE", "TRIGGER", "MESSAGE"}}
	for _, op := range w.Operations {
		rows = append(rows, []string{op.Name, op.Type, op.Phase, dash(op.Trigger), dash(op.Message)})
	}
	b.WriteString("\n")
	table(b, rows)
	said := map[string]bool{}
	for _, op := range w.Operations {
		if op.Says != "" && !said[op.Trigger] {
			said[op.Trigger] = true
			fmt.Fprintf(b, "%s: %s\n", op.Trigger, op.Says)
		}
	}
}

func renderEvents(b *strings.Builder, w Why, p paint) {
	if w.EventsError != "" {
		fmt.Fprintf(b, "\n%s\n", p.in(yellow, "No events are shown: "+w.EventsError))
		return
	}
	if len(w.Events) == 0 {
		return
	}
	rows := [][]string{{"EVENT", "TYPE", "REASON", "MESSAGE"}}
	for _, e := range w.Events {
		rows = append(rows, []string{at(e.Time.Time), e.Type, e.Reason, e.Message})
	}
	b.WriteString("\n")
	table(b, rows)
}

// at is a time as it is printed.
func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }
