package agent

import (
	"strings"
	"testing"
)

func TestAKillForMemoryIsReportedAsThat(t *testing.T) {
	if n := parseMemoryKills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"); n != 2 {
		t.Errorf("%d kills read, want 2", n)
	}
	if n := parseMemoryKills("oom_kill_disable 0\nunder_oom 0\noom_kill 37\n"); n != 37 {
		t.Errorf("%d kills read of a cgroup of version 1, want 37", n)
	}
	for _, text := range []string{"", "oom 3\n", "oom_kill many\n"} {
		if n := parseMemoryKills(text); n != 0 {
			t.Errorf("%d kills read from %q", n, text)
		}
	}
	got := exitMessage("signal: killed", true, 512<<20)
	for _, want := range []string{"for memory", "512Mi", "spec.podTemplate.spec.resources.limits.memory", "innodb_buffer_pool_size"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if got := exitMessage("signal: killed", false, 512<<20); strings.Contains(got, "memory") {
		t.Errorf("a kill from outside the container: %q", got)
	}
}
