package packetrule

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/go-logr/logr"
)

// pause is how long it takes until an agent that was lost is asked again.
const pause = 200 * time.Millisecond

// rule is what the kernel does (table).
type rule interface {
	install() error
	refuse(ports []uint16, lease time.Duration) error
	refusals() (uint64, error)
	remove() error
}

// follower keeps the rule as an agent says.
type follower struct {
	log    logr.Logger
	socket string
	rule   rule
	pause  time.Duration
	// lease of a port, and how long the agent may say nothing before it counts as lost.
	lease time.Duration

	problem string // that was logged last
}

// run follows the agent until ctx has ended and the agent is gone: it is asked to end at the same time as the agent, which
// stays open until the roles have changed and refuses clients then. It goes on whatever fails, and leaves no rule.
func (f *follower) run(ctx context.Context) {
	for {
		f.report(f.follow(context.WithoutCancel(ctx)))
		select {
		case <-ctx.Done():
			if err := f.rule.remove(); err != nil {
				f.log.Error(err, "the packet rule stays; it refuses nobody")
			}
			return
		case <-time.After(f.pause):
		}
	}
}

// follow does what an agent says until it is gone or has said nothing for the time of a lease, and refuses nobody then.
func (f *follower) follow(ctx context.Context) error {
	var sockets net.Dialer
	agent, err := sockets.DialContext(ctx, "unix", f.socket)
	if err != nil {
		return fmt.Errorf("ask the agent who may connect: %w", err)
	}
	defer func() { _ = agent.Close() }()
	if err := f.rule.install(); err != nil {
		err = fmt.Errorf("install the packet rule, for which the container needs NET_ADMIN and the node's kernel nf_tables: %w", err)
		f.reply(agent, err.Error())
		return err
	}
	f.problem = ""
	f.log.Info("the packet rule follows the agent")
	err = f.obey(agent)
	// The lease would end it as well.
	if void := f.rule.refuse(nil, f.lease); void != nil {
		f.log.Error(void, "cannot void the packet rule; it ends by itself", "after", f.lease)
	}
	return err
}

func (f *follower) obey(agent net.Conn) error {
	lines := json.NewDecoder(agent)
	var refused []uint16
	for {
		if err := agent.SetReadDeadline(time.Now().Add(f.lease)); err != nil {
			return fmt.Errorf("ask the agent who may connect: %w", err)
		}
		var says order
		if err := lines.Decode(&says); err != nil {
			return fmt.Errorf("ask the agent who may connect: %w", err)
		}
		if err := f.refuse(says.Ports, refused); err != nil {
			f.reply(agent, err.Error())
			return err
		}
		refused = says.Ports
		f.reply(agent, "")
	}
}

// refuse does as ordered. Where nothing is refused and nothing was, there is nothing to do.
func (f *follower) refuse(ports, before []uint16) error {
	if len(ports) == 0 && len(before) == 0 {
		return nil
	}
	if err := f.rule.refuse(ports, f.lease); err != nil {
		return err
	}
	if !slices.Equal(ports, before) {
		f.changed(ports)
	}
	return nil
}

// reply says to the agent why the kernel does not do as ordered, or that it does. An agent that does not take it is gone, which
// the next line from it shows.
func (f *follower) reply(agent net.Conn, problem string) {
	if err := agent.SetWriteDeadline(time.Now().Add(f.lease)); err != nil {
		return
	}
	_ = json.NewEncoder(agent).Encode(answer{Problem: problem})
}

// changed logs what is refused now, and how many clients were before.
func (f *follower) changed(ports []uint16) {
	before, err := f.rule.refusals()
	if err != nil {
		f.log.Error(err, "it is not known how many clients were refused")
	}
	f.log.Info("new clients are refused at these ports and at no others", "ports", ports, "refusedSoFar", before)
}

// report logs what ended the following, once for as long as it stays the same.
func (f *follower) report(err error) {
	if text := err.Error(); text != f.problem {
		f.problem = text
		f.log.Error(err, "clients are not refused by a packet rule")
	}
}
