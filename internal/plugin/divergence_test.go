package plugin

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// forked is a pair whose members have these transactions. Neither volume has binary logs.
func forked(t *testing.T, primary, passive agentapi.State) *world {
	t.Helper()
	w := newWorld(t, healthy())
	w.execer.volumes = map[string]string{"shop-0": t.TempDir(), "shop-1": t.TempDir()}
	w.execer.states["shop-0"] = primary
	w.execer.states["shop-1"] = passive
	return w
}

func holds(phase agentapi.Phase, gtids string) agentapi.State {
	return agentapi.State{
		Phase:  phase,
		Mysqld: agentapi.Mysqld{Running: true},
		Server: &agentapi.Server{BinlogGTIDs: gtids},
	}
}

func TestADivergenceShowsBothSidesAndTheWaysOut(t *testing.T) {
	w := forked(t,
		holds(agentapi.PhaseOpen, uuid0+":1-9,"+uuid1+":1-3"),
		holds(agentapi.PhaseClosed, uuid0+":1-5,"+uuid1+":1-7"))
	out, _, err := w.call(t, "", "divergence", "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"shop-0 (Primary, Open)", "shop-1 (Passive, Closed)", uuid0 + ":6-9", uuid1 + ":4-7",
		"shop-1: " + uuid1 + ":4-7 are not counted: ",
		"Keep the data of shop-0:\n  kubectl dbpair reseed shop shop-1 -n default\n  loses the 4 transactions that only shop-1 has; " +
			uuid1 + ":4-7 of them are in no binary log that can be read",
		"Keep the data of shop-1:\n  kubectl dbpair force-promote shop shop-1 -n default\n  kubectl dbpair reseed shop shop-0 -n default\n" +
			"  loses the 4 transactions that only shop-0 has, also those that clients were told are safe; ",
		"; the sessions of clients end\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, _, err = w.call(t, "", "divergence", "shop", "-o", "json")
	if err != nil || !strings.Contains(out, `"keep": "shop-1"`) || !strings.Contains(out, `"gtids": "`+uuid1+`:4-7"`) {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestChangesOfADivergenceComeFromTheBinaryLogs(t *testing.T) {
	w := forked(t, holds(agentapi.PhaseOpen, uuid0+":1-9"), holds(agentapi.PhaseClosed, uuid1+":1"))
	w.execer.answers = func(pod string, args []string) string {
		if args[0] != "changes" {
			t.Errorf("%s was asked for %q", pod, args)
		}
		if pod == "shop-0" {
			return `{"transactions":9,"gtids":"` + uuid0 + `:1-9","first":"2026-01-02T03:04:05Z","last":"2026-01-02T03:09:05Z",` +
				`"tables":[{"schema":"app","table":"orders","inserted":12,"updated":3},{"schema":"app","table":"x","deleted":1}]}`
		}
		return `{"transactions":1,"gtids":"` + uuid1 + `:1",` +
			`"tables":[{"schema":"app","table":"orders","deleted":2}],"withStatements":1,"unread":1}`
	}
	out, _, err := w.call(t, "", "divergence", "shop")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "divergence.txt", out)
}

func TestNothingHasDivergedWhileThePassiveIsOnlyBehind(t *testing.T) {
	w := forked(t, holds(agentapi.PhaseOpen, uuid0+":1-9"), holds(agentapi.PhaseClosed, uuid0+":1-5"))
	out, _, err := w.call(t, "", "divergence", "shop")
	if want := "shop-1 has no transactions that shop-0 lacks: nothing has diverged\n"; err != nil || out != want {
		t.Errorf("%q, %v", out, err)
	}
}

// TestAMemberWhoseMysqldIsDownIsReadFromItsVolume: such a member cannot be promoted, which is said
// instead of a command that would be refused.
func TestAMemberWhoseMysqldIsDownIsReadFromItsVolume(t *testing.T) {
	w := forked(t, holds(agentapi.PhaseOpen, uuid0+":1-9"), agentapi.State{Phase: agentapi.PhaseHeld})
	w.execer.answers = func(_ string, args []string) string {
		if args[0] == "executed" {
			return `{"gtids":"` + uuid0 + `:1-10"}`
		}
		return `{"transactions":1,"gtids":"` + uuid0 + `:10"}`
	}
	out, _, err := w.call(t, "", "divergence", "shop")
	want := "Keep the data of shop-1: not possible now, shop-1 is Held: only a member whose mysqld runs can be promoted\n"
	if err != nil || !strings.Contains(out, want) || strings.Contains(out, "force-promote") {
		t.Errorf("%v:\n%s", err, out)
	}
	w.execer.answers = nil
	if _, _, err := w.call(t, "", "divergence", "shop"); err == nil || !strings.Contains(err.Error(), "shop-1") {
		t.Errorf("a member without binary logs: %v", err)
	}
	delete(w.execer.states, "shop-1")
	if _, _, err := w.call(t, "", "divergence", "shop"); err == nil || !strings.Contains(err.Error(), "the agent of shop-1 does not answer") {
		t.Errorf("a member that does not answer: %v", err)
	}
}

func TestStatusNamesWhatHasDiverged(t *testing.T) {
	passive := holds(agentapi.PhaseClosed, uuid1+":1-7")
	passive.DataID = "data-1"
	passive.Mysqld.Incarnation = "run-2"
	for name, c := range map[string]struct {
		found *agentapi.Comparison
		want  bool
	}{
		"errant":          {&agentapi.Comparison{DataID: "data-1", Incarnation: "run-2", Errant: uuid1 + ":4-7"}, true},
		"none":            {&agentapi.Comparison{DataID: "data-1", Incarnation: "run-2"}, false},
		"of a former run": {&agentapi.Comparison{DataID: "data-1", Incarnation: "run-1", Errant: uuid1 + ":4-7"}, false},
		"of former data":  {&agentapi.Comparison{DataID: "data-0", Incarnation: "run-2", Errant: uuid1 + ":4-7"}, false},
	} {
		passive.Compared = c.found
		w := forked(t, holds(agentapi.PhaseOpen, uuid0+":1-9"), passive)
		out, _, err := w.call(t, "", "status", "shop")
		want := "shop-1 has transactions that the primary lacks: " + uuid1 + ":4-7\n" +
			"By table, and the ways out: kubectl dbpair divergence shop -n default\n"
		if err != nil || strings.Contains(out, want) != c.want {
			t.Errorf("%s: %v:\n%s", name, err, out)
		}
	}
}
