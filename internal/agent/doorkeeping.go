package agent

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// newDoor makes the door. It connects to mysqld by the pod's own address, never by the
// loopback interface or the socket: root's account, which is local, is not for the network.
func (a *Agent) newDoor() *door.Door {
	host := a.opt.BindAddress
	if host == "" {
		host = a.env.PodIP
	}
	return door.New(door.Config{
		Self:    a.env.PodName,
		Message: fmt.Sprintf("dbpair: no member of pair %s/%s accepts writes here at the moment, try again", a.env.Namespace, a.env.PairName),
		Now:     process.Now,
		Dial:    door.DialTo(net.JoinHostPort(host, strconv.Itoa(a.opt.MySQLPort))),
		DialForward: func(ctx context.Context, address string) (*net.TCPConn, error) {
			return door.DialTo(address)(ctx)
		},
		Report: func(outcome door.Outcome, held time.Duration) {
			a.metrics.held.WithLabelValues(string(outcome)).Inc()
			a.metrics.holdTime.Observe(held.Seconds())
		},
	})
}

// policyOf is what the operator's configuration says about the door. An operator of an
// earlier version names no mode.
func policyOf(c agentapi.Config) door.Policy {
	p := door.Policy{
		Mode:        door.Error,
		HoldTimeout: c.HoldTimeout,
		MaxHeld:     c.MaxHeld,
	}
	switch {
	case c.OnRoleChange == agentapi.OnRoleChangeHold:
		p.Mode = door.Hold
	case c.OnRoleChange == agentapi.OnRoleChangeReset, c.OnRoleChange == "" && c.RefuseWithReset:
		p.Mode = door.Reset
	}
	return p
}

// doorOrders are the operator's commands about the door.
type doorOrders struct {
	gate  gate
	log   logr.Logger
	door  *door.Door
	state *board
}

// release lets clients through the door to the mysqld that is open at the epoch of
// the command, now or later.
func (d *doorOrders) release(_ context.Context, c agentapi.Command) (agentapi.Done, error) {
	if err := d.gate.head(c); err != nil {
		return agentapi.Done{}, err
	}
	d.door.Release(c.Epoch)
	d.log.Info("clients may be let through the door", "epoch", c.Epoch, "requestID", c.RequestID)
	d.state.bump()
	return agentapi.Done{RequestID: c.RequestID, Epoch: d.state.view().Known}, nil
}

// hold begins the time of holding of a planned change of roles, or ends that of one that
// was given up before the authority was changed.
func (d *doorOrders) hold(_ context.Context, c agentapi.HoldCommand) (agentapi.Done, error) {
	if err := d.gate.head(c.Command); err != nil {
		return agentapi.Done{}, err
	}
	switch {
	case c.Cancel:
		d.door.Cancel()
	case c.ForwardTo != "":
		if _, _, err := net.SplitHostPort(c.ForwardTo); err != nil {
			return agentapi.Done{}, refuse(agentapi.ErrorMalformed, "forwardTo: %v", err)
		}
		d.door.Forward(c.ForwardTo, c.Epoch)
	default:
		d.door.Begin(c.Epoch)
	}
	d.log.Info("clients are held at the door", "epoch", c.Epoch, "canceled", c.Cancel, "forwardTo", c.ForwardTo, "requestID", c.RequestID)
	d.state.bump()
	return agentapi.Done{RequestID: c.RequestID, Epoch: d.state.view().Known}, nil
}

// describe is what the door does now.
func (d *doorOrders) describe() *agentapi.Door {
	s := d.door.State()
	return &agentapi.Door{
		Released:    s.Released,
		Held:        s.Held,
		Relayed:     s.Relayed,
		LongestHold: s.Longest,
		HeldInAll:   s.Waited,

		CanForward:   true,
		ForwardedFor: s.ForwardedFor,
	}
}
