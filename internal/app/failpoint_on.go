//go:build failpoints

package app

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// failpoint ends the operator at the point that DBPAIR_FAILPOINT names, the way a crash
// would. "list" prints each point once, when it is first passed. A name with "@file"
// crashes only as long as the file does not exist, and makes it: one crash, not a loop.
func failpoint() func(string) error {
	want, once, _ := strings.Cut(os.Getenv("DBPAIR_FAILPOINT"), "@")
	if want == "" {
		return nil
	}
	var seen sync.Map
	return func(point string) error {
		if _, before := seen.LoadOrStore(point, true); !before && want == "list" {
			fmt.Fprintln(os.Stderr, "failpoint", point)
		}
		if point != want {
			return nil
		}
		if once != "" {
			f, err := os.OpenFile(once, os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return nil
			}
			_ = f.Close()
		}
		fmt.Fprintln(os.Stderr, "crashing at failpoint", point)
		os.Exit(137)
		return nil
	}
}
