package failover_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/failover"
)

// A release that is answered only after its fence has ended was once refused with
// "nothing is fenced", although it had done its work.
func TestReleaseIsNotedWhileTheFenceStands(t *testing.T) {
	o := between()
	o.Operations = []failover.Operation{op(failover.VerbFence, "", -1), {Name: "op-2", Verb: failover.VerbRelease, Confirmed: -1}}
	plan := failover.Decide(o)
	if len(plan.Steps) != 1 {
		t.Fatalf("plan %+v, want one step", plan)
	}
	note, ok := plan.Steps[0].(failover.NoteOperation)
	if !ok || note.Note.Name != "op-2" || note.Note.Phase != failover.OperationRunning {
		t.Fatalf("step %+v, want the note that op-2 runs", plan.Steps[0])
	}
}
