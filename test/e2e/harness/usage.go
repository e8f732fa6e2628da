package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// clockTick is the unit of the kernel's process times, USER_HZ, which is 100 on every
// architecture that Go runs on under Linux.
const clockTick = 10 * time.Millisecond

// Usage is what a process has taken so far.
type Usage struct {
	Processor time.Duration
	Resident  int64 // bytes
}

// MainProcess is the pid, on this machine, of the program that an operator's pod runs.
func MainProcess(podUID types.UID) (int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		if !inPod(dir, podUID) {
			continue
		}
		raw, err := os.ReadFile(dir + "/cmdline")
		if err == nil && strings.HasPrefix(string(raw), "/manager") {
			return strconv.Atoi(filepath.Base(dir))
		}
	}
	return 0, fmt.Errorf("find process: no /manager in pod %s on this machine", podUID)
}

// ReadUsage of a process.
func ReadUsage(pid int) (Usage, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	// The name, in parentheses, may hold anything; the fields are counted after it.
	_, rest := cutLast(string(raw), ")")
	fields := strings.Fields(rest)
	const user, system, resident = 11, 12, 21
	if len(fields) <= resident {
		return Usage{}, fmt.Errorf("read usage: %d fields in the stat of process %d", len(fields), pid)
	}
	ticks := int64(0)
	for _, i := range []int{user, system} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("read usage: %w", err)
		}
		ticks += n
	}
	pages, err := strconv.ParseInt(fields[resident], 10, 64)
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	return Usage{Processor: time.Duration(ticks) * clockTick, Resident: pages * int64(os.Getpagesize())}, nil
}
