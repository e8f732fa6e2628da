package agent

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
)

// memoryEvents are the files that have the counters of the container's cgroup, in version 2 and in version 1.
var memoryEvents = []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"}

// memoryKills is how many processes of this container the kernel has killed for memory; 0
// where that is not counted.
func memoryKills() int {
	text, err := firstFile(memoryEvents)
	if err != nil {
		return 0
	}
	return parseMemoryKills(text)
}

func parseMemoryKills(text string) int {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name != "oom_kill" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err == nil {
			return n
		}
	}
	return 0
}

// exitMessage says how mysqld ended and what to do. A mysqld that is killed for memory logs
// nothing, and the container, whose first process is the agent, goes on, so the pod status does not show it.
func exitMessage(how string, killedForMemory bool, limit int64) string {
	if !killedForMemory {
		return "mysqld ended with " + how + "; its log says why"
	}
	of := ""
	if limit > 0 {
		of = fmt.Sprintf(" of %dMi", limit>>20)
	}
	return "mysqld was killed by the kernel for memory: the container reached its limit" + of +
		"; raise spec.podTemplate.spec.resources.limits.memory, or lower innodb_buffer_pool_size, max_connections or " +
		"replica_parallel_workers in spec.mysql.config"
}
