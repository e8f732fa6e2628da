package agent

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryLimit is that of the container, in bytes; 0 for none.
func memoryLimit() int64 {
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return 0
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	var info unix.Sysinfo_t
	if err != nil || (unix.Sysinfo(&info) == nil && uint64(bytes) > info.Totalram*uint64(info.Unit)) {
		return 0
	}
	return bytes
}
