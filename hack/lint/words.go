package main

import (
	"fmt"
	"regexp"
	"strings"
)

// dialect are words that only this project would understand, or that US English spells otherwise, with
// what to write. A name is matched anywhere, so that it does not come back inside another one.
var dialect = []struct {
	pattern string
	say     string
}{
	{`(?i)\bperson's word\b`, "the administrator's confirmation"},
	{`(?i)\bpair's truth\b|whose data is the truth`, "the authoritative member"},
	{`(?i)\bwished for\b|\bthe wish\b`, "the desired state"},
	{`(?i)\b(somebody|someone) else's hand\b`, "modified externally"},
	{`(?i)\bwent back in time\b|HolderWentBack`, "was restored from an older state, PrimaryDataRolledBack"},
	{`(?i)\bshown to have\b`, "verified to have received"},
	{`(?i)\bplanted bugs?\b`, "mutants"},
	{`NeedsWord|[tT]akeWord|ProveWord|[wW]ordUpTo`, "(peer) confirmation"},
	{`LookAgain|StepLook|[lL]ookSoon`, "StaleObservation, ReadLease, requeueSoon"},
	{`TakesItself`, "ClaimsHolder"},
	{`BeginningStuck|BeginAnew`, "BootstrapStalled, RestartBootstrap"},
	{`AwaitWaiting|WaitingInterrupted|WaitingLost|SetWaiting`, "SemiSync…"},
	{`FormerPodGoes`, "DeleteFormerPrimaryPod"},
	{`(Fence|Fenced|Force|Asked)ByPerson`, "…Requested, Manually…"},
	{`\b(refuser|refusedStill|notForgotten|doorkeeper|liveBy|toldToEnd|surroundOwed)\b`, "the standard term (docs/concepts.md)"},
	{`ErrForGood`, "ErrPermanent"},
	{`\bLeniency\b`, "IdempotentApplier"},
	{`COMMITS WAIT`, "SEMI-SYNC"},
	{`(?i)\b(behaviour|colour|favour|honour|centre|licence|catalogue|whilst|labelled|modelled)`, "the US spelling"},
	{`(?i)\b(initial|serial|normal|organ|recogn|synchron|author|final|minim|maxim)is(e|ed|es|ing|ation)\b`, "the US spelling, with z"},
}

// checkDialect finds words that a Kubernetes engineer or a DBA would not understand at first reading. The
// list itself, and the license, are left out.
func checkDialect(file, text string) []string {
	if strings.HasPrefix(file, "hack/lint/") || file == "LICENSE" {
		return nil
	}
	var found []string
	for _, d := range dialect {
		pattern := regexp.MustCompile(d.pattern)
		if !pattern.MatchString(text) {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			if word := pattern.FindString(line); word != "" {
				found = append(found, fmt.Sprintf("%s:%d: %q: say %s", file, i+1, word, d.say))
			}
		}
	}
	return found
}
