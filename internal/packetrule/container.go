package packetrule

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// RunInContainer is "agent packet-rule": it keeps the rule as the agent of the same pod says, until it is asked to end and
// that agent has ended. It blocks, and fails only when the environment is wrong: a container that ends would make the
// member's pod unready.
func RunInContainer(log logr.Logger) error {
	exempt, err := ownAddresses(os.Getenv(agentapi.EnvPodIPs))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	f := &follower{
		log:    log,
		socket: agentapi.PacketRuleDir + "/" + agentapi.PacketRuleSocket,
		rule:   &table{exempt: exempt},
		pause:  pause,
		lease:  lease,
	}
	f.run(ctx)
	return nil
}

// ownAddresses are those from which the pod connects to itself: the addresses of the loopback interface and its own. From there
// come the agent, its door with the clients that it relays, and kubectl port-forward.
func ownAddresses(podIPs string) ([]netip.Prefix, error) {
	own := []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("::1/128"),
	}
	for text := range strings.SplitSeq(podIPs, ",") {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("environment variable %s is %q, which is no list of IP addresses; the pod template takes it from status.podIPs",
				agentapi.EnvPodIPs, podIPs)
		}
		own = append(own, netip.PrefixFrom(address, address.BitLen()))
	}
	return own, nil
}
