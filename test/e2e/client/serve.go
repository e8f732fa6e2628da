package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/dbpair/dbpair/test/e2e/history"
)

// handler serves the paths below. A run lives as long as ctx, not as its request.
//
//	GET  /healthz
//	POST /start?writers=8&pause=20ms
//	POST /idle?sessions=200&mute=50   connections that are kept and say nothing
//	POST /stop             every attempt and every look since the last stop
//	GET  /stats            counters since the last stop, and the last acknowledged write
//	GET  /rows             every row, read through the client Service
//	GET  /count?host=H     rows as the server H has them
//	GET  /dial?address=A   what a TCP connect to A ends in
func (c *clients) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		writers, errWriters := strconv.Atoi(r.URL.Query().Get("writers"))
		pause, errPause := time.ParseDuration(r.URL.Query().Get("pause"))
		if errWriters != nil || errPause != nil {
			http.Error(w, "writers and pause must be given", http.StatusBadRequest)
			return
		}
		reply(w, struct{}{}, c.start(ctx, writers, pause))
	})
	mux.HandleFunc("POST /idle", func(w http.ResponseWriter, r *http.Request) {
		sessions, errSessions := strconv.Atoi(r.URL.Query().Get("sessions"))
		mute, errMute := strconv.Atoi(r.URL.Query().Get("mute"))
		if errSessions != nil || errMute != nil {
			http.Error(w, "sessions and mute must be given", http.StatusBadRequest)
			return
		}
		err := c.idle.open(r.Context(), c, sessions)
		if err == nil {
			err = c.idle.openMute(r.Context(), c, mute)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		c.stop()
		c.idle.close()
		reply(w, c.take(), nil)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { reply(w, c.stats(), nil) })
	mux.HandleFunc("GET /rows", func(w http.ResponseWriter, r *http.Request) {
		rows, err := c.rows(r.Context())
		reply(w, rows, err)
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, r *http.Request) {
		count, err := c.count(r.Context(), r.URL.Query().Get("host"))
		reply(w, count, err)
	})
	mux.HandleFunc("GET /dial", func(w http.ResponseWriter, r *http.Request) {
		reply(w, tryDial(r.Context(), r.URL.Query().Get("address")), nil)
	})
	return mux
}

func reply(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Printf("reply: %v", err)
	}
}

// take hands the record out and forgets it.
func (c *clients) take() history.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := history.Report{Attempts: c.attempts, Samples: c.samples}
	c.attempts = nil
	c.samples = nil
	return r
}

func (c *clients) stats() history.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := history.Stats{Now: now()}
	for _, a := range c.attempts {
		if !a.Acknowledged() {
			s.Failed++
			s.LastError = a.Error
			continue
		}
		s.Acknowledged++
		if a.Done > s.LastAck {
			s.LastAck = a.Done
			s.LastServer = a.Server
		}
	}
	return s
}

func (c *clients) rows(ctx context.Context) ([]history.Key, error) {
	s, err := dial(ctx, c.service)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer s.close()
	rows, err := s.conn.QueryContext(ctx, "SELECT w, s FROM e2e_writes")
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	keys := []history.Key{}
	for rows.Next() {
		var k history.Key
		if err := rows.Scan(&k.Writer, &k.Seq); err != nil {
			return nil, fmt.Errorf("read rows: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

func (c *clients) count(ctx context.Context, host string) (int, error) {
	connector, ok := c.members[host]
	if host == c.opts.host {
		connector = c.service
		ok = true
	}
	if !ok {
		return 0, fmt.Errorf("count: %q is none of the members", host)
	}
	s, err := dial(ctx, connector)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer s.close()
	var n int
	err = s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM e2e_writes").Scan(&n)
	return n, err
}

func tryDial(ctx context.Context, address string) history.Dialed {
	begin := time.Now()
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	d := history.Dialed{Took: time.Since(begin), Connected: err == nil}
	if err != nil {
		d.Error = err.Error()
		return d
	}
	_ = conn.Close()
	return d
}
