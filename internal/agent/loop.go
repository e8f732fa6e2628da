package agent

import (
	"context"
	"math"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/authority"
)

// loop owns the machine. It never blocks on anything but the next event.
func (a *Agent) loop(ctx context.Context) {
	wall := process.NewWallClock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var event authority.Event
		select {
		case <-ctx.Done():
			return
		case event = <-a.queue.events:
		case <-timer.C:
			event = authority.Tick{At: process.Now()}
		}
		if jump := wall.Jump(a.machine.View().LeaseDuration / 4); jump != 0 {
			a.log.Info("wall clock jumped", "by", jump)
			a.step(ctx, authority.ClockJumped{At: process.Now(), Forward: jump})
		}
		a.step(ctx, event)
		timer.Reset(max(a.machine.NextWake().Sub(process.Now()), 2*time.Millisecond))
	}
}

func (a *Agent) step(ctx context.Context, event authority.Event) {
	actions := a.machine.Step(event)
	// What must not be late comes before anything that takes a lock or writes a log.
	for _, action := range actions {
		switch act := action.(type) {
		case authority.Kill:
			a.mysqld.kill()
		case authority.SetDeadman:
			a.mysqld.setDeadline(act.Deadline)
		case authority.StopReceiver:
			a.state.receiverStopped(math.MaxInt64) // not yet
		}
	}
	view := a.machine.View()
	// Before mysqld is fenced, so that no client is let through to one that is about to close.
	a.door.Follow(view)
	a.state.see(view)
	for _, action := range actions {
		a.effect(ctx, action)
	}
}

// effect begins what an action asks for and returns at once.
func (a *Agent) effect(ctx context.Context, action authority.Action) {
	switch act := action.(type) {
	case authority.ReadLease:
		go a.confirming.readLease(ctx, act)
	case authority.AskVouch:
		go a.confirming.askPeer(ctx, act)
	case authority.AnswerVouch:
		a.answers.deliver(act.Nonce, act)
	case authority.Persist:
		a.memory.persist(act)
	case authority.StartMysqld:
		go a.starter.start(ctx)
	case authority.Open:
		a.opening.open(ctx, act)
	case authority.Close:
		go a.closing.close(ctx, act)
	case authority.Kill:
		a.log.Info("killing mysqld", "reason", act.Reason)
	case authority.StopMysqld:
		go a.closing.stop(ctx)
	case authority.SetDeadman:
	case authority.SetSemiSync:
		go a.waiting.follow(ctx, act)
	case authority.CheckTail:
		go a.tail.check(ctx)
	case authority.StopReceiver:
		go a.closing.stopReceiver(ctx, act)
	case authority.Follow:
		a.log.Info("following the peer", "epoch", act.Epoch)
		a.follow.order(orderFollow, act.Epoch)
	case authority.Answer:
		a.answers.deliver(act.ID, act)
	case authority.Refuse:
		a.answers.deliver(act.ID, act)
	case authority.Exit:
		// The machine says so at every step from here on.
		a.queue.end(func() { a.log.Info("agent ends") })
	}
}
