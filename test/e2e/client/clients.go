package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/test/e2e/history"
)

const (
	pollInterval = 50 * time.Millisecond
	pollTimeout  = time.Second
	// retryPause keeps refused writers from turning into a busy loop.
	retryPause = 10 * time.Millisecond
)

// clients are the writers and the poller of one run.
type clients struct {
	opts    options
	service driver.Connector
	members map[string]driver.Connector
	idle    idle

	stopRun context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	nextID   int // no writer of this process uses the number of another
	attempts []history.Attempt
	samples  []history.Sample
}

func newClients(opts options) (*clients, error) {
	c := &clients{opts: opts, members: map[string]driver.Connector{}}
	cfg, err := opts.config(opts.host)
	if err != nil {
		return nil, err
	}
	if c.service, err = mysql.NewConnector(cfg); err != nil {
		return nil, fmt.Errorf("connector of %s: %w", opts.host, err)
	}
	for _, host := range opts.members {
		cfg, err := opts.config(host)
		if err != nil {
			return nil, err
		}
		cfg.Timeout = pollTimeout
		cfg.ReadTimeout = pollTimeout
		if c.members[host], err = mysql.NewConnector(cfg); err != nil {
			return nil, fmt.Errorf("connector of %s: %w", host, err)
		}
	}
	return c, nil
}

// prepare makes the table. It is idempotent.
func (c *clients) prepare(ctx context.Context) error {
	s, err := dial(ctx, c.service)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", c.opts.host, err)
	}
	defer s.close()
	_, err = s.conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS e2e_writes (
		w INT NOT NULL, s INT NOT NULL, server CHAR(36) NOT NULL, filler VARCHAR(200) NOT NULL,
		PRIMARY KEY (w, s)) ENGINE=InnoDB`)
	if err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	return nil
}

// start begins a run of n writers, each pausing between two writes, and the poller.
func (c *clients) start(parent context.Context, n int, pause time.Duration) error {
	if err := c.prepare(parent); err != nil {
		return err
	}
	c.stop()
	ctx, cancel := context.WithCancel(parent)
	c.stopRun = cancel
	for range n {
		c.mu.Lock()
		id := c.nextID
		c.nextID++
		c.mu.Unlock()
		c.running.Go(func() { c.write(ctx, id, pause) })
	}
	for host, connector := range c.members {
		c.running.Go(func() { c.poll(ctx, host, connector) })
	}
	return nil
}

// stop ends the run and waits for the attempts that are under way: their answers count.
func (c *clients) stop() {
	if c.stopRun != nil {
		c.stopRun()
	}
	c.running.Wait()
}

// write inserts one row after the other. A number is never used twice, whatever became
// of its write.
func (c *clients) write(ctx context.Context, id int, pause time.Duration) {
	var s *session
	defer func() {
		if s != nil {
			s.close()
		}
	}()
	for seq := 1; ctx.Err() == nil; seq++ {
		attempt := history.Attempt{Key: history.Key{Writer: id, Seq: seq}, Sent: now()}
		// Not ctx: the end of the run does not break off a write.
		each, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout+readTimeout)
		var err error
		if s == nil {
			s, err = dial(each, c.service)
		}
		if err == nil {
			attempt.Server = s.server
			_, err = s.conn.ExecContext(each, "INSERT INTO e2e_writes (w, s, server, filler) VALUES (?, ?, @@server_uuid, REPEAT('x', 100))", id, seq)
		}
		cancel()
		attempt.Done = now()
		wait := pause
		if err != nil {
			attempt.Error = errorClass(err)
			wait = retryPause
			if s != nil {
				s.close()
				s = nil
			}
		}
		c.record(attempt)
		pauseFor(ctx, wait)
	}
}

func (c *clients) record(a history.Attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts = append(c.attempts, a)
}

// poll asks one member over and over whether it would take a write.
func (c *clients) poll(ctx context.Context, host string, connector driver.Connector) {
	var s *session
	defer func() {
		if s != nil {
			s.close()
		}
	}()
	for ctx.Err() == nil {
		sample := history.Sample{Member: host, Asked: now()}
		each, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
		var err error
		if s == nil {
			s, err = dial(each, connector)
		}
		if err == nil {
			sample.Server = s.server
			sample.Asked = now()
			err = s.conn.QueryRowContext(each, "SELECT NOT (@@GLOBAL.super_read_only OR @@GLOBAL.read_only OR @@GLOBAL.offline_mode)").Scan(&sample.Writable)
		}
		cancel()
		sample.Answered = now()
		sample.Failed = err != nil
		if err != nil && s != nil {
			s.close()
			s = nil
		}
		c.mu.Lock()
		c.samples = append(c.samples, sample)
		c.mu.Unlock()
		pauseFor(ctx, pollInterval)
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
