package agent

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryLimits are the files that have the container's limit, in version 2 of control groups and in version 1.
var memoryLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// memoryLimit is that of the container, in bytes; 0 for none.
func memoryLimit() int64 {
	text, err := firstFile(memoryLimits)
	if err != nil {
		return 0
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	var info unix.Sysinfo_t
	if err != nil || (unix.Sysinfo(&info) == nil && uint64(bytes) > info.Totalram*uint64(info.Unit)) {
		return 0
	}
	return bytes
}

// firstFile is the text of the first of these files that is there.
func firstFile(files []string) (text string, err error) {
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err == nil {
			return string(raw), nil
		}
	}
	return "", os.ErrNotExist
}
