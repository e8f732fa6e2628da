package job

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// DumpAgent is the agent that loads a dump.
type DumpAgent interface {
	WantedDump(ctx context.Context) (agentapi.DumpStep, error)
	SendDump(ctx context.Context, step agentapi.DumpStep, body io.Reader, size int64) error
}

// Dump is a file that a new pair begins with.
type Dump struct {
	// Dir is its volume, which the path does not leave, and Path the file in it.
	Dir, Path string
	Agent     DumpAgent
	// Pause between two questions.
	Pause time.Duration
	Log   logr.Logger
}

// pauseOfDump is short beside what a load takes, and what an agent that starts takes.
const pauseOfDump = 2 * time.Second

// BringDumpInPod is the process of the pod of the Job that brings a dump; see Dump.Bring.
func BringDumpInPod(ctx context.Context, log logr.Logger) error {
	host := os.Getenv(jobapi.EnvDumpHost)
	address := os.Getenv(jobapi.EnvDumpAgent)
	path := os.Getenv(jobapi.EnvDumpPath)
	if host == "" || address == "" || path == "" {
		return fmt.Errorf("%w: %s, %s and %s must be set, as the operator's Jobs have them",
			ErrPermanent, jobapi.EnvDumpHost, jobapi.EnvDumpAgent, jobapi.EnvDumpPath)
	}
	dirs := Dirs{TLS: jobapi.TLSDir}
	return Dump{
		Dir:  jobapi.DumpDir,
		Path: path,
		Agent: &agentclient.Client{
			Address: address,
			TLS:     func() (*tls.Config, error) { return dirs.clientTLS(host) },
		},
		Pause: pauseOfDump,
		Log:   log,
	}.Bring(ctx)
}

// Bring sends the file whenever the agent wants it, until the agent has its data. It blocks until
// then or the end of ctx. The agent publishes what is wrong with the file: here it is only logged, and
// the file is sent again when it is wanted again.
func (d Dump) Bring(ctx context.Context) error {
	last := ""
	for {
		step, err := d.Agent.WantedDump(ctx)
		if err == nil {
			switch step {
			case agentapi.DumpDone:
				d.Log.Info("the member has its data")
				return nil
			case agentapi.DumpCheck, agentapi.DumpLoad:
				err = d.send(ctx, step)
			case agentapi.DumpNothing, agentapi.DumpUnreadable:
			}
		}
		if err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			d.Log.Info("the dump is not loaded yet", "reason", last)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d.Pause):
		}
	}
}

// send sends the file, or why it cannot be read.
func (d Dump) send(ctx context.Context, step agentapi.DumpStep) error {
	file, size, err := d.open()
	if err != nil {
		why := err.Error()
		return errors.Join(err, d.Agent.SendDump(ctx, agentapi.DumpUnreadable, strings.NewReader(why), int64(len(why))))
	}
	defer func() { _ = file.Close() }()
	d.Log.Info("sending the dump", "step", step, "bytes", size)
	if err := d.Agent.SendDump(ctx, step, file, size); err != nil {
		return err
	}
	d.Log.Info("the dump was taken", "step", step)
	return nil
}

// open opens the file, which may be a link to another one on the same volume.
func (d Dump) open() (*os.File, int64, error) {
	file, err := os.OpenInRoot(d.Dir, d.Path)
	if err != nil {
		return nil, 0, fmt.Errorf("%w; the user %d has to be able to read it", err, os.Getuid())
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", d.Path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}
