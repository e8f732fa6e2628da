package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/test/e2e/history"
)

// recordInterval is how often new logs and new processes are looked for.
const recordInterval = 100 * time.Millisecond

// Recorder keeps what the members' pods log and when their mysqlds end, whatever becomes
// of the pods, the nodes or the API server. It reads the log files of the nodes, which
// are folders of this machine, and holds them open, so that a log survives its pod.
type Recorder struct {
	pair *Pair
	dirs []string
	ctx  context.Context // of the recording, for watchers that start late
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	files map[string]*logFile
	seen  map[int]bool
	exits []exit
	err   error
}

type logFile struct {
	pod, container string
	file           *os.File
	content        bytes.Buffer
}

type exit struct {
	member string
	at     history.Stamp
}

// Record begins to record the pair. Stop must be called.
func (p *Pair) Record(ctx context.Context) (*Recorder, error) {
	r := &Recorder{
		pair:  p,
		files: map[string]*logFile{},
		seen:  map[int]bool{},
	}
	workers, err := p.Workers(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range workers {
		dir, err := p.Node(w).logDir(ctx)
		if err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
		if _, err := os.ReadDir(dir); err != nil {
			return nil, fmt.Errorf("record: the nodes' logs must be readable here (root, with a docker engine of this machine): %w", err)
		}
		r.dirs = append(r.dirs, dir)
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.ctx = ctx
	r.look(ctx)
	r.done.Go(func() {
		ticker := time.NewTicker(recordInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.look(ctx)
			}
		}
	})
	return r, nil
}

// Stop ends the recording and closes the files. What was recorded stays.
func (r *Recorder) Stop() {
	r.stop()
	r.done.Wait()
	r.look(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.files {
		_ = f.file.Close()
	}
}

// look opens new logs, reads what was added, and finds new mysqlds.
func (r *Recorder) look(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read(ctx)
}

func (r *Recorder) read(ctx context.Context) {
	for _, dir := range r.dirs {
		paths, err := filepath.Glob(filepath.Join(dir, r.pair.Namespace+"_"+r.pair.Name+"-[01]_*", "*", "*.log"))
		if err != nil {
			r.err = errors.Join(r.err, err)
		}
		for _, path := range paths {
			r.open(ctx, path)
		}
	}
	for _, f := range r.files {
		// An error here is the end of a file that was closed by Stop.
		_, _ = io.Copy(&f.content, f.file)
	}
}

func (r *Recorder) open(ctx context.Context, path string) {
	container := filepath.Base(filepath.Dir(path))
	parts := strings.Split(filepath.Base(filepath.Dir(filepath.Dir(path))), "_")
	pod := parts[1]
	uid := types.UID(parts[2])
	if container == "mysqld" {
		r.watchProcesses(ctx, pod, uid)
	}
	if r.files[path] != nil {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		return // rotated away or removed between the look and now
	}
	r.files[path] = &logFile{
		pod:       pod,
		container: container,
		file:      file,
	}
}

func (r *Recorder) watchProcesses(ctx context.Context, pod string, uid types.UID) {
	processes, err := Processes(uid)
	if err != nil {
		r.err = errors.Join(r.err, err)
	}
	for _, process := range processes {
		if process.Role != RoleMysqld || r.seen[process.PID] {
			continue
		}
		r.seen[process.PID] = true
		_ = exitStamp(ctx, process.PID, func() {
			at := Now()
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.seen, process.PID)
			r.exits = append(r.exits, exit{pod, at})
		})
	}
}

// Intervals are the times in which each member was open, by its agent's own stamps. An
// interval that the agent could not end, since it was killed itself, is ended by the
// exit of its mysqld as this machine's kernel saw it.
func (r *Recorder) Intervals() ([]history.Interval, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	r.read(r.ctx)
	events := map[string][]history.AgentEvent{}
	for path, f := range r.files {
		if f.container != "mysqld" {
			continue
		}
		list, err := history.ReadAgentLog(f.pod, bytes.NewReader(f.content.Bytes()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		events[f.pod] = append(events[f.pod], list...)
	}
	var all []history.Interval
	for _, member := range r.pair.Members() {
		list := history.Intervals(events[member])
		for i := range list {
			r.endByExit(&list[i])
		}
		all = append(all, list...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("intervals of %s: no agent logged that it opened: the stamps are missing", r.pair.Name)
	}
	return all, nil
}

// whyExited marks the intervals that the kernel's stamp ended.
const whyExited = "mysqld exited"

// endByExit shortens an interval to the first exit of its member's mysqld in it: an agent
// that was killed stamps nothing, and one that was stopped stamps late.
func (r *Recorder) endByExit(i *history.Interval) {
	for _, e := range r.exits {
		within := e.at > i.From && (!i.Ended() || e.at < i.To)
		if within && e.member == i.Member {
			i.To = e.at
			i.Why = whyExited
		}
	}
}

// WriteTo writes every log to the folder, for a person to read.
func (r *Recorder) WriteTo(dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for path, f := range r.files {
		name := f.pod + "_" + filepath.Base(filepath.Dir(filepath.Dir(path))) + "_" + f.container + "_" + filepath.Base(path)
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), f.content.Bytes(), 0o600))
	}
	return errors.Join(errs...)
}
