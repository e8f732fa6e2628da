package sim

import (
	"context"
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
)

type leaseEffects struct{ o *operator }

type written struct {
	version string
	err     error
}

func (e leaseEffects) do(f func() (string, error)) (string, error) {
	got, err := e.o.api(func() any {
		v, err := f()
		return written{v, err}
	})
	if err != nil {
		return "", err
	}
	return got.(written).version, got.(written).err
}

func (e leaseEffects) Create(_ context.Context, r authority.Record) (string, error) {
	return e.do(func() (string, error) { return e.o.w.api.create(r) })
}

func (e leaseEffects) Write(_ context.Context, r authority.Record, version string) (string, error) {
	return e.do(func() (string, error) { return e.o.w.api.write(r, version) })
}

type podEffects struct{ o *operator }

var errDenied = errors.New("admission webhook denied the request")

// do makes a write of this kind, unless such writes are refused.
func (e podEffects) do(what string, f func() error) error {
	got, err := e.o.api(func() any {
		if e.o.w.refused[what] > 0 {
			return written{err: errDenied}
		}
		return written{err: f()}
	})
	if err != nil {
		return err
	}
	return got.(written).err
}

func (e podEffects) Delete(_ context.Context, s fencing.Subject) error {
	return e.do("pod", func() error { return e.o.w.api.deletePod(s) })
}

func (e podEffects) AddFinalizer(_ context.Context, s fencing.Subject) error {
	return e.do("finalizer", func() error { return e.o.w.api.finalizer(s, true) })
}

func (e podEffects) RemoveFinalizer(_ context.Context, s fencing.Subject) error {
	return e.do("finalizer", func() error { return e.o.w.api.finalizer(s, false) })
}

func (e podEffects) Label(_ context.Context, s fencing.Subject, set map[string]string, remove []string) error {
	return e.do("label", func() error { return e.o.w.api.label(s, set, remove) })
}

func (e podEffects) ScaleDown(_ context.Context, version string) error {
	return e.do("scale", func() error { return e.o.w.api.scaleDown(version) })
}

func (e podEffects) Point(_ context.Context, p failover.PointService) error {
	return e.do("service", func() error { return e.o.w.api.point(p) })
}

func (e podEffects) Detach(_ context.Context, d failover.DetachService) error {
	return e.do("service", func() error { return e.o.w.api.detach(d) })
}

func (e podEffects) Pod(_ context.Context, s fencing.Subject) (fencing.PodFacts, error) {
	got, err := e.o.api(func() any {
		for _, m := range e.o.w.members {
			if m.name == s.Member {
				return e.o.w.api.podView(m, e.o)
			}
		}
		return failover.Pod{Reading: failover.Missing}
	})
	if err != nil {
		return fencing.PodFacts{}, err
	}
	view := got.(failover.Pod)
	if view.Reading != failover.Read {
		return fencing.PodFacts{}, errForbidden
	}
	return view.Ended, nil
}

func (e podEffects) Node(_ context.Context, name string) (fencing.NodeFacts, error) {
	got, err := e.o.api(func() any {
		for _, m := range e.o.w.members {
			if m.node.name == name {
				return fencing.NodeFacts{Name: name, OutOfService: m.node.outOfService}
			}
		}
		return fencing.NodeFacts{}
	})
	if err != nil {
		return fencing.NodeFacts{}, err
	}
	return got.(fencing.NodeFacts), nil
}

// Operation is written down beside what goes on, and lost with the operator: all of it, or
// all but the object, since what it says is a second write.
func (e podEffects) Operation(_ context.Context, n failover.OperationNote) error {
	const takes = 15 * time.Millisecond
	if e.o.w.refused["operation"] > 0 {
		return errDenied
	}
	life := e.o.life
	write := func(after time.Duration, what func()) {
		e.o.w.after(after, func() {
			if e.o.life == life {
				what()
			}
		})
	}
	if !n.OnlyUpdate {
		write(takes, func() { e.o.w.api.operationMade(n) })
	}
	write(2*takes, func() { e.o.w.api.operation(n) })
	return nil
}

func (e podEffects) Timeline(context.Context, string, execute.TimelineEntry) error { return nil }
