package controllers

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

func TestAnAgentGetsWhatIsArchivedWhenThatIsNewOrMayBeLost(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	told := archivedTold{
		start: "a",
		gtids: "1-3",
		at:    now,
	}
	for name, tc := range map[string]struct {
		told  archivedTold
		start string
		gtids string
		after time.Duration
		want  bool
	}{
		"an agent that got no report":      {archivedTold{}, "a", "1-3", 0, true},
		"an agent that was started again":  {told, "b", "1-3", time.Second, true},
		"the same":                         {told, "a", "1-3", 30 * time.Second, false},
		"the same, after a while":          {told, "a", "1-3", time.Minute, true},
		"more, at once":                    {told, "a", "1-4", time.Second, false},
		"more, when some time has gone by": {told, "a", "1-4", archivedNewsEvery, true},
	} {
		if got := tc.told.due(pair.AgentStart(tc.start), tc.gtids, now.Add(tc.after)); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
