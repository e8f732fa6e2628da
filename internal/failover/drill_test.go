package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

func TestUnfitForDrill(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*failover.Observation)
		want  string // empty: fit
	}{
		"a steady pair": {func(*failover.Observation) {}, ""},
		"mode Manual":   {func(o *failover.Observation) { o.Settings.AutomaticFailover = false }, ""},
		"paused":        {func(o *failover.Observation) { o.Settings.Paused = true }, "spec.paused is set"},
		"deleted":       {func(o *failover.Observation) { o.Settings.Deleting = true }, "being deleted"},
		"no Lease":      {func(o *failover.Observation) { o.Authority.Reading = failover.Unread }, "the Lease could not be read"},
		"no primary":    {func(o *failover.Observation) { *o = between() }, "nobody is the primary"},
		"no passive":    {func(o *failover.Observation) { *o = solo() }, "shop-1"},
		"a rollout": {func(o *failover.Observation) {
			o.Settings.AutomaticRollout = true
			o.Members[1].Pod.Outdated = "spec.mysql.image"
		}, "1 of 2 members run generation"},
		"a restart that is asked for": {func(o *failover.Observation) { o.Members[0].Pod.RestartAsked = true }, "a restart of shop-0 is asked for"},
		"an operation": {func(o *failover.Observation) {
			o.Operations = []failover.Operation{{Name: "mine", Verb: failover.VerbReseed, Confirmed: -1}}
		}, "operation mine is not finished"},
		"a comparison": {func(o *failover.Observation) { o.Jobs = []string{"compare"} }, "operation compare is running"},
		"the flap budget": {func(o *failover.Observation) {
			for range o.Settings.MaxPerHour {
				o.History.Failovers = append(o.History.Failovers, o.Now.Add(-time.Minute))
			}
		}, "failover.maxPerHour"},
		"a backlog": {func(o *failover.Observation) { o.Members[1].State.Server.LagSeconds = 2 }, "shop-1 lags"},
		"a definition that changes": {func(o *failover.Observation) {
			o.Members[0].State.Server.InFlight = []agentapi.Session{{ID: 7, User: "app", DDL: true}}
		}, "changes of definitions"},
		"a long transaction that is not to be cut": {func(o *failover.Observation) {
			o.Members[0].State.Server.InFlight = []agentapi.Session{{ID: 7, User: "app", Age: time.Minute}}
		}, "session 7"},
	} {
		t.Run(name, func(t *testing.T) {
			o := steady()
			c.spoil(&o)
			parameters := failover.Switchover{DrainTimeout: time.Second, Deadline: time.Minute, GiveUp: true}
			got := failover.UnfitForDrill(o, failover.Decide(o), parameters)
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A plan that Decide did not make, such as that of a pair whose names are taken, has no readiness.
func TestUnfitForDrillWithoutReadiness(t *testing.T) {
	for want, p := range map[string]failover.Plan{
		"the name is taken":            {Rule: "NameConflict", Kind: failover.Holds, Fact: "the name is taken"},
		"the pair could not fail over": {},
	} {
		if got := failover.UnfitForDrill(steady(), p, failover.Switchover{}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The trigger of a drill is on its record from the begin of the drain.
func TestADrillIsRecordedAsOne(t *testing.T) {
	for want, change := range map[failover.RuleName]func(*failover.Operation){
		failover.RuleDrainForSwitchover: func(*failover.Operation) {},
		failover.RuleRollout:            func(op *failover.Operation) { op.ByOperator = true },
		failover.RuleDrill: func(op *failover.Operation) {
			op.ByOperator = true
			op.Drill = true
		},
	} {
		o := switchoverAsked()
		change(&o.Operations[0])
		note, ok := failover.Decide(o).Steps[0].(failover.NoteOperation)
		if !ok || note.Note.Rule != want {
			t.Errorf("recorded as %+v, want %s", note.Note, want)
		}
	}
}
