package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// Role is what a process of the mysqld container is.
type Role string

// The processes of the mysqld container.
const (
	RoleMysqld  Role = "mysqld"
	RoleAgent   Role = "agent"
	RoleDeadman Role = "deadman"
)

// Process is one process of a member's pod, by its pid on this machine.
type Process struct {
	PID  int
	Role Role
}

// Processes of a pod. They are found by the pod's control group, which a container
// cannot leave.
func Processes(podUID types.UID) ([]Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if !inPod(dir, podUID) {
			continue
		}
		if role, ok := roleOf(dir); ok {
			found = append(found, Process{pid, role})
		}
	}
	return found, nil
}

func inPod(dir string, podUID types.UID) bool {
	groups, err := os.ReadFile(dir + "/cgroup")
	if err != nil {
		return false // gone meanwhile
	}
	// The systemd driver writes underscores.
	return strings.Contains(string(groups), "pod"+string(podUID)) ||
		strings.Contains(string(groups), "pod"+strings.ReplaceAll(string(podUID), "-", "_"))
}

func roleOf(dir string) (Role, bool) {
	raw, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(raw) == 0 {
		return "", false // gone, or a zombie
	}
	args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
	switch name := filepath.Base(args[0]); {
	case name == "mysqld":
		return RoleMysqld, true
	case name == "agent" && len(args) > 1 && args[1] == "deadman":
		return RoleDeadman, true
	case name == "agent" && len(args) > 1 && args[1] == "run":
		return RoleAgent, true
	default:
		return "", false
	}
}

// Signal sends a signal to the processes of these roles in a member's pod.
func (p *Pair) Signal(ctx context.Context, member string, signal unix.Signal, roles ...Role) error {
	pod, err := p.Pod(ctx, member)
	if err != nil {
		return err
	}
	processes, err := Processes(pod.UID)
	if err != nil {
		return err
	}
	hit := 0
	for _, process := range processes {
		for _, role := range roles {
			if process.Role != role {
				continue
			}
			if err := unix.Kill(process.PID, signal); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("signal %s of %s: %w", role, member, err)
			}
			hit++
		}
	}
	if hit == 0 {
		return fmt.Errorf("signal %v of %s: no such process among %v", roles, member, processes)
	}
	return nil
}

// exitStamp polls a pidfd for the end of a process, and stamps it.
func exitStamp(ctx context.Context, pid int, then func()) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	go func() {
		defer func() { _ = unix.Close(fd) }()
		for ctx.Err() == nil {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int((500 * time.Millisecond).Milliseconds()))
			if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
				then()
				return
			}
		}
	}()
	return nil
}
