//go:build failpoints

package agent

import (
	"os"
	"strings"
	"syscall"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// armedFailpoints reads DBPAIR_FAILPOINTS, "name=kill,name=kill".
func armedFailpoints() map[Failpoint]bool {
	armed := map[Failpoint]bool{}
	for one := range strings.SplitSeq(os.Getenv("DBPAIR_FAILPOINTS"), ",") {
		if name, action, ok := strings.Cut(strings.TrimSpace(one), "="); ok && action == "kill" {
			armed[Failpoint(name)] = true
		}
	}
	return armed
}

// fire is true once per volume: a file remembers, so that the next start gets further.
func fire(p Failpoint) bool {
	dir := os.Getenv("DBPAIR_FAILPOINTS_DIR")
	if dir == "" {
		dir = agentapi.DataDir + "/dbpair"
	}
	f, err := os.OpenFile(dir+"/failpoint-"+string(p), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	_ = f.Sync()
	_ = f.Close()
	return true
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
