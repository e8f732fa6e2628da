package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/authority"
)

// Mysqld is one run of mysqld with its deadman.
type Mysqld struct {
	cmd     *exec.Cmd
	pidfd   int
	deadman *deadman
	exited  chan struct{}

	mu     sync.Mutex
	how    string
	gone   bool
	status int
	killed authority.Instant
}

// Spec says how to start mysqld.
type Spec struct {
	// Program and Args; Output takes standard output and error.
	Program string
	Args    []string
	Output  io.Writer
	// Self is the agent's own program, for the deadman; without it there is none, which
	// is fit for runs that nobody can connect to.
	Self string
}

// Start starts mysqld and its deadman. When the deadman dies mysqld is killed, and the
// other way round the deadman kills mysqld when this process dies.
func Start(spec Spec) (*Mysqld, error) {
	m := &Mysqld{exited: make(chan struct{}), pidfd: -1}
	m.cmd = exec.Command(spec.Program, spec.Args...) //nolint:noctx // it ends on a signal, and by its deadman
	m.cmd.Stdout = spec.Output
	m.cmd.Stderr = spec.Output
	// With a parent's pid mysqld ends for its supervisor to start it again after a clone.
	m.cmd.Env = append(os.Environ(), "MYSQLD_PARENT_PID="+strconv.Itoa(os.Getpid()))
	// A group of its own: signals to the agent's group are the agent's business.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, PidFD: &m.pidfd}
	own.Lock()
	err := m.cmd.Start()
	if err == nil {
		own.pids[m.cmd.Process.Pid] = true
	}
	own.Unlock()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Program, err)
	}
	if m.pidfd < 0 {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		return nil, errors.New("start mysqld: this kernel gives no pidfd; Linux 5.4 or newer is needed")
	}
	if spec.Self != "" {
		m.deadman, err = startDeadman(spec.Self, m.pidfd)
	}
	go m.wait()
	if err != nil {
		m.Kill()
		<-m.exited
		return nil, err
	}
	if m.deadman != nil {
		go func() {
			select {
			case <-m.deadman.exited:
				m.Kill()
			case <-m.exited:
			}
		}()
	}
	return m, nil
}

func (m *Mysqld) wait() {
	err := m.cmd.Wait()
	m.mu.Lock()
	m.gone = true
	m.how = "exit 0"
	m.status = m.cmd.ProcessState.ExitCode()
	if err != nil {
		m.how = m.cmd.ProcessState.String()
	}
	_ = unix.Close(m.pidfd)
	m.mu.Unlock()
	own.Lock()
	delete(own.pids, m.cmd.Process.Pid)
	own.Unlock()
	close(m.exited)
	if m.deadman != nil {
		m.deadman.end()
	}
}

// Exited is closed once mysqld has ended and was waited for.
func (m *Mysqld) Exited() <-chan struct{} { return m.exited }

// How says how it ended, such as "exit status 1" or "signal: killed"; empty before.
func (m *Mysqld) How() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.how
}

// ExitCode is mysqld's, -1 for a signal or before the end.
func (m *Mysqld) ExitCode() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.gone {
		return -1
	}
	return m.status
}

// PID of mysqld.
func (m *Mysqld) PID() int { return m.cmd.Process.Pid }

// Kill sends SIGKILL. It does not wait, and does nothing after the end.
func (m *Mysqld) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.signal(unix.SIGKILL) && m.killed == 0 {
		m.killed = Now()
	}
}

// Terminate sends SIGTERM, on which mysqld ends cleanly: only for one that is closed and
// has no commit waiting.
func (m *Mysqld) Terminate() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signal(unix.SIGTERM)
}

// signal reports whether the kernel took it. The lock must be held.
func (m *Mysqld) signal(sig unix.Signal) bool {
	return !m.gone && unix.PidfdSendSignal(m.pidfd, sig, nil, 0) == nil
}

// KilledAt is when SIGKILL had been sent, by the agent or its deadman; 0 if it was not.
// From then on no thread of mysqld runs its program any more: the kernel has it die before
// it returns from whatever it does. Its end can come much later, since a thread that
// waits for a device that hangs stays until the device answers.
//
// Of one that ended by a signal the deadman's word is waited for, a second at most: it may
// have been first also where this process, stopped for a while, killed it again.
func (m *Mysqld) KilledAt() authority.Instant {
	m.mu.Lock()
	first := m.killed
	ended := m.gone && m.status < 0
	m.mu.Unlock()
	if m.deadman == nil {
		return first
	}
	if ended {
		select {
		case <-m.deadman.silent:
		case <-time.After(lastWord):
		}
	}
	if other := m.deadman.killedAt(); first == 0 || (other != 0 && other < first) {
		first = other
	}
	return first
}

// SetDeadline gives the deadman a new instant; 0 for none. It does not block.
func (m *Mysqld) SetDeadline(at authority.Instant) {
	if m.deadman != nil {
		m.deadman.set(at)
	}
}

// Armed waits until the deadman says that it works with this deadline or a later one.
func (m *Mysqld) Armed(at authority.Instant, limit time.Duration) bool {
	return m.deadman != nil && m.deadman.armed(at, limit)
}
