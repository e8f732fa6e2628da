package checksum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/tablesql"
)

const (
	// watchEvery is how often the members are looked at, firstEvery before
	// anything is read.
	watchEvery = 250 * time.Millisecond
	firstEvery = 20 * time.Millisecond
	// calmLooks is how many looks in a row must be calmer before a run goes on
	// faster, and how many it begins with: a single look at who runs says little.
	calmLooks = 8
	// longestPause bounds a pause while busy.
	longestPause = 5 * time.Second
)

// level says how much a run may do.
type level int

const (
	// unseen: the members have not been looked at enough. Nothing is read.
	unseen level = iota
	// free: all sessions read.
	free
	// busy: one chunk at a time, with pauses.
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
	looks   [calmLooks]level // the last ones, but for shut; unseen before
	looked  int
	history bool // it is too long
	changed chan struct{}
	since   time.Time
	spent   [shut + 1]time.Duration // at each level, but for the present one
}

func newGate(throttle Throttle, now func() time.Time) *gate {
	return &gate{
		Throttle: throttle,
		now:      now,
		crawl:    make(chan struct{}, 1),
		changed:  make(chan struct{}),
		said:     func(string) {},
	}
}

// watch looks at the members until ctx ends.
func (g *gate) watch(ctx context.Context, sessions pairOf[*tablesql.Session]) error {
	ticker := time.NewTicker(firstEvery)
	defer ticker.Stop()
	for first := true; ; {
		if err := g.look(ctx, sessions); err != nil {
			if ctx.Err() != nil {
				return nil // the run is over
			}
			return err
		}
		if now, _ := g.see(); first && now != unseen {
			first = false
			ticker.Reset(watchEvery)
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

// judge is the level that one observation asks for, and why when that is shut. The primary has
// no lag; its sessions and both histories count.
func (g *gate) judge(found pairOf[tablesql.Pressure]) (next level, why string) {
	active := max(found.primary.Active, found.passive.Active)
	history := max(found.primary.History, found.passive.History)
	switch {
	case g.MaxLag > 0 && found.passive.Lag > g.MaxLag:
		return shut, fmt.Sprintf("passive lags %s behind", found.passive.Lag.Round(time.Millisecond))
	case g.MaxHistory > 0 && history > g.MaxHistory:
		return shut, fmt.Sprintf("InnoDB's history list has %d entries", history)
	case g.ActiveClients > 0 && active >= g.ActiveClients:
		return busy, ""
	}
	return free, ""
}

// set takes an observation in.
func (g *gate) set(found pairOf[tablesql.Pressure]) {
	history := max(found.primary.History, found.passive.History)
	next, why := g.judge(found)
	g.mu.Lock()
	if next != shut {
		g.looks[g.looked%calmLooks] = next
		g.looked++
		next = slices.Max(g.looks[:])
		if next == free && g.ActiveClients > 0 && g.looked < calmLooks {
			next = unseen
		}
	}
	if next == busy {
		why = "members are busy"
	}
	had := g.history
	g.history = g.MaxHistory > 0 && history > g.MaxHistory
	if next != g.level || had != g.history {
		now := g.now()
		if !g.since.IsZero() {
			g.spent[g.level] += now.Sub(g.since)
		}
		g.level = next
		g.since = now
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

// errShut: nothing may be read now, and not soon.
var errShut = errors.New("nothing is read")

// enter blocks until a chunk may be read. The caller calls leave after it,
// which may block for a pause. It fails with errShut when snapshots had better
// be given up: at once when they make the history longer, and when nothing may
// be read for patience.
func (g *gate) enter(ctx context.Context, patience time.Duration) (leave func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		now, changed := g.see()
		switch now {
		case free:
			return func() {}, ctx.Err()
		case busy:
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
		case unseen, shut:
			if g.hasHistory() {
				return nil, errShut
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-timer.C:
				return nil, errShut
			case <-changed:
			}
		}
	}
}

// hasHistory reports whether the history is too long to keep snapshots.
func (g *gate) hasHistory() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.history
}

// open blocks until something may be read, for anyone who has no snapshot.
func (g *gate) open(ctx context.Context) error {
	for {
		now, changed := g.see()
		if now != unseen && now != shut {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// pause makes took its share of the time, and ends when the load does.
func (g *gate) pause(ctx context.Context, took time.Duration) {
	if g.BusyShare < 1 {
		return
	}
	timer := time.NewTimer(min(took*time.Duration(100-g.BusyShare)/time.Duration(g.BusyShare), longestPause))
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

// throttled is the time that the gate was busy or shut, and how much of it it was shut.
func (g *gate) throttled() (all, nothing time.Duration) {
	if g == nil {
		return 0, 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	spent := g.spent
	spent[g.level] += g.now().Sub(g.since)
	return spent[busy] + spent[shut], spent[shut]
}
