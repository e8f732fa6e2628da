package checksum

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	// watchEvery is how often the members are looked at.
	watchEvery = 250 * time.Millisecond
	// calmLooks is how many looks in a row must be calmer before a run goes on
	// faster: a single look at who runs says little.
	calmLooks = 8
	// steadyShare is the share of one session's time that is used, in percent,
	// while few clients run.
	steadyShare = 50
	// longestPause bounds a pause while busy.
	longestPause = 5 * time.Second
)

// level says how much a run may do.
type level int

const (
	// free: all sessions read.
	free level = iota
	// steady: one chunk at a time, with short pauses.
	steady
	// busy: one chunk at a time, with long pauses.
	busy
	// shut: nothing is read.
	shut
)

// gate lets chunks through according to the load of both members.
type gate struct {
	Throttle
	now   func() time.Time
	said  func(string)
	crawl chan struct{}

	mu      sync.Mutex
	level   level
	looks   [calmLooks]level // the last ones, but for shut
	looked  int
	history bool // snapshots should be given up
	changed chan struct{}
	since   time.Time
	slowed  time.Duration
}

func newGate(throttle Throttle, now func() time.Time) *gate {
	return &gate{Throttle: throttle, now: now, crawl: make(chan struct{}, 1), changed: make(chan struct{}), said: func(string) {}}
}

// watch looks at the members until ctx ends.
func (g *gate) watch(ctx context.Context, sessions pairOf[*tablesql.Session]) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		if err := g.look(ctx, sessions); err != nil {
			if ctx.Err() != nil {
				return nil // the run is over
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (g *gate) look(ctx context.Context, sessions pairOf[*tablesql.Session]) error {
	var found pairOf[tablesql.Pressure]
	err := atOnce(
		func() (err error) { found.primary, err = sessions.primary.Pressure(ctx); return err },
		func() (err error) { found.passive, err = sessions.passive.Pressure(ctx); return err },
	)
	if err == nil {
		g.set(found)
	}
	return err
}

// set takes a look in. Only the primary's channel-less lag is meaningless; its
// sessions and both histories count.
func (g *gate) set(found pairOf[tablesql.Pressure]) {
	running := max(found.primary.Running, found.passive.Running)
	history := max(found.primary.History, found.passive.History)
	next, why := free, ""
	switch {
	case g.MaxLag > 0 && found.passive.Lag > g.MaxLag:
		next, why = shut, fmt.Sprintf("passive lags %s behind", found.passive.Lag.Round(time.Millisecond))
	case g.MaxHistory > 0 && history > g.MaxHistory:
		next, why = shut, fmt.Sprintf("InnoDB's history list has %d entries", history)
	case g.MaxThreadsRunning > 0 && running > g.MaxThreadsRunning:
		next = busy
	case g.MaxThreadsRunning > 0 && running > 0:
		next = steady
	}
	g.mu.Lock()
	if next != shut {
		g.looks[g.looked%calmLooks] = next
		g.looked++
		next = slices.Max(g.looks[:])
	}
	if next == busy {
		why = "members are busy"
	}
	g.history = g.MaxHistory > 0 && history > g.MaxHistory
	if next != g.level {
		now := g.now()
		if g.level > steady {
			g.slowed += now.Sub(g.since)
		}
		g.level, g.since = next, now
		close(g.changed)
		g.changed = make(chan struct{})
	}
	g.mu.Unlock()
	g.said(why)
}

func (g *gate) see() (level, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.level, g.changed
}

// wantsSnapshotsGone reports whether the history is too long to keep snapshots.
func (g *gate) wantsSnapshotsGone() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.history
}

// enter blocks until a chunk may be read. The caller calls leave after it,
// which may block for a pause.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	for {
		now, changed := g.see()
		switch now {
		case free:
			return func() {}, ctx.Err()
		case steady, busy:
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-changed:
			case g.crawl <- struct{}{}:
				began := g.now()
				return func() {
					defer func() { <-g.crawl }()
					g.pause(ctx, g.now().Sub(began))
				}, nil
			}
		case shut:
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-changed:
			}
		}
	}
}

// pause makes took its share of the time, and ends when the load does.
func (g *gate) pause(ctx context.Context, took time.Duration) {
	share := g.BusyShare
	if now, _ := g.see(); now == steady {
		share = max(share, steadyShare)
	}
	if g.BusyShare < 1 {
		return
	}
	timer := time.NewTimer(min(took*time.Duration(100-share)/time.Duration(share), longestPause))
	defer timer.Stop()
	for {
		now, changed := g.see()
		if now == free {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-changed:
		}
	}
}

// throttled is the time that the gate was busy or shut.
func (g *gate) throttled() time.Duration {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.level > steady {
		return g.slowed + g.now().Sub(g.since)
	}
	return g.slowed
}
