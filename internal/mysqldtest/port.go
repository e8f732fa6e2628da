package mysqldtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	// The ports are below those that the kernel gives to anyone who names none, an outgoing
	// connection for instance: one of these would be taken before mysqld listens on it, or
	// while it is down.
	lowestPort  = 10_000
	defaultHigh = 32_768
)

// FreePort returns a TCP port of loopback that nobody listens on and that is given to no
// other caller, of other test processes too, until this process ends.
func FreePort(tb testing.TB) int {
	tb.Helper()
	high := ephemeral()
	for range 1000 {
		port := lowestPort + rand.IntN(high-lowestPort)
		if reserve(port) && listens(port) {
			return port
		}
	}
	tb.Fatalf("no free port from %d to %d", lowestPort, high)
	return 0
}

// ephemeral is the first port that the kernel gives to anyone who names none.
func ephemeral() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return defaultHigh
	}
	first, err := strconv.Atoi(strings.Fields(string(text))[0])
	if err != nil || first < lowestPort+1000 {
		return defaultHigh // a range this wide leaves no other
	}
	return first
}

// ports are what keeps others off the ports of this process.
var ports struct {
	mu   sync.Mutex
	held []net.Listener
}

// reserve takes a name that ends with this process. It has no file, so nothing is left.
func reserve(port int) bool {
	held, err := net.Listen("unix", fmt.Sprintf("@dbpair-test-port-%d", port))
	if err != nil {
		return false
	}
	ports.mu.Lock()
	defer ports.mu.Unlock()
	ports.held = append(ports.held, held)
	return true
}

func listens(port int) bool {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}
