package sim

import (
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/fencing"
)

// rpc sends a question and parks until the answer or the limit.
func (o *operator) rpc(to site, limit time.Duration, serve func(reply func(any, error))) (any, error) {
	w, p := o.w, o.w.cur
	done := false
	var got any
	err := errTimeout
	finish := func(v any, e error) {
		if done {
			return
		}
		done = true
		got = v
		err = e
		life := o.life
		o.gate.pass(func() {
			if life == o.life {
				w.resume(p)
			}
		})
	}
	w.deliver(o.site, to, func() {
		serve(func(v any, e error) {
			w.deliver(to, o.site, func() { finish(v, e) })
		})
	})
	w.after(limit, func() { finish(nil, errTimeout) })
	w.park()
	return got, err
}

func (o *operator) api(f func() any) (any, error) {
	return o.rpc(siteAPI, 2*time.Second, func(reply func(any, error)) {
		o.w.api.gate.pass(func() { reply(f(), nil) })
	})
}

// agent asks the agent of one pod.
func (o *operator) agent(s fencing.Subject, limit time.Duration, f func(a *agentSim, reply func(any))) (any, error) {
	m := o.w.members[0]
	if o.w.members[1].name == s.Member {
		m = o.w.members[1]
	}
	return o.rpc(m.site, limit, func(reply func(any, error)) {
		if !m.node.up {
			return
		}
		for _, a := range m.boxes {
			if a.pod.uid == s.PodUID {
				a.pass(func() { f(a, func(v any) { reply(v, nil) }) })
				if o.w.lateCommands > 0 && limit > time.Second {
					// The same request again, much later: a stale operator's.
					a.later(o.w.between(time.Second, 12*time.Second), func() { f(a, func(any) {}) })
				}
				return
			}
		}
		m.node.gate.pass(func() { reply(nil, errRefused) })
	})
}

// parallel runs both and waits for both.
func (o *operator) parallel(fs ...func()) {
	w, parent := o.w, o.w.cur
	left := len(fs)
	waits := false
	for _, f := range fs {
		p := o.spawn(func() {
			f()
			left--
			if left == 0 && waits {
				w.after(0, func() { w.resume(parent) })
			}
		})
		w.resume(p)
	}
	if left > 0 {
		waits = true
		w.park()
	}
}

func (o *operator) together(steps []func() error) error {
	errs := make([]error, len(steps))
	var fs []func()
	for i, f := range steps {
		fs = append(fs, func() { errs[i] = f() })
	}
	o.w.rng.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
	o.parallel(fs...)
	return errors.Join(errs...)
}
