package agent

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestAMemberSaysWhyItsNextCopyWaits(t *testing.T) {
	a := &seeding{
		log:   logr.Discard(),
		state: newTestBoard(),
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // no pause is waited for
	for i, step := range []struct {
		data   pair.DataID
		copied int64
		says   string
	}{
		{"data-2", 1, ""}, {"data-2", 1, ""},
		{"data-2", 1, "3 copies have failed in a row, the next one begins in 10s"},
		{"data-2", 0, ""}, // it did not reach the donor
		{"data-2", 1, "4 copies have failed in a row, the next one begins in 20s"},
		{"data-3", 1, ""}, // another order
	} {
		a.state.progress(&agentapi.SeedProgress{Bytes: step.copied})
		a.fail(ended, agentapi.SeedCommand{Donor: "shop-0", DataID: step.data}, errors.New("no route"))
		problems := a.state.snapshot().Problems
		if len(problems) != 1 || problems[0].Code != agentapi.ProblemSeedFailed {
			t.Fatalf("failure %d: %+v", i+1, problems)
		}
		text := problems[0].Message
		if !strings.HasPrefix(text, "seed from shop-0: no route") || !strings.HasSuffix(text, step.says) ||
			strings.Contains(text, "in a row") != (step.says != "") {
			t.Errorf("failure %d: %q", i+1, text)
		}
	}
}
