package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// printCourse shows what was seen between a fault and the first write after it, all on
// one clock: the members' own stamps, the Service and its endpoints as a watch sees them,
// and what clients were told.
func printCourse(result harness.Result, at, until history.Stamp) {
	type moment struct {
		at   history.Stamp
		what string
	}
	var all []moment
	add := func(stamp history.Stamp, format string, args ...any) {
		if stamp >= at && stamp <= until.Add(50*time.Millisecond) {
			all = append(all, moment{stamp, fmt.Sprintf(format, args...)})
		}
	}
	for _, i := range result.Intervals {
		add(i.From, "%s opens at epoch %d", i.Member, i.Epoch)
		add(i.To, "%s has closed (%s)", i.Member, i.Why)
	}
	for _, stamp := range result.Moves {
		add(stamp, "the Service leads to another mysqld")
	}
	for _, stamp := range result.Changes {
		add(stamp, "an EndpointSlice changed")
	}
	last := map[string]history.Attempt{}
	first := map[string]history.Attempt{}
	for _, a := range result.Report.Attempts {
		if a.Acknowledged() || a.Done < at {
			continue
		}
		if have, ok := first[a.Error]; !ok || a.Done < have.Done {
			first[a.Error] = a
		}
		if a.Done > last[a.Error].Done {
			last[a.Error] = a
		}
	}
	for text, a := range first {
		add(a.Done, "first of %q", text)
		add(last[text].Sent, "last attempt to end in %q, after %s", text, last[text].Done.Sub(last[text].Sent).Round(time.Millisecond))
	}
	add(until, "first acknowledged write")
	slices.SortFunc(all, func(a, b moment) int { return int(a.at - b.at) })
	for _, m := range all {
		fmt.Printf("  %6d ms  %s\n", m.at.Sub(at).Milliseconds(), m.what)
	}
}
