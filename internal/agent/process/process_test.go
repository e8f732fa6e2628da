package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is the deadman too: the tests start this very program as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "deadman" {
		run := RunDeadman
		if filepath.Base(os.Args[0]) == lateDeadman {
			run = runLateDeadman
		}
		if err := run(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startSleeper starts a child that does nothing, with a deadman.
func startSleeper(t *testing.T) *Mysqld {
	t.Helper()
	m, err := Start(Spec{Program: "sleep", Args: []string{"300"}, Output: os.Stderr, Self: os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Kill()
		<-m.Exited()
	})
	arm(t, m, time.Hour) // it may take a while to start on a busy machine
	return m
}

func endsWithin(t *testing.T, m *Mysqld, limit time.Duration) bool {
	t.Helper()
	select {
	case <-m.Exited():
		return true
	case <-time.After(limit):
		return false
	}
}

func arm(t *testing.T, m *Mysqld, d time.Duration) {
	t.Helper()
	at := Now().Add(d)
	m.SetDeadline(at)
	if !m.Armed(at, 20*time.Second) {
		t.Fatal("the deadman does not answer")
	}
}

func TestTheDeadmanKillsAtTheDeadline(t *testing.T) {
	m := startSleeper(t)
	started := time.Now()
	deadline := Now().Add(300 * time.Millisecond)
	m.SetDeadline(deadline)
	if !endsWithin(t, m, 10*time.Second) {
		t.Fatal("the deadline passed and the child lives")
	}
	if early := time.Since(started); early < 290*time.Millisecond {
		t.Errorf("killed after %s, before the deadline", early)
	}
	if !strings.Contains(m.How(), "killed") {
		t.Errorf("it ended by %q", m.How())
	}
	// The deadman looks at its clock when it has sent the signal, which may be after the end.
	if at, now := m.KilledAt(), Now(); at < deadline || at > now {
		t.Errorf("killed at %d, want between the deadline %d and now, %d", at, deadline, now)
	}
}

// TestTheDeadmansWordIsHeardAfterTheEnd: mysqld may be gone and waited for before the
// deadman, which has killed it, gets to say so.
func TestTheDeadmansWordIsHeardAfterTheEnd(t *testing.T) {
	self := filepath.Join(t.TempDir(), lateDeadman)
	if err := os.Symlink(os.Args[0], self); err != nil {
		t.Fatal(err)
	}
	m, err := Start(Spec{Program: "sleep", Args: []string{"300"}, Output: os.Stderr, Self: self})
	if err != nil {
		t.Fatal(err)
	}
	began := Now()
	m.SetDeadline(began)
	if !endsWithin(t, m, 20*time.Second) {
		t.Fatal("the child lives")
	}
	if at, now := m.KilledAt(), Now(); at < began || at > now {
		t.Errorf("killed at %d, want from %d to %d", at, began, now)
	}
}

// lateDeadman is the name of a program that kills at the first word and tells of it late.
const lateDeadman = "late-deadman"

func runLateDeadman() error {
	fds := []unix.PollFd{{Fd: deadmanSocket, Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, -1); err != nil {
		return err
	}
	if err := unix.PidfdSendSignal(deadmanPidfd, unix.SIGKILL, nil, 0); err != nil {
		return err
	}
	at := Now()
	time.Sleep(200 * time.Millisecond)
	tellKilled(at)
	return nil
}

// TestARenewedOrClearedDeadlineKillsNobody sets deadlines far enough away to be renewed and
// cleared in time on a busy machine.
func TestARenewedOrClearedDeadlineKillsNobody(t *testing.T) {
	const soon = 5 * time.Second
	renewed := startSleeper(t)
	cleared := startSleeper(t)
	passed := Now().Add(soon + 500*time.Millisecond)
	renewed.SetDeadline(Now().Add(soon))
	arm(t, renewed, time.Hour)
	cleared.SetDeadline(Now().Add(soon))
	cleared.SetDeadline(0)
	for what, m := range map[string]*Mysqld{"renewed": renewed, "cleared": cleared} {
		if endsWithin(t, m, passed.Sub(Now())) {
			t.Errorf("killed by a deadline that was %s", what)
		}
	}
}

func TestTheChildDiesWithTheAgent(t *testing.T) {
	m := startSleeper(t)
	arm(t, m, time.Hour)
	// What the kernel does when the agent dies: its end of the socket is closed.
	if err := unix.Shutdown(m.deadman.socket, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if !endsWithin(t, m, 20*time.Second) {
		t.Fatal("the child outlived the agent")
	}
}

func TestTheChildDiesWithTheDeadman(t *testing.T) {
	m := startSleeper(t)
	if err := m.deadman.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !endsWithin(t, m, 20*time.Second) {
		t.Fatal("the child outlived the deadman")
	}
	if m.Armed(Now(), 100*time.Millisecond) {
		t.Error("a dead deadman says that it is armed")
	}
}

func TestTheDeadmanEndsWithTheChild(t *testing.T) {
	m := startSleeper(t)
	m.Terminate()
	if !endsWithin(t, m, 20*time.Second) {
		t.Fatal("SIGTERM did not end the child")
	}
	select {
	case <-m.deadman.exited:
	case <-time.After(20 * time.Second):
		t.Fatal("the deadman outlived the child")
	}
	m.SetDeadline(Now()) // does nothing, and does not fail
}

func TestAnOrphanIsReapedAndAChildIsNot(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	ReapOrphans(stop)
	// A child that nobody here knows of, as an orphan is.
	orphan := exec.Command("true")
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if err := unix.Kill(orphan.Process.Pid, 0); err == unix.ESRCH {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the orphan is a zombie")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := Run(exec.Command("sh", "-c", "exit 3")); err == nil || !strings.Contains(err.Error(), "3") {
		t.Errorf("the status of a child of ours was lost: %v", err)
	}
}

func TestTheClockOfTheWallIsComparedWithBoottime(t *testing.T) {
	w := NewWallClock()
	if jump := w.Jump(50 * time.Millisecond); jump != 0 {
		t.Errorf("a jump of %s", jump)
	}
	w.offset -= time.Second
	if jump := w.Jump(50 * time.Millisecond); jump < 900*time.Millisecond || jump > 1100*time.Millisecond {
		t.Errorf("a jump of %s, want one of a second", jump)
	}
	for range 2 {
		w.offset -= 400 * time.Millisecond
		if jump := w.Jump(time.Second); jump != 0 {
			t.Errorf("a jump of %s", jump)
		}
	}
	w.offset -= 400 * time.Millisecond
	if jump := w.Jump(time.Second); jump < 1100*time.Millisecond {
		t.Errorf("a jump of %s, want three of 0.4 s that came one after the other", jump)
	}
	if before := Now(); Now() < before {
		t.Error("CLOCK_BOOTTIME runs backwards")
	}
}
