package process

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// own are the children someone here waits for.
var own = struct {
	sync.Mutex
	pids map[int]bool
}{pids: map[int]bool{}}

// ReapOrphans waits for children that nobody here started: as the first process of a
// container the agent inherits whatever loses its parent. It returns at once and works
// until stop is closed.
func ReapOrphans(stop <-chan struct{}) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGCHLD)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-stop:
				return
			case <-signals:
				reap()
			}
		}
	}()
}

// reap looks at ended children without taking them, and takes only those that are not
// ours. One of ours in front hides the others until it is waited for, which sends no
// signal of its own: so it is tried again at the next SIGCHLD.
func reap() {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != nil {
			return
		}
		pid := pidOf(&info)
		own.Lock()
		mine := own.pids[pid]
		own.Unlock()
		if pid == 0 || mine {
			return
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}

// Run runs a short program to its end.
func Run(cmd *exec.Cmd) error {
	own.Lock()
	err := cmd.Start()
	if err == nil {
		own.pids[cmd.Process.Pid] = true
	}
	own.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		own.Lock()
		delete(own.pids, cmd.Process.Pid)
		own.Unlock()
	}()
	return cmd.Wait()
}
