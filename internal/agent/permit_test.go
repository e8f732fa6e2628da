package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

func permitted(operation, table string, epoch pair.Epoch, limit time.Duration) agentapi.PermitRepairCommand {
	return agentapi.PermitRepairCommand{
		Command:   agentapi.Command{Epoch: epoch},
		Operation: operation,
		Schema:    "app",
		Table:     table,
		For:       limit,
	}
}

func TestARepairNeedsThePermissionOfTheOperator(t *testing.T) {
	for name, c := range map[string]struct {
		given     agentapi.PermitRepairCommand
		operation string
		table     string
		epoch     pair.Epoch
		says      string
	}{
		"what was permitted":          {permitted("r1", "people", 4, time.Minute), "r1", "people", 4, ""},
		"nothing was permitted":       {agentapi.PermitRepairCommand{}, "r1", "people", 4, "has not permitted"},
		"no operation":                {permitted("r1", "people", 4, time.Minute), "", "people", 4, "operation is empty"},
		"an operation without a name": {agentapi.PermitRepairCommand{}, "", "", 0, "operation is empty"},
		"another operation":           {permitted("r1", "people", 4, time.Minute), "r2", "people", 4, "has not permitted"},
		"another table":               {permitted("r1", "people", 4, time.Minute), "r1", "other", 4, "may repair table app.people, not app.other"},
		"another epoch":               {permitted("r1", "people", 4, time.Minute), "r1", "people", 5, "has not permitted"},
		"it has run out":              {permitted("r1", "people", 4, -time.Second), "r1", "people", 4, "has not permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			var p permit
			p.give(c.given, process.Now())
			err := p.useFor(c.operation, "app", c.table, c.epoch)
			if (c.says == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestRequestsOfTheJobExtendThePermissionWithinBounds(t *testing.T) {
	var p permit
	begin := process.Now()
	p.give(permitted("r1", "people", 4, time.Minute), begin)
	if err := p.use("r1", 4); err != nil {
		t.Fatal(err)
	}
	if got := p.until.Sub(begin); got < permitExtension {
		t.Errorf("extended to %s, want %s at least", got, permitExtension)
	}
	// The operator has said nothing for nearly as long as the Job may go on.
	p.latest = process.Now().Add(time.Second)
	p.until = process.Now().Add(500 * time.Millisecond)
	if err := p.use("r1", 4); err != nil {
		t.Fatal(err)
	}
	if p.until != p.latest {
		t.Errorf("extended beyond what the operator allows: %s", p.until.Sub(p.latest))
	}
	p.end("r2")
	if err := p.use("r1", 4); err != nil {
		t.Errorf("another operation ended it: %v", err)
	}
	p.end("r1")
	if err := p.use("r1", 4); err == nil {
		t.Error("an ended permission holds")
	}
}
