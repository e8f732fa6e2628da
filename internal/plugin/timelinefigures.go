package plugin

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

// figuresOf are what a reader wants to know first.
func figuresOf(st *v1alpha1.OperationStatus) []figure {
	var out []figure
	if st.From != "" || st.To != "" {
		out = append(out, figure{"Primary", dash(st.From) + " → " + dash(st.To), epochNote(st)})
	}
	if st.StartTime != nil {
		f := figure{"Duration", "not finished", "since " + at(st.StartTime.Time)}
		if st.CompletionTime != nil {
			f.Value = aligned(st.CompletionTime.Sub(st.StartTime.Time))
			f.Note = "from " + at(st.StartTime.Time)
		}
		out = append(out, f)
	}
	if st.WriteGap != nil {
		out = append(out, figure{"Write gap", aligned(st.WriteGap.Duration), "no member accepted writes, measured by the agents"})
	}
	if st.Proof != "" {
		out = append(out, figure{"Proof", st.Proof, "that the former primary was closed"})
	}
	if d := st.Drain; d != nil {
		out = append(out,
			figure{"Sessions drained", strconv.Itoa(int(d.Closed)), "closed outside a transaction, nothing lost"},
			figure{"Sessions cut", strconv.Itoa(int(d.Cut)), "in a transaction or statement at the end of drainTimeout"})
	}
	if h := st.Held; h != nil {
		note := "at the door of the new primary, the longest for " + aligned(h.Longest.Duration)
		out = append(out, figure{"Clients held", strconv.Itoa(int(h.Clients)), note})
	}
	if f, ok := heldFigure(st); ok {
		out = append(out, f)
	}
	if d := st.Discarded; d != nil {
		note := "received and not applied; relay log saved"
		if len(d.List) > 0 {
			note = "on the copied member only; binary logs saved"
		}
		out = append(out, figure{"Discarded", fmt.Sprintf("%d transactions", d.Transactions), note})
	}
	return append(out, resultFigures(st.Result)...)
}

func epochNote(st *v1alpha1.OperationStatus) string {
	if st.Epoch == 0 {
		return ""
	}
	return fmt.Sprintf("begun at epoch %d", st.Epoch)
}

// heldFigure is for how long clients were held at the door, as far as the steps say it.
func heldFigure(st *v1alpha1.OperationStatus) (figure, bool) {
	var first, last time.Time
	for _, e := range st.Timeline {
		switch failover.StepName(e.Step) {
		case failover.Hold{}.Name():
			if first.IsZero() {
				first = e.Time.Time
			}
		case failover.ReleaseHeld{}.Name():
			last = e.Time.Add(tookOf(e))
		default:
		}
	}
	if first.IsZero() || last.Before(first) {
		return figure{}, false
	}
	return figure{"Door held for", aligned(last.Sub(first)), "from the first step Hold to the last ReleaseHeld"}, true
}

// resultFigures are those of a comparison or a repair.
func resultFigures(r *v1alpha1.OperationResult) []figure {
	if r == nil {
		return nil
	}
	out := []figure{
		{"Tables", strconv.FormatInt(r.Tables, 10), fmt.Sprintf("%d could not be compared", r.TablesSkipped)},
		{"Rows that differ", strconv.FormatInt(r.DifferingRows, 10), fmt.Sprintf("of %d; %d definitions differ", r.Rows, r.SchemaDifferences)},
	}
	if r.RepairedRows > 0 {
		out = append(out, figure{"Rows repaired", strconv.FormatInt(r.RepairedRows, 10), ""})
	}
	return out
}

// gtidsOf are the sets of GTIDs that were recorded.
func gtidsOf(st *v1alpha1.OperationStatus) []figure {
	var all []figure
	if g := st.GTIDs; g != nil {
		all = append(all,
			figure{"Received", g.Received, "by the candidate when it had stopped receiving"},
			figure{"Executed", g.Executed, "by the candidate at that time"},
			figure{"Promoted", g.Promoted, "executed by it when it was appointed"},
			figure{"Former", g.Former, "in the binary log of the former primary, by its last answer"})
	}
	if d := st.Discarded; d != nil {
		all = append(all, figure{"Discarded", d.GTIDs, "saved in " + d.Directory})
	}
	var out []figure
	for _, f := range all {
		if f.Value != "" {
			// A line break may come between two sources.
			f.Value = strings.ReplaceAll(oneLine(f.Value), ",", ", ")
			out = append(out, f)
		}
	}
	return out
}

// factsOf are who asked for what, and when it was.
func factsOf(op *v1alpha1.DatabasePairOperation) []figure {
	all := []figure{
		{"Target", op.Spec.Target, ""},
		{"Reason", op.Spec.Reason, ""},
		{"Confirmed as", op.Spec.Confirm, ""},
	}
	if at := op.Status.StartTime; at != nil {
		all = append(all, figure{"Started", precise(at.Time), ""})
	}
	if at := op.Status.CompletionTime; at != nil {
		all = append(all, figure{"Completed", precise(at.Time), ""})
	}
	all = append(all, figure{"UID", string(op.UID), ""})
	var out []figure
	for _, f := range all {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

func precise(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// mostTicks is how many parts the axis has at most.
const mostTicks = 6

// ticksOf are marks of the axis at round times.
func ticksOf(whole time.Duration) []tick {
	if whole <= 0 {
		return nil
	}
	every := roundStep(whole)
	var out []tick
	for t := time.Duration(0); t <= whole; t += every {
		out = append(out, tick{At: percent(t, whole), Text: short(t)})
	}
	return out
}

// roundStep is the shortest round time of which the whole has no more than mostTicks.
func roundStep(whole time.Duration) time.Duration {
	least := max(whole/mostTicks, time.Microsecond)
	for _, unit := range []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if least >= time.Second && unit >= least {
			return unit
		}
	}
	if least >= time.Second {
		const day = 24 * time.Hour
		return (least + day - 1) / day * day
	}
	power := time.Duration(math.Pow10(int(math.Log10(float64(least)))))
	for _, factor := range []time.Duration{1, 2, 5} {
		if factor*power >= least {
			return factor * power
		}
	}
	return 10 * power
}

// percent is the share of a part, from 0 to 100, to hundredths.
func percent(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	share := min(max(float64(part)/float64(whole), 0), 1)
	return math.Round(share*1e4) / 1e2
}

// short is a duration as a mark of the axis has it.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', -1, 64) + " µs"
	case d < time.Second:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
	}
	return d.Round(time.Second).String()
}

// aligned is a measured duration, to milliseconds.
func aligned(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d == 0 || (d >= 10*time.Millisecond && d < time.Second):
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case d < time.Second:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " s"
	}
	return d.Round(time.Second).String()
}
