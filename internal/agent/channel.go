package agent

import (
	"context"
	"net"
	"strconv"
	"sync"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// channel is the replication channel from the peer, and the passwords that it logs in with. Who
// has the turn of replication connects it.
type channel struct {
	log      logr.Logger
	ops      channelServer
	settings *settings
	peer     peerSource
	source   func() (host string, port int, err error) // the peer's admin port
	tls      func() mysqlops.TLSFiles
	failures *failpoints

	mu       sync.Mutex
	password string // revision that the channel was configured with
	former   bool   // it was configured with the former password of that revision
}

// channelServer is what the channel needs of mysqld.
type channelServer interface {
	ConfigureChannel(ctx context.Context, source mysqlops.Source, rotated bool) (changed bool, err error)
	StartApplier(ctx context.Context) error
	SetReplicaAcknowledges(ctx context.Context, on bool) error
	StartReceiver(ctx context.Context) error
}

// connect points the channel at the peer and starts it. With rotated it is configured also when
// it leads there already.
func (c *channel) connect(ctx context.Context, rotated bool) error {
	return c.connectBy(ctx, rotated, false)
}

// connectBy is connect with the present password or the former one.
func (c *channel) connectBy(ctx context.Context, rotated, former bool) error {
	revision := c.settings.passwordsRevision()
	password := c.settings.password(agentapi.PasswordFileReplication)
	if former {
		password = c.settings.formerPassword(agentapi.PasswordFileReplication)
	}
	host, port, err := c.source()
	if err != nil {
		return err
	}
	_, err = c.ops.ConfigureChannel(ctx, mysqlops.Source{
		Host:     host,
		Port:     port,
		User:     mysqlops.UserReplication,
		Password: password,
		TLS:      c.tls(),
	}, rotated)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		c.ops.StartApplier,
		func(ctx context.Context) error { return c.ops.SetReplicaAcknowledges(ctx, true) },
		func(ctx context.Context) error {
			c.failures.at(failBeforeReceiver)
			return c.ops.StartReceiver(ctx)
		},
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.password = revision
	c.former = former
	c.mu.Unlock()
	c.log.Info("receiver started", "source", host, "formerPassword", former)
	return nil
}

// passwordIsDue: the channel logs in with a former password, and the primary has the new
// one already. Not earlier: a receiver that is turned away acknowledges nothing, and the
// change of the password would wait for it, which blocks every login meanwhile.
func (c *channel) passwordIsDue(status mysqlops.Status) bool {
	revision := c.settings.passwordsRevision()
	if c.worksWith() == revision {
		return false
	}
	peer, _ := c.peer.last()
	return turnedAway(status) || (peer != nil && peer.Server != nil && peer.Server.PasswordsRevision == revision)
}

// formerIsDue: the primary does not have the new password yet, and waits with the change
// until a receiver is there to acknowledge it.
func (c *channel) formerIsDue(status mysqlops.Status) bool {
	return c.worksWith() == c.settings.passwordsRevision() && turnedAway(status) &&
		!c.settings.formerPassword(agentapi.PasswordFileReplication).IsZero()
}

// turnedAway: the primary does not take the password that the receiver logs in with.
func turnedAway(status mysqlops.Status) bool {
	const accessDenied = 1045
	return status.Channel.ReceiverError.Number == accessDenied && status.Channel.Receiver != mysqlops.ReceiverStreaming
}

// worksWith is the revision of the passwords that the channel logs in with; empty for a
// former one.
func (c *channel) worksWith() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.former {
		return ""
	}
	return c.password
}

// peerAdmin is where the peer's mysqld answers replication and clones.
func peerAdmin(opt Options, peer pair.MemberName, config agentapi.Config) (host string, port int, err error) {
	if opt.PeerAdmin == "" {
		return config.Host(peer), pair.PortAdmin, nil
	}
	host, text, err := net.SplitHostPort(opt.PeerAdmin)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}
