package sim

import (
	"math/rand/v2"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
)

// story is one of the courses of events in which bugs of this kind of protocol have been
// seen, with random times. What happens in one may happen without it; it is rare.
type story struct {
	name string
	tell func(t *teller) []fault
	// pending is the defect of the code that this story finds and that is not fixed yet: it is
	// told only with -pending. Empty for a story that holds.
	pending string
}

// stories are drawn with equal weight.
var stories = joinStories(ledgerStories, timeStories, podStories, loadStories, switchoverStories, rolloutStories, hibernationStories, storeStories, hostileStories)

func joinStories(sets ...[]story) []story {
	var out []story
	for _, set := range sets {
		out = append(out, set...)
	}
	return out
}

// teller draws what a story leaves to chance.
type teller struct {
	r *rand.Rand
	s *scenario
	// at is an instant after the pair has begun, with time for what follows.
	at time.Duration
	// crash is a way in which a primary goes.
	crash string
}

func newTeller(r *rand.Rand, s *scenario) *teller {
	t := &teller{r: r, s: s}
	t.at = t.in(faultsBegin, faultsBegin+4*time.Second)
	t.crash = t.one("mysqldKilled", "nodeCrashed", "podForceDeleted")
	return t
}

// in is a random duration from lo up to hi.
func (t *teller) in(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(t.r.Int64N(int64(hi-lo)))
}

func (t *teller) one(of ...string) string { return of[t.r.IntN(len(of))] }

// longLease has T be 6 s, and the margin what that needs.
func (t *teller) longLease() {
	t.s.lease = 6 * time.Second
	t.s.margin = authority.LeastMargin(t.s.lease)
}

// drawStory picks a story, or the one that was asked for, and tells it.
func drawStory(r *rand.Rand, s *scenario) []fault {
	var of []story
	for _, story := range stories {
		if *oneStory == story.name || (*oneStory == "" && (story.pending == "" || *pendingToo)) {
			of = append(of, story)
		}
	}
	if len(of) == 0 {
		panic("no such story: " + *oneStory)
	}
	chosen := of[r.IntN(len(of))]
	s.story = chosen.name
	return chosen.tell(newTeller(r, s))
}
