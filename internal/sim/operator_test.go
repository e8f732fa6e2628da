package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// operator is one operator: the real Decide and the real Runner, and what a controller
// does around them.
type operator struct {
	w     *world
	index int
	site  site
	gate  gate
	rate  float64
	// doubted is the version of a forged Lease that this operator has found to be one.
	doubted string
	leads   bool // believes that it is the leader; two may
	life    int
	procs   []*proc
	book    *fencing.Book
	runner  *execute.Runner
	history failover.History
	silent  [2]time.Time
	missed  [2]bool
	plan    failover.Plan
	former  failover.Plan // the last one that was about what was read
	seen    failover.Observation
	looking bool
	// cached are the objects as this process read them last.
	cached *objects
	// pods is what this process saw of the containers of pods.
	pods map[pair.PodUID]cluster.Seen
}

var (
	errTimeout = errors.New("no answer in time")
	errRefused = errors.New("refused")
	errStale   = errors.New("refused as stale")
)

// begin starts the operator's process, with nothing in its memory.
func (o *operator) begin() {
	o.end()
	o.leads = true
	o.book = fencing.NewBook()
	o.history = failover.History{StartedAt: o.now()}
	o.silent = [2]time.Time{}
	o.pods = nil
	o.cached = nil
	if a, l := o.w.api.accepted, o.w.api.lease; a == nil || l == nil || a.Ledger.Version < l.Ledger.Version {
		o.doubted = "" // nothing that this process can read says what the ledger was
	}
	o.runner = &execute.Runner{
		Effects: execute.Effects{
			Authority: leaseEffects{o}, Fencers: agentEffects{o}, Doors: agentEffects{o}, Drainers: agentEffects{o}, Copiers: agentEffects{o}, Comparers: agentEffects{o},
			Pods: podEffects{o}, Witnesses: podEffects{o}, Services: podEffects{o}, Recorder: podEffects{o},
			DonorHost: func(m pair.MemberName) string { return string(m) },
		},
		Clock: clockOf{o}, Book: o.book, NewID: func() string { return o.w.id("r") }, Log: logr.Discard(),
		Failpoint: func(string) error {
			if o.w.now < o.w.faultsEnd && o.w.chance(o.w.set.crashAtFailpoint) {
				return execute.ErrCrash
			}
			return nil
		},
		Together: o.together,
	}
	o.w.tracef("operator %d begins", o.index)
	o.look(o.life)
}

// end kills the process wherever it is.
func (o *operator) end() {
	o.life++
	o.leads = false
	o.looking = false
	for _, p := range o.procs {
		if !p.done && p != o.w.cur {
			p.stop()
		}
	}
	o.procs = nil
}

type clockOf struct{ o *operator }

func (c clockOf) Now() time.Time { return c.o.now() }

// now is the operator's clock, which drifts too.
func (o *operator) now() time.Time { return o.w.wall(time.Duration(float64(o.w.now) * o.rate)) }

func (o *operator) spawn(f func()) *proc {
	p := o.w.spawn(f)
	o.procs = append(slices.DeleteFunc(o.procs, func(p *proc) bool { return p.done }), p)
	return p
}

// look is one visit: observe, decide, one step; and then the next.
func (o *operator) look(life int) {
	if life != o.life {
		return
	}
	o.gate.pass(func() {
		if life != o.life || o.looking {
			return
		}
		o.looking = true
		p := o.spawn(func() {
			again := o.visit(life)
			o.looking = false
			if again < 0 {
				o.crash(life)
				return
			}
			o.w.after(again, func() { o.look(life) })
		})
		o.w.resume(p)
	})
}

func (o *operator) crash(life int) {
	if life != o.life {
		return
	}
	o.w.tracef("operator %d crashes", o.index)
	o.end()
	o.w.after(o.w.between(500*time.Millisecond, 4*time.Second), o.begin)
}

