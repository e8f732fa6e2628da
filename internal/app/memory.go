package app

import (
	"math"
	"runtime/debug"
)

// leaveRoom lowers the limit of memory that the environment gives the Go runtime (GOMEMLIMIT, the container's
// own limit in the manifests) by a tenth. The garbage collector then works harder before the kernel would end the
// operator, and a tenth is left for what the runtime does not count: buffers of connections, and the program itself.
// Without a limit it does nothing. Call it once.
func leaveRoom() {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return
	}
	debug.SetMemoryLimit(limit - limit/10)
}
