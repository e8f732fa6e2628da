package agent

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
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
		go a.readLease(ctx, act)
	case authority.AskVouch:
		go a.askVouch(ctx, act)
	case authority.AnswerVouch:
		a.answers.deliver(act.Nonce, act)
	case authority.Persist:
		a.persist(act)
	case authority.StartMysqld:
		go a.startMysqld(ctx)
	case authority.Open:
		a.open(ctx, act)
	case authority.Close:
		go a.close(ctx, act)
	case authority.Kill:
		a.log.Info("killing mysqld", "reason", act.Reason)
	case authority.StopMysqld:
		go a.stopMysqld(ctx)
	case authority.SetDeadman:
	case authority.SetSemiSync:
		go a.setSemiSync(ctx, act)
	case authority.CheckTail:
		go a.checkTail(ctx)
	case authority.StopReceiver:
		go a.stopReceiver(ctx, act)
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

func (a *Agent) readLease(ctx context.Context, act authority.ReadLease) {
	ctx, cancel := context.WithTimeout(ctx, act.Limit)
	defer cancel()
	asked := process.Now()
	record, outcome, err := a.lease.read(ctx, act.Fresh)
	a.metrics.leaseReads.WithLabelValues(string(outcome)).Inc()
	a.queue.post(authority.LeaseRead{
		AskedAt: asked,
		At:      process.Now(),
		Outcome: outcome,
		Record:  record,
	})
	a.state.leaseRead(record, outcome, asked)
	switch {
	case err == nil:
		a.state.resolve(agentapi.ProblemAuthorityUnread)
	case errors.Is(err, lease.ErrMissing), errors.Is(err, lease.ErrMalformed), errors.Is(err, authority.ErrNotAuthentic):
		a.state.problem(agentapi.ProblemAuthorityUnread, err.Error())
	case a.state.leaseAge() > 3*a.state.view().LeaseDuration:
		a.state.problem(agentapi.ProblemAuthorityUnread, "the API server does not answer: "+err.Error())
	}
}

func (a *Agent) askVouch(ctx context.Context, act authority.AskVouch) {
	ctx, cancel := context.WithTimeout(ctx, act.Limit)
	defer cancel()
	answer := a.peer.vouch(ctx, agentapi.VouchRequest{
		PairUID: a.env.PairUID,
		Asker:   a.env.PodName,
		Epoch:   act.Epoch,
		Nonce:   act.Nonce,
		Signed:  act.Signed,
	}, act.Fresh)
	result := "unanswered"
	if answer.Answered {
		result = map[bool]string{true: "given", false: "refused"}[answer.Given]
	}
	a.metrics.vouches.WithLabelValues(result).Inc()
	a.queue.post(answer)
}

// memory is one write of the epoch file.
type memory struct {
	seq int
	volume.Memory
}

// persist hands the newest content to the one writer. A volume that hangs holds up what
// depends on it and nothing else.
func (a *Agent) persist(act authority.Persist) {
	due := memory{seq: act.Seq, Memory: volume.Memory{Durable: act.Durable, Seen: a.state.seenLedger()}}
	select {
	case a.memory <- due:
	default:
		a.queue.post(authority.Persisted{At: process.Now(), Seq: act.Seq})
	}
}

// beatPeriod is the time between two writes that show that the volume is still attached.
const beatPeriod = time.Second

// beat shows the machine that the volume takes writes. It is a goroutine of its own: a volume
// that hangs holds up nothing but this agent's confirmations for its peer.
func (a *Agent) beat(ctx context.Context) {
	failed := false
	taken := false
	// As long as a process on the former node may confirm, a next process here has to know.
	take := process.Now()
	if a.moved {
		take = take.Add(authority.BeatMost)
	}
	every(ctx, beatPeriod, func() {
		begun := process.Now()
		var err error
		if !taken && begun >= take {
			err = a.vol.TakeNode(a.env.Node)
			taken = err == nil
		} else {
			err = a.vol.Beat()
		}
		if err == nil {
			a.queue.post(authority.VolumeBeat{At: process.Now(), Begun: begun})
		} else if !failed {
			a.log.Error(err, "the volume takes no write, so that the peer's questions are refused")
		}
		failed = err != nil
	})
}

func (a *Agent) writeMemory(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-a.memory:
			a.failures.at(failBeforePersist)
			err := a.vol.WriteMemory(due.Memory)
			a.failures.at(failAfterPersist)
			if err != nil {
				a.log.Error(err, "cannot write the epoch file")
				a.state.problem(problemOfVolume(err), err.Error())
			} else {
				a.state.resolve(agentapi.ProblemVolumeUnreadable)
			}
			a.queue.post(authority.Persisted{
				At:  process.Now(),
				Seq: due.seq,
				OK:  err == nil,
			})
		}
	}
}
