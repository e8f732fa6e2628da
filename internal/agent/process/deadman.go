package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/authority"
)

// deadman is the agent's end of the second process, which kills mysqld when the agent cannot.
type deadman struct {
	cmd    *exec.Cmd
	socket int
	exited chan struct{}
	silent chan struct{} // closed when it will say nothing more

	mu     sync.Mutex
	closed bool
	echoed authority.Instant
	killed authority.Instant // when it had sent SIGKILL; 0 before
	news   chan struct{}
}

// The descriptors that RunDeadman finds.
const (
	deadmanSocket = 3
	deadmanPidfd  = 4
)

func startDeadman(self string, pidfd int) (*deadman, error) {
	pairFDs, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start deadman: %w", err)
	}
	dup, err := unix.FcntlInt(uintptr(pidfd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start deadman: %w", err)
	}
	theirs := os.NewFile(uintptr(pairFDs[1]), "deadman")
	target := os.NewFile(uintptr(dup), "mysqld")
	defer theirs.Close()
	defer target.Close()
	d := &deadman{
		socket: pairFDs[0],
		exited: make(chan struct{}),
		silent: make(chan struct{}),
		news:   make(chan struct{}, 1),
	}
	d.cmd = exec.Command(self, "deadman") //nolint:noctx // it outlives every context: it ends when its socket closes or mysqld is gone
	d.cmd.ExtraFiles = []*os.File{theirs, target}
	d.cmd.Stderr = os.Stderr
	d.cmd.Env = []string{"GOMAXPROCS=1", "GOGC=off"}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	own.Lock()
	err = d.cmd.Start()
	if err == nil {
		own.pids[d.cmd.Process.Pid] = true
	}
	own.Unlock()
	if err != nil {
		_ = unix.Close(pairFDs[0])
		return nil, fmt.Errorf("start deadman: %w", err)
	}
	go d.read()
	go func() {
		_ = d.cmd.Wait()
		own.Lock()
		delete(own.pids, d.cmd.Process.Pid)
		own.Unlock()
		close(d.exited)
	}()
	return d, nil
}

// read takes the echoes, and the word that it has killed: an instant with its sign turned.
func (d *deadman) read() {
	var message [8]byte
	for {
		n, err := unix.Read(d.socket, message[:])
		// A deadman that ended with a deadline unread leaves a reset in front of what it said.
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNRESET) {
			continue
		}
		if err != nil || n != len(message) {
			break
		}
		said := authority.Instant(binary.LittleEndian.Uint64(message[:]))
		d.mu.Lock()
		if said < 0 {
			d.killed = -said
		} else {
			d.echoed = said
		}
		d.mu.Unlock()
		select {
		case d.news <- struct{}{}:
		default:
		}
	}
	// The reader alone closes the socket: closed by another it could read from whatever
	// gets the number next.
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	_ = unix.Close(d.socket)
	close(d.silent)
}

func (d *deadman) set(at authority.Instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	var message [8]byte
	binary.LittleEndian.PutUint64(message[:], uint64(at))
	_ = unix.Send(d.socket, message[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func (d *deadman) armed(at authority.Instant, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-d.exited:
			return false
		default:
		}
		d.mu.Lock()
		fine := d.echoed >= at && at != 0
		d.mu.Unlock()
		if fine {
			return true
		}
		select {
		case <-d.news:
		case <-d.exited:
			return false
		case <-timer.C:
			return false
		}
	}
}

func (d *deadman) killedAt() authority.Instant {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.killed
}

// lastWord is how long a deadman whose mysqld is gone may take to say when it killed it.
const lastWord = time.Second

// end lets go of a deadman whose mysqld is gone. It ends by itself, and closes its end of
// the socket, when it has said what it has to say.
func (d *deadman) end() {
	select {
	case <-d.silent:
	case <-time.After(lastWord):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		_ = unix.Shutdown(d.socket, unix.SHUT_RDWR) // wakes the reader, which closes it
	}
}

// RunDeadman is the body of the second process. It ends when mysqld has ended, and kills
// mysqld at the deadline, or when the agent has gone, whichever is first. It reads no
// file, takes no lock that another process has and allocates nothing once it runs.
func RunDeadman() error {
	runtime.LockOSThread()
	// The end comes with mysqld's: a signal to the whole container is not for us.
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	// Best effort: without the right to lock memory the pages are in use anyway.
	_ = unix.Mlockall(unix.MCL_CURRENT)
	timer, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		_ = unix.PidfdSendSignal(deadmanPidfd, unix.SIGKILL, nil, 0)
		return fmt.Errorf("deadman: make timer: %w", err)
	}
	fds := []unix.PollFd{
		{Fd: deadmanSocket, Events: unix.POLLIN}, {Fd: deadmanPidfd, Events: unix.POLLIN}, {Fd: int32(timer), Events: unix.POLLIN},
	}
	var deadline authority.Instant
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			_ = unix.PidfdSendSignal(deadmanPidfd, unix.SIGKILL, nil, 0)
			return fmt.Errorf("deadman: poll: %w", err)
		}
		if fds[1].Revents != 0 {
			return nil
		}
		// What the agent has written counts before the timer: a deadman that was not
		// scheduled for a while must not judge by a deadline that is long renewed.
		there := true
		if fds[0].Revents != 0 {
			deadline, there = newestDeadline(deadline)
			there = there && setTimer(timer, int64(deadline)) == nil
		}
		if !there || (deadline != 0 && Now() >= deadline) {
			if unix.PidfdSendSignal(deadmanPidfd, unix.SIGKILL, nil, 0) == nil {
				tellKilled(Now())
			}
			awaitEnd()
			return nil
		}
	}
}

// newestDeadline takes and echoes every message there is; false says that the agent is
// gone.
func newestDeadline(deadline authority.Instant) (authority.Instant, bool) {
	var message [8]byte
	for {
		n, _, err := unix.Recvfrom(deadmanSocket, message[:], unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return deadline, true
		case err != nil || n != len(message):
			return deadline, false
		default:
			deadline = authority.Instant(binary.LittleEndian.Uint64(message[:]))
			_ = unix.Send(deadmanSocket, message[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
	}
}

// tellKilled is for the agent's records only: nobody waits for it.
func tellKilled(at authority.Instant) {
	var message [8]byte
	binary.LittleEndian.PutUint64(message[:], uint64(-at))
	_ = unix.Send(deadmanSocket, message[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// awaitEnd stays until mysqld is gone, so that the agent does not take the deadman's end
// for the first thing that happened.
func awaitEnd() {
	fds := []unix.PollFd{{Fd: deadmanPidfd, Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func setTimer(timer int, at int64) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at)}
	return unix.TimerfdSettime(timer, unix.TFD_TIMER_ABSTIME, &spec, nil)
}
