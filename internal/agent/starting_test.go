package agent

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// booting is a mysqld that has just been started.
type booting struct {
	recorder
	pings  []error // one answer each, the last one again and again
	exited chan struct{}
	former bool // there is another password to try
}

func (b *booting) Exited() <-chan struct{} { return b.exited }

func (b *booting) Ping(context.Context) error {
	err := b.pings[0]
	if len(b.pings) > 1 {
		b.pings = b.pings[1:]
	}
	return err
}

func (b *booting) Warm(context.Context) error { return b.change("warm") }

func (b *booting) ResetReplicaAll(context.Context, bool) error { return b.change("forget the channel") }

func (b *booting) Globals(context.Context, []string) (map[string]string, error) {
	return nil, b.failure
}

// newTestStarter is that of a mysqld which was started on the data of this volume.
func newTestStarter(server *booting, vol *volume.Volume, id volume.Identity) *starter {
	return &starter{
		log:      logr.Discard(),
		ops:      server,
		vol:      vol,
		data:     &dataset{identity: id},
		state:    newTestBoard(),
		denied:   func() bool { _ = server.change("try the other password"); return server.former },
		failures: &failpoints{},
		options: &optionFile{
			config: func() agentapi.Config { return agentapi.Config{} },
			vol:    vol,
		},
	}
}

func TestMysqldIsUpWhenItAnswersAndIsReadBackAsClosed(t *testing.T) {
	silent := errors.New("no socket")
	drift := []mysqlops.Difference{{Variable: "super_read_only", Want: "ON", Got: "OFF"}}
	for name, c := range map[string]struct {
		pings  []error
		drift  []mysqlops.Difference
		ended  bool
		former bool
		up     bool
		told   agentapi.ProblemCode
		does   []string
	}{
		"it answers": {
			pings: []error{nil},
			up:    true,
			does:  []string{"warm"},
		},
		"it answers after a while": {
			pings: []error{silent, silent, nil},
			up:    true,
			does:  []string{"warm"},
		},
		"it ends before it answers": {
			pings: []error{silent},
			ended: true,
		},
		"it is not closed, and ends": {
			pings: []error{nil},
			drift: drift,
			ended: true,
			told:  agentapi.ProblemOwnedVariable,
		},
		"it does not take root, and ends": {
			pings: []error{mysqlops.ErrAccessDenied},
			ended: true,
			told:  agentapi.ProblemWrongPassword,
			does:  []string{"try the other password"},
		},
		"it takes the former password of root": {
			pings:  []error{mysqlops.ErrAccessDenied, nil},
			former: true,
			up:     true,
			does:   []string{"try the other password", "warm"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := &booting{pings: c.pings, exited: make(chan struct{}), former: c.former}
			server.drift = c.drift
			if c.ended {
				close(server.exited)
			}
			s := newTestStarter(server, volume.Open(t.TempDir(), ""), volume.Identity{})
			if up := s.awaitUp(t.Context(), server); up != c.up {
				t.Errorf("up: %t", up)
			}
			if codes := published(s.state); c.told != "" && !slices.Contains(codes, c.told) {
				t.Errorf("published %q, want %q", codes, c.told)
			}
			if done := server.done(); !slices.Equal(done, c.does) {
				t.Errorf("did %q, want %q", done, c.does)
			}
		})
	}
}

func TestACopyForgetsItsDonorsChannelOnce(t *testing.T) {
	copied := volume.Identity{DataID: "copy", Copied: true}
	for name, c := range map[string]struct {
		id      volume.Identity
		failure error
		resets  bool
		left    bool
	}{
		"a copy":                       {copied, nil, true, false},
		"a copy that does not take it": {copied, errors.New("no answer"), true, true},
		"data that was used before":    {volume.Identity{DataID: "copy"}, nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			vol := volumeWith(t, c.id)
			server := &booting{}
			server.failure = c.failure
			s := newTestStarter(server, vol, c.id)
			if err := s.settle(t.Context()); (err == nil) != (c.failure == nil) {
				t.Errorf("settle = %v", err)
			}
			if resets := server.has("forget the channel"); resets != c.resets {
				t.Errorf("forgot the channel: %t", resets)
			}
			if id, _, err := vol.ReadIdentity(); err != nil || id.Copied != c.left || s.data.get().Copied != c.left {
				t.Errorf("the volume says %+v, %v", id, err)
			}
		})
	}
}