// visit returns when to look again; negative: it crashed.
func (o *operator) visit(life int) time.Duration {
	obs := o.observe()
	plan := failover.Decide(obs)
	if life != o.life {
		return time.Hour
	}
	if o.plan.Rule != plan.Rule || o.plan.Kind != plan.Kind {
		o.w.tracef("operator %d: %s (%s): %s", o.index, plan.Rule, plan.Kind, plan.Fact)
	}
	if o.plan.Rule != failover.RuleAuthorityUnreadable && o.plan.Rule != failover.RuleStaleObservation {
		o.former = o.plan
	}
	o.plan = plan
	o.seen = obs
	o.keepPods(obs)
	o.w.checkDoor(obs, plan)
	o.w.checkRollout(obs, plan)
	o.w.checkHibernation(obs, plan)
	o.w.checkForged(o, obs, plan)
	o.keep(obs.History.Accepted)
	o.w.fired["rule "+string(plan.Rule)]++
	for _, n := range plan.Notes {
		o.w.fired["rule "+string(n.Rule)]++
	}
	next := 500 * time.Millisecond
	if plan.After > 0 {
		next = min(next, plan.After)
	}
	if len(plan.Steps) == 0 {
		return next
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	res, err := o.runner.Run(ctx, obs, plan, plan.Steps[0])
	o.w.fired["step "+string(plan.Steps[0].Name())]++
	if life == o.life {
		o.history = o.history.After(obs, plan, failover.Outcome{Failed: err != nil, Errant: res.Errant, Wrote: res.Wrote})
	}
	switch {
	case errors.Is(err, execute.ErrCrash):
		return -1
	case err != nil && !errors.Is(err, execute.ErrConflict):
		o.w.tracef("operator %d: %v", o.index, err)
		return 300 * time.Millisecond
	}
	o.learned(res, plan)
	if res.Changed || err != nil {
		return 5 * time.Millisecond
	}
	return min(next, 200*time.Millisecond)
}

// keep writes the record that was accepted into the pair's status, beside what goes on.
func (o *operator) keep(r *authority.Record) {
	if have := o.w.api.accepted; r == nil || (have != nil && have.Follows(*r) && r.Follows(*have)) {
		return
	}
	o.w.deliver(o.site, siteAPI, func() {
		o.w.api.gate.pass(func() { o.w.api.accepted = r })
	})
}

func (o *operator) learned(res execute.Result, plan failover.Plan) {
	if res.Wrote != nil {
		o.used(plan.Steps[0])
	}
}

// used counts the proofs that a step appointed someone with.
func (o *operator) used(step failover.Step) {
	switch s := step.(type) {
	case failover.Together:
		for _, part := range s.Steps {
			o.used(part)
		}
	case failover.InOrder:
		for _, part := range s.Steps {
			o.used(part)
		}
	case failover.ChangeAuthority:
		a, ok := s.Change.(authority.Appoint)
		if !ok {
			return
		}
		for _, p := range a.Proofs {
			o.w.fired["proof "+string(p.Kind())]++
			o.w.checkOrderly(p.Kind())
		}
		if k := s.From.EndProof().Kind(); k != "" {
			o.w.fired["proof "+string(k)]++
		}
	}
}

// observe reads everything: the agents first and the authority last.
func (o *operator) observe() failover.Observation {
	w := o.w
	obs := failover.Observation{Settings: w.wanted(), Evidence: o.book, FreshID: w.id("data")}
	read, ok := o.readObjects()
	obs.Service = read.service
	obs.StatefulSet = read.set
	obs.Settings.Hibernate = read.hibernate
	obs.Operations = read.operations
	obs.Kept = read.kept
	for i, m := range w.members {
		obs.Members[i] = failover.Member{
			Name:          m.name,
			Pod:           read.pods[i],
			MadeForPair:   failover.Yes,
			ClaimDeleting: read.claims[i],
		}
	}
	o.parallel(func() { o.ask(&obs.Members[0], 0) }, func() { o.ask(&obs.Members[1], 1) })
	obs.Authority = failover.Authority{Problem: "the pair was not read"}
	if ok {
		obs.Authority = o.readAuthority()
	}
	obs.Now = o.now()
	o.history = o.history.Next(obs)
	obs.History = o.history
	return obs
}

func (o *operator) ask(m *failover.Member, i int) {
	if m.Pod.Reading != failover.Read {
		m.Reach = failover.NotTried
		if !o.silent[i].IsZero() {
			m.SilentSince = o.silent[i]
		}
		return
	}
	if o.silent[i].IsZero() {
		o.silent[i] = o.now()
	}
	// A watch that has failed does not hold the look up.
	limit := 300 * time.Millisecond
	if o.missed[i] {
		limit = 50 * time.Millisecond
	}
	got, err := o.agent(fencing.Subject{Member: m.Name, PodUID: m.Pod.UID}, limit, func(a *agentSim, reply func(any)) { reply(a.state()) })
	o.missed[i] = err != nil
	switch {
	case errors.Is(err, errTimeout):
		m.Reach = failover.TimedOut
	case err != nil:
		m.Reach = failover.Refused
	default:
		m.Reach, m.State, m.HeardAt = failover.Answered, got.(*agentapi.State), o.now()
		o.silent[i] = o.now()
	}
	m.SilentSince = o.silent[i]
}

func (o *operator) readAuthority() failover.Authority {
	asked := o.now()
	got, err := o.api(func() any {
		return o.w.api.observed()
	})
	if err != nil {
		return failover.Authority{Problem: err.Error()}
	}
	a := got.(failover.Authority)
	a.AskedAt = asked
	if a.Reading == failover.Read {
		o.book.SawEpoch(a.Record.Epoch, o.now())
	}
	return a
}
