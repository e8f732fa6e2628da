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
		return fmt.Errorf("install the packet rule, for which the container needs NET_ADMIN and the node's kernel nf_tables: %w", err)
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
		if len(says.Ports) == 0 && len(refused) == 0 {
			continue
		}
		if err := f.rule.refuse(says.Ports, f.lease); err != nil {
			return err
		}
		if !slices.Equal(says.Ports, refused) {
			f.changed(says.Ports)
		}
		refused = says.Ports
	}
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
