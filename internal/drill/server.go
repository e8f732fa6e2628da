package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// copyEnd is how long mysqld may take to end after a copy.
const copyEnd = time.Minute

// server is the mysqld of a drill.
type server struct {
	options Options
	ops     *mysqlops.Server
	proc    *process.Mysqld

	mu   sync.Mutex
	root mysqlops.Secret
}

// newServer starts nothing.
func newServer(o Options) *server {
	s := &server{options: o}
	s.ops = mysqlops.Open(mysqlops.Config{
		Socket:   s.path("mysqld.sock"),
		Password: s.password,
		// A copy that was just opened is slow, and nothing waits for this one.
		Timeouts: mysqlops.Timeouts{
			Connect: time.Minute,
			Read:    time.Minute,
			Change:  time.Minute,
		},
	})
	return s
}

// path is that of a file of this container alone.
func (s *server) path(name string) string { return filepath.Join(s.options.Volume, name) }

func (s *server) optionFile() string { return s.path("my.cnf") }

func (s *server) password() mysqlops.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root
}

func (s *server) setRoot(password mysqlops.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = password
}

// initialize makes an empty data directory with the settings of the pair.
func (s *server) initialize(ctx context.Context) error {
	member := mycnf.Member{
		PodIP:       loopback,
		BindAddress: loopback,
		Host:        "localhost",
		DataDir:     s.path("mysql"),
		Socket:      s.path("mysqld.sock"),
		PIDFile:     s.path("mysqld.pid"),
		TLSDir:      string(s.options.Shared),
		TempDir:     s.path("tmp"),
		MemoryBytes: s.options.MemoryBytes,
		Settings:    s.options.Config.MySQL,
		Plugins:     s.options.Config.Plugins,
	}
	for _, dir := range []string{member.DataDir, member.TempDir} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	text, err := mycnf.Render(member)
	if err != nil {
		return fmt.Errorf("spec.mysql.config: %w", err)
	}
	if err := volume.WriteFile(s.optionFile(), []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, s.options.Mysqld, append(mycnf.InitFlags(s.optionFile()), mycnf.NewDataFlags()...)...)
	cmd.Stdout = s.options.Log
	cmd.Stderr = s.options.Log
	if err := process.Run(cmd); err != nil {
		return fmt.Errorf("mysqld --initialize: %w (the log of the container mysqld says more)", err)
	}
	return nil
}

// start starts mysqld, closed, and waits until it answers.
func (s *server) start(ctx context.Context, more ...string) error {
	proc, err := process.Start(process.Spec{
		Program: s.options.Mysqld,
		Args:    slices.Concat(mycnf.Flags(s.optionFile()), mycnf.NewDataFlags(), more),
		Output:  s.options.Log,
	})
	if err != nil {
		return err
	}
	s.proc = proc
	for {
		if err := s.ops.Ping(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-proc.Exited():
			return fmt.Errorf("mysqld ended with %s before it answered (the log of the container mysqld says more)", proc.How())
		case <-time.After(pulse):
		}
	}
}

// awaitCopied waits for the end of the mysqld that a copy was made into.
func (s *server) awaitCopied(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(copyEnd):
		return errors.New("mysqld did not end after the copy")
	case <-s.proc.Exited():
	}
	if !judge.CopyFinished(s.proc.ExitCode()) {
		return fmt.Errorf("mysqld ended with %s while it copied, a finished copy ends with exit 16", s.proc.How())
	}
	return nil
}

// explain adds to an error that mysqld has ended, if it has: a session alone sees only its own end.
func (s *server) explain(err error) error {
	if !errors.Is(err, mysqlops.ErrConnectionLost) && !errors.Is(err, mysqlops.ErrRefused) {
		return err
	}
	select {
	case <-s.proc.Exited():
		return fmt.Errorf("mysqld ended with %s (the log of the container mysqld says more): %w", s.proc.How(), err)
	case <-time.After(reportEvery):
		return err
	}
}

// kill ends mysqld, whose data nobody needs.
func (s *server) kill() {
	s.ops.Disconnect()
	if s.proc == nil {
		return
	}
	s.proc.Kill()
	<-s.proc.Exited()
}
