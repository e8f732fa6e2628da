package mysqldtest

import (
	"fmt"
	"net"
	"testing"
)

func TestAPortIsGivenOnce(t *testing.T) {
	first := ephemeral()
	seen := map[int]bool{}
	for range 50 {
		port := FreePort(t)
		if port < lowestPort || port >= first || seen[port] {
			t.Errorf("port %d, seen %t; want a new one from %d to %d", port, seen[port], lowestPort, first)
		}
		seen[port] = true
		if reserve(port) {
			t.Errorf("port %d may be taken again", port)
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Errorf("nobody can listen: %v", err)
			continue
		}
		_ = listener.Close()
	}
}
