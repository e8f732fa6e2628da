// Command programs runs inside the cluster under test: client programs in several languages, each with
// the strings that the pair's Secret hands out to it, and nothing else. Every worker is a process with
// one connection, as one of a pool; Go's workers share a pool of database/sql. They run transactions of
// some milliseconds and write down what their drivers say.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/test/clients/programs"
	"github.com/dbpair/dbpair/test/e2e/history"
)

const (
	listenAddress = ":8080"
	// lastWord is how long the end of a run waits for answers; what has none by then hangs.
	lastWord = 30 * time.Second
	// retryPause is between a connection that failed and the next.
	retryPause = 20 * time.Millisecond
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	commands, err := programs.Commands("/")
	if err != nil {
		return err
	}
	r := &record{open: map[worker]history.Stamp{}}
	l := &load{record: r, commands: commands}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, req *http.Request) {
		n, errWorkers := strconv.Atoi(req.URL.Query().Get("workers"))
		pause, errPause := time.ParseDuration(req.URL.Query().Get("pause"))
		if errWorkers != nil || n < 1 || errPause != nil {
			http.Error(w, "workers must be a number from 1, and pause a duration", http.StatusBadRequest)
			return
		}
		if err := l.start(ctx, n, pause); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	mux.HandleFunc("GET /tries", func(w http.ResponseWriter, _ *http.Request) { reply(w, r.take()) })
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		l.stop()
		reply(w, r.take())
	})
	server := &http.Server{
		Addr:              listenAddress,
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func reply(w http.ResponseWriter, tries []history.Try) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(tries); err != nil {
		log.Printf("reply: %v", err)
	}
}

// now is CLOCK_BOOTTIME, which all machines of a kind cluster share.
func now() history.Stamp {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // cannot fail on any Linux this runs on
	}
	return history.Stamp(ts.Nano())
}

type worker struct {
	program string
	number  int
}

// record is what was tried so far, and what is under way.
type record struct {
	mu    sync.Mutex
	tries []history.Try
	open  map[worker]history.Stamp
}

func (r *record) begin(w worker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[w] = now()
}

// end is called once for each begin.
func (r *record) end(w worker, step history.Step, trouble string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, history.Try{
		Program: w.program,
		Worker:  w.number,
		Sent:    r.open[w],
		Done:    now(),
		Step:    step,
		Error:   trouble,
	})
	delete(r.open, w)
}

// take hands out what was tried and forgets it, but for what is under way and not yet hanging.
func (r *record) take() []history.Try {
	r.mu.Lock()
	defer r.mu.Unlock()
	tries := r.tries
	r.tries = nil
	for w, sent := range r.open {
		if now().Sub(sent) < lastWord {
			continue
		}
		tries = append(tries, history.Try{
			Program: w.program,
			Worker:  w.number,
			Sent:    sent,
			Done:    now(),
			Hung:    true,
		})
	}
	return tries
}

// load is one run of all programs.
type load struct {
	record   *record
	commands []programs.Command

	pause    time.Duration // between two transactions of a worker
	end      context.CancelFunc
	running  sync.WaitGroup
	mu       sync.Mutex
	sessions []*programs.Session
}

// start begins n workers of each program, each pausing between two transactions.
func (l *load) start(parent context.Context, n int, pause time.Duration) error {
	l.stop()
	l.pause = pause
	ctx, cancel := context.WithCancel(parent)
	l.end = cancel
	if err := l.startGo(ctx, n); err != nil {
		return err
	}
	for _, c := range l.commands {
		if c.ConnectOnly {
			continue
		}
		for number := range n {
			w := worker{program: c.Name, number: number}
			l.running.Go(func() { l.work(ctx, w, c) })
		}
	}
	return nil
}

// stop ends the run. What has no answer after lastWord is hanging, and its program is killed.
func (l *load) stop() {
	if l.end == nil {
		return
	}
	l.end()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.running.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(lastWord):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		s.End()
	}
	l.sessions = nil
}

// work runs one transaction after the other in one program, until the run ends.
func (l *load) work(ctx context.Context, w worker, c programs.Command) {
	l.record.begin(w)
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env = append(programs.Environment(), c.Env...)
	session, answer, err := programs.Start(cmd)
	if err != nil || !answer.OK {
		l.record.end(w, history.StepConnect, describe(answer, err))
	} else {
		l.record.end(w, "", "")
	}
	if session == nil {
		return
	}
	l.mu.Lock()
	l.sessions = append(l.sessions, session)
	l.mu.Unlock()
	connected := answer.OK
	for n := 0; ctx.Err() == nil; n++ {
		if !connected {
			l.record.begin(w)
			answer, err := session.Ask("connect")
			connected = err == nil && answer.OK
			if !connected {
				l.record.end(w, history.StepConnect, describe(answer, err))
				time.Sleep(retryPause)
				continue
			}
			l.record.mu.Lock()
			delete(l.record.open, w)
			l.record.mu.Unlock()
		}
		l.record.begin(w)
		step, trouble := transaction(session, w, n)
		l.record.end(w, step, trouble)
		connected = step == ""
		time.Sleep(l.pause)
	}
	session.End()
}

// transaction is one of some milliseconds. It says at which step it failed.
func transaction(session *programs.Session, w worker, n int) (history.Step, string) {
	step := history.StepBegin
	for _, statement := range statements(w, n) {
		answer, err := session.Ask(statement)
		if err != nil || !answer.OK {
			return step, describe(answer, err)
		}
		step = history.StepMiddle
	}
	return "", ""
}

func statements(w worker, n int) []string {
	return []string{
		"START TRANSACTION",
		fmt.Sprintf("INSERT INTO programs_writes (program, worker, n) VALUES ('%s', %d, %d)", w.program, w.number, n),
		"DO SLEEP(0.005)",
		"COMMIT",
	}
}

func describe(answer programs.Answer, err error) string {
	if err != nil {
		return err.Error()
	}
	return answer.Code + " " + answer.Class
}
