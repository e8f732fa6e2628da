//go:build failpoints

package app

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// failpoint crashes the operator at each point that matches one of the globs in
// DBPAIR_FAILPOINTS ("*", "BeforePromote,After*"), once: the folder
// DBPAIR_FAILPOINT_DIR remembers the points that were passed. The crash is an exec of
// itself: nothing deferred runs and no lease is given back, but the kubelet's back-off
// does not stand between two crashes.
func failpoint() func(string) error {
	globs := os.Getenv("DBPAIR_FAILPOINTS")
	dir := os.Getenv("DBPAIR_FAILPOINT_DIR")
	if globs == "" || dir == "" {
		return nil
	}
	return func(point string) error {
		if !matches(globs, point) {
			return nil
		}
		marker, err := os.OpenFile(filepath.Join(dir, point), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil // passed before
		}
		_ = marker.Close()
		fmt.Fprintln(os.Stderr, "crashing at failpoint", point)
		err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
		fmt.Fprintln(os.Stderr, "exec:", err)
		os.Exit(137)
		return nil
	}
}

func matches(globs, point string) bool {
	for glob := range strings.SplitSeq(globs, ",") {
		if ok, _ := path.Match(glob, point); ok {
			return true
		}
	}
	return false
}
