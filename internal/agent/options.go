package agent

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// Options are where an agent finds and puts things. The defaults are those of a member's
// container.
type Options struct {
	DataDir, RunDir, ConfigDir, InternalDir, TLSDir string

	// BinlogDir is where the volume of binary and relay logs is mounted; empty when they are in DataDir.
	BinlogDir string

	// BindAddress of the door, the agent's API, metrics and mysqld's client port.
	BindAddress string

	MySQLPort, AdminPort, DoorPort, AgentPort, MetricsPort, ProbePort, BinlogPort, RolePort int

	// PeerAddress and PeerAdmin replace what follows from the pair's name: host:port of
	// the peer's agent and of its admin port.
	PeerAddress, PeerAdmin string

	// APIServer is the base URL of the API server; empty takes the container's
	// environment. TokenDir holds token and ca.crt.
	APIServer, TokenDir string

	// Mysqld is the program.
	Mysqld string

	// PacketRuleDir is the folder shared with the container of the packet rule; empty without one.
	PacketRuleDir string

	// Linger is how long the agent stays after the end of its mysqld when it was asked to
	// end: longer than the nodes need to learn that the Service leads elsewhere.
	Linger time.Duration
}

// ParseOptions reads the command line of "agent run".
func ParseOptions(args []string) (Options, error) {
	var o Options
	set := flag.NewFlagSet("agent run", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, s := range []struct {
		into        *string
		name, value string
	}{
		{&o.DataDir, "data-dir", agentapi.DataDir}, {&o.RunDir, "run-dir", agentapi.RunDir},
		{&o.BinlogDir, "binlog-dir", os.Getenv(agentapi.EnvBinlogDir)},
		{&o.ConfigDir, "config-dir", agentapi.ConfigDir}, {&o.InternalDir, "internal-dir", agentapi.InternalDir},
		{&o.TLSDir, "tls-dir", ""}, {&o.BindAddress, "bind-address", ""},
		{&o.PeerAddress, "peer-address", ""}, {&o.PeerAdmin, "peer-admin-address", ""},
		{&o.APIServer, "api-server", ""}, {&o.TokenDir, "token-dir", agentapi.TokenDir}, {&o.Mysqld, "mysqld", "mysqld"},
		{&o.PacketRuleDir, "packet-rule-dir", ""},
	} {
		set.StringVar(s.into, s.name, s.value, "")
	}
	for _, p := range []struct {
		into  *int
		name  string
		value int
	}{
		{&o.MySQLPort, "mysql-port", pair.PortMySQL}, {&o.AdminPort, "admin-port", pair.PortAdmin},
		{&o.DoorPort, "door-port", pair.PortDoor}, {&o.AgentPort, "agent-port", pair.PortAgent},
		{&o.MetricsPort, "metrics-port", pair.PortMetrics}, {&o.ProbePort, "probe-port", pair.PortProbe},
		{&o.BinlogPort, "binlog-port", pair.PortBinlog},
		{&o.RolePort, "role-port", pair.PortRole},
	} {
		set.IntVar(p.into, p.name, p.value, "")
	}
	set.DurationVar(&o.Linger, "linger", 3*time.Second, "")
	if err := set.Parse(args); err != nil {
		return o, fmt.Errorf("agent run: %w", err)
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("agent run: unexpected argument %q", set.Arg(0))
	}
	return o, nil
}

func (o Options) listen(port int) string {
	return net.JoinHostPort(o.BindAddress, strconv.Itoa(port))
}

// Environment is what the pod's template says of the member.
type Environment struct {
	PodName   pair.MemberName
	Namespace string
	PodUID    pair.PodUID
	PodIP     string
	PairName  string
	PairUID   pair.UID
	Ordinal   pair.Ordinal
	Peer      pair.MemberName
	// Node that the pod runs on; empty when the template does not say.
	Node string
	// GracePeriod of the pod: how long the agent has after SIGTERM.
	GracePeriod time.Duration
}

// defaultGracePeriod is that of pods made before the template named it.
const defaultGracePeriod = 5 * time.Minute

// ReadEnvironment reads it with getenv. The error names every variable that is missing
// or wrong, and where it comes from.
func ReadEnvironment(getenv func(string) string) (Environment, error) {
	var problems []error
	need := func(name, from string) string {
		v := getenv(name)
		if v == "" {
			problems = append(problems, fmt.Errorf("environment variable %s is not set; the pod template takes it from %s", name, from))
		}
		return v
	}
	e := Environment{
		PodName:   pair.MemberName(need(agentapi.EnvPodName, "metadata.name")),
		Namespace: need(agentapi.EnvPodNamespace, "metadata.namespace"),
		PodUID:    pair.PodUID(need(agentapi.EnvPodUID, "metadata.uid")),
		PodIP:     need(agentapi.EnvPodIP, "status.podIP"),
		PairName:  need(agentapi.EnvPairName, "the DatabasePair's name"),
		PairUID:   pair.UID(need(agentapi.EnvPairUID, "the DatabasePair's UID")),
	}
	e.Node = getenv(agentapi.EnvNodeName)
	e.GracePeriod = defaultGracePeriod
	if text := getenv(agentapi.EnvGracePeriod); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds <= 0 {
			problems = append(problems,
				fmt.Errorf("environment variable %s is %q, which is no number of seconds above 0", agentapi.EnvGracePeriod, text))
		}
		e.GracePeriod = time.Duration(seconds) * time.Second
	}
	if e.PodIP != "" && net.ParseIP(e.PodIP) == nil {
		problems = append(problems, fmt.Errorf("environment variable %s is %q, which is no IP address", agentapi.EnvPodIP, e.PodIP))
	}
	if len(problems) > 0 {
		return e, errors.Join(problems...)
	}
	members := pair.Members(e.PairName)
	switch e.PodName {
	case members[0]:
		e.Ordinal = 0
	case members[1]:
		e.Ordinal = 1
	default:
		return e, fmt.Errorf("environment variable %s is %q; a member of pair %s is named %s or %s",
			agentapi.EnvPodName, e.PodName, e.PairName, members[0], members[1])
	}
	e.Peer = pair.PeerOf(members, e.PodName)
	return e, nil
}

// complete fills what follows from the member.
func (o Options) complete(e Environment) Options {
	if o.TLSDir == "" {
		o.TLSDir = agentapi.TLSDirBase + strconv.Itoa(int(e.Ordinal))
	}
	o.TLSDir = strings.TrimSuffix(o.TLSDir, "/")
	return o
}

func (o Options) socket() string     { return filepath.Join(o.RunDir, "mysqld.sock") }
func (o Options) pidFile() string    { return filepath.Join(o.RunDir, "mysqld.pid") }
func (o Options) optionFile() string { return filepath.Join(o.RunDir, "my.cnf") }
