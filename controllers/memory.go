package controllers

import (
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// containers are the mysqld containers last seen in the pods of one pair. Proofs, which run
// beside each other, read them. Safe for concurrent use; the zero value knows no pod.
type containers struct {
	mu  sync.Mutex
	all map[pair.PodUID]cluster.Seen
}

// keep forgets all pods but those of this observation.
func (c *containers) keep(seen view) {
	all := map[pair.PodUID]cluster.Seen{}
	for i, pod := range seen.pods {
		if pod != nil {
			all[pair.PodUID(pod.UID)] = seen.containers[i]
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = all
}

func (c *containers) of(uid pair.PodUID) cluster.Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[uid]
}

func (c *containers) know(uid pair.PodUID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.all[uid]
	return known
}

// warnings are the warnings about one pair that were raised, by what they are about. Safe for
// concurrent use; the zero value is ready.
type warnings struct {
	mu     sync.Mutex
	raised map[string]string
}

// isNews keeps the text of a warning, and reports whether it differs from the last one.
func (w *warnings) isNews(about, text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.raised[about] == text {
		return false
	}
	if w.raised == nil {
		w.raised = map[string]string{}
	}
	w.raised[about] = text
	return true
}

// settledSpell is since when a pair has been in order without a break, with both members heard;
// zero while it is not. Safe for concurrent use.
type settledSpell struct {
	mu    sync.Mutex
	since time.Time
}

func (s *settledSpell) saw(o failover.Observation, plan failover.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case plan.Kind != failover.Settled || !o.Members[0].Heard() || !o.Members[1].Heard():
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = o.Now
	}
}

// lasts reports whether the spell is at least this long.
func (s *settledSpell) lasts(limit time.Duration, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.since.IsZero() && now.Sub(s.since) >= limit
}

// revisions are those of the passwords that the members said at the last look that they work
// with; empty where unknown. Safe for concurrent use.
type revisions struct {
	mu      sync.Mutex
	members [2]string
}

func (r *revisions) saw(o failover.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, m := range o.Members {
		r.members[i] = ""
		if m.Heard() && m.State.Server != nil {
			r.members[i] = m.State.Server.PasswordsRevision
		}
	}
}

// both reports whether both members work with this one.
func (r *revisions) both(revision string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members == [2]string{revision, revision}
}

// absence is since when a member has had no pod, and when the API server last said so. The
// zero value is a member that has one.
type absence struct {
	since     time.Time
	confirmed time.Time
}

// confirm is the absence after the API server said again that there is no pod.
func (a absence) confirm(now time.Time) absence {
	if a.since.IsZero() {
		a.since = now
	}
	a.confirmed = now
	return a
}

// absent reports whether there is no pod.
func (a absence) absent() bool { return !a.since.IsZero() }

// repetition is the step that was done last and how often agents refused it in a row.
type repetition struct {
	last     acted
	refused  failover.StepName
	refusals int
}

// acted is a step that was done, for a rule, over one version of the authority.
type acted struct {
	rule    failover.RuleName
	step    failover.StepName
	version string
}

// refusedAgain is how long to wait after a refusal of a step: longer with each in a row.
func (r *repetition) refusedAgain(step failover.StepName) time.Duration {
	if r.refused != step {
		r.refused = step
		r.refusals = 0
	}
	r.refusals = min(r.refusals+1, 8)
	return 20 * time.Millisecond << r.refusals
}

// did keeps a step that was done and not refused.
func (r *repetition) did(a acted) {
	r.last = a
	r.refusals = 0
}

// reportTimes are when the status was last written, and when a reconcile first left it out
// since, zero for never.
type reportTimes struct {
	last time.Time
	owed time.Time
}

// due: this reconcile reports. In the middle of a failover, which is when there is hurry, the
// next step is worth more than a report of the last; for requeueSoon, and no longer.
func (r *reportTimes) due(hurry bool, now time.Time) bool {
	if hurry && r.owed.IsZero() {
		r.owed = now
	}
	if hurry && now.Sub(r.owed) < requeueSoon {
		return false
	}
	r.owed = time.Time{}
	return true
}

// tries are the attempts at bookkeeping that may fail, each kind apart.
type tries struct {
	labels   attempts
	events   attempts
	signing  attempts
	status   attempts
	pruning  attempts
	drilling attempts
	vault    attempts

	reseeding attempts
}
