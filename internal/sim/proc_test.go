package sim

import (
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
)

// gate holds up what runs in something that can be stopped and resumed.
type gate struct {
	stopped int
	held    []func()
}

func (g *gate) pass(f func()) {
	if g.stopped > 0 {
		g.held = append(g.held, f)
		return
	}
	f()
}

func (g *gate) stop() { g.stopped++ }

func (g *gate) resume() {
	g.stopped--
	for g.stopped == 0 && len(g.held) > 0 {
		held := g.held
		g.held = nil
		for i, f := range held {
			if g.stopped > 0 {
				g.held = append(held[i:], g.held...)
				return
			}
			f()
		}
	}
}

// errKilled unwinds a coroutine whose process has ended.
var errKilled = errors.New("killed")

// proc is a coroutine.
type proc struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	done  bool
}

func (w *world) spawn(f func()) *proc {
	p := &proc{}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			p.done = true
			if r := recover(); r != nil && r != any(errKilled) {
				// The stack that failed ends here.
				panic(fmt.Sprintf("%v\n%s", r, debug.Stack()))
			}
		}()
		p.yield = yield
		f()
	})
	return p
}

func (w *world) resume(p *proc) {
	if p.done {
		return
	}
	former := w.cur
	w.cur = p
	p.next()
	w.cur = former
}

// park gives the thread back until someone resumes this coroutine.
func (w *world) park() {
	if !w.cur.yield(struct{}{}) {
		panic(errKilled)
	}
}
