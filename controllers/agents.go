package controllers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/agentwatch"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// agents are the connections to the agents of all pairs: those that watch, and those
// that carry commands.
type agents struct {
	sessions *sessions
	watcher  *agentwatch.Watcher
	// dial makes connections; over the network when nil.
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu      sync.Mutex
	clients map[agentKey]*agentclient.Client
}

type agentKey struct {
	pair types.NamespacedName
	pod  pair.PodUID
	// watching connections hang in long polls, so commands have their own.
	watching bool
}

func newAgents(s *sessions, now clock, notify func(types.NamespacedName)) *agents {
	a := &agents{sessions: s, clients: map[agentKey]*agentclient.Client{}}
	a.watcher = agentwatch.New(func(t agentwatch.Target) agentwatch.Stater {
		return a.client(agentKey{t.Pair, t.PodUID, true}, t.Member, t.IP)
	}, now, notify)
	return a
}

func (a *agents) client(k agentKey, m pair.MemberName, ip string) *agentclient.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	address := net.JoinHostPort(ip, strconv.Itoa(pair.PortAgent))
	if c := a.clients[k]; c != nil && c.Address == address {
		return c
	}
	names := resources.Names{Pair: k.pair.Name, Namespace: k.pair.Namespace}
	host := string(m) + "." + names.Domain()
	c := &agentclient.Client{
		Address: address,
		Dial:    a.dial,
		TLS: func() (*tls.Config, error) {
			s := a.sessions.find(k.pair)
			if s == nil {
				return nil, errNoCredential
			}
			return s.keyring.clientTLS(host)
		},
	}
	a.clients[k] = c
	return c
}

// command is the connection for commands to a pod among those of a pair's members.
func (a *agents) command(name types.NamespacedName, pods [2]*corev1.Pod, s fencing.Subject) (*agentclient.Client, error) {
	for _, pod := range pods {
		if pod != nil && pair.PodUID(pod.UID) == s.PodUID && pod.Status.PodIP != "" {
			return a.client(agentKey{pair: name, pod: s.PodUID}, s.Member, pod.Status.PodIP), nil
		}
	}
	return nil, fmt.Errorf("no address of pod %s", s)
}

// watch makes the agents of the pods that are there the ones that are watched.
func (a *agents) watch(ctx context.Context, v *visit) {
	var targets []agentwatch.Target
	alive := map[pair.PodUID]bool{}
	for i, pod := range v.pods {
		if pod == nil || pod.Status.PodIP == "" {
			continue
		}
		alive[pair.PodUID(pod.UID)] = true
		targets = append(targets, agentwatch.Target{
			Pair:     v.name,
			PairUID:  pair.UID(v.pair.UID),
			Member:   ordinals[i].Member(v.pair.Name),
			PodUID:   pair.PodUID(pod.UID),
			IP:       pod.Status.PodIP,
			Interval: v.pair.Spec.Failover.HeartbeatInterval.Duration,
		})
	}
	a.watcher.Sync(ctx, v.name, targets)
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.clients {
		if k.pair == v.name && !alive[k.pod] {
			c.Renew()
			delete(a.clients, k)
		}
	}
}

func (a *agents) facts(name types.NamespacedName, m pair.MemberName, uid pair.PodUID) agentwatch.Facts {
	f := a.watcher.Facts(name, m, uid)
	if f.Reach == failover.NotTried {
		f.State = nil
	}
	return f
}

// forgetConnections has every connection to a pair's agents made again, with the present
// certificates.
func (a *agents) forgetConnections(name types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.clients {
		if k.pair == name {
			c.Renew()
		}
	}
}

func (a *agents) forget(name types.NamespacedName) {
	a.watcher.Forget(name)
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.clients {
		if k.pair == name {
			c.Renew()
			delete(a.clients, k)
		}
	}
}
