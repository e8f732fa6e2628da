package packetrule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"golang.org/x/sys/unix"
)

// What this program is when a test runs it in a network namespace: the test itself, a question whether the kernel has
// nf_tables, or the container with the rule, whose agent has its socket at socketEnv.
const (
	roleEnv   = "PACKETRULE_TEST_ROLE"
	socketEnv = "PACKETRULE_TEST_SOCKET"

	roleTest      = "test"
	roleProbe     = "probe"
	roleContainer = "container"
)

// Addresses of the loopback interface: where mysqld listens, from where the pod connects to itself, and from where clients come.
const (
	server  = "127.0.0.1"
	own     = "127.0.0.1"
	clients = "127.0.0.2"
)

var exempt = []netip.Prefix{netip.MustParsePrefix(own + "/32")}

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case roleProbe:
		if err := (&table{}).install(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	case roleContainer:
		f := &follower{
			// Errors alone.
			log:    funcr.New(func(_, args string) { fmt.Fprintln(os.Stderr, args) }, funcr.Options{Verbosity: -1}),
			socket: os.Getenv(socketEnv),
			rule:   &table{exempt: exempt},
			pause:  pause,
			lease:  lease,
		}
		f.run(context.Background())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is this test program in a role, in a network namespace of its own if asked for.
func program(ctx context.Context, role string, ownNetwork bool, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	if !ownNetwork {
		return cmd
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// inNamespace runs the body of a test in a network namespace of its own, where nf_tables has no other rule and the
// loopback interface no other traffic. It skips the test where that cannot be, or fails with DBPAIR_REQUIRE_NFTABLES=1.
func inNamespace(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short leaves out everything that needs nf_tables of the kernel")
	}
	if os.Getenv(roleEnv) == roleTest {
		if err := loopbackUp(); err != nil {
			t.Fatal(err)
		}
		body(t)
		return
	}
	if output, err := program(t.Context(), roleProbe, true).CombinedOutput(); err != nil {
		message := fmt.Sprintf("packet rules need root or user namespaces of one's own, and a kernel with nf_tables: %v: %s", err, output)
		if os.Getenv("DBPAIR_REQUIRE_NFTABLES") == "1" {
			t.Fatal(message)
		}
		t.Skip("SKIPPED: " + message)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	// CI counts these lines: a green run without the kernel's nf_tables is none.
	t.Log("TIER nf_tables:", "Linux", unix.ByteSliceToString(name.Release[:]))
	output, err := program(t.Context(), roleTest, true, "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1").CombinedOutput()
	t.Logf("in a network namespace of its own:\n%s", output)
	if err != nil || !bytes.Contains(output, []byte("--- PASS: "+t.Name()+" ")) {
		t.Fatalf("the test failed in its network namespace: %v", err)
	}
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo)
}

// listener is a server that sends back what it gets, or one that hangs: the kernel accepts its clients, and nobody greets them.
func listener(t *testing.T, host string, hangs bool) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if hangs {
		return l
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// connect opens a connection from an address, within the time of patience.
func connect(from string, to net.Listener) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	return d.Dial("tcp", to.Addr().String())
}

// passes fails the test unless a connection can be opened.
func passes(t *testing.T, from string, to net.Listener) {
	t.Helper()
	conn, err := connect(from, to)
	if err != nil {
		t.Errorf("from %s to %s: %v, want a connection", from, to.Addr(), err)
		return
	}
	_ = conn.Close()
}

// refused reports whether a connection is refused. Any other error fails the test.
func refused(t *testing.T, from string, to net.Listener) bool {
	t.Helper()
	conn, err := connect(from, to)
	switch {
	case err == nil:
		_ = conn.Close()
		return false
	case errors.Is(err, unix.ECONNREFUSED):
		return true
	}
	t.Fatalf("from %s to %s: %v, want a connection or %v", from, to.Addr(), err, unix.ECONNREFUSED)
	return false
}

// awaitRefused waits until clients are refused, or are not any more, and returns how long that took.
func awaitRefused(t *testing.T, to net.Listener, want bool) time.Duration {
	t.Helper()
	started := time.Now()
	for refused(t, clients, to) != want {
		if time.Since(started) > patience {
			t.Fatalf("after %v clients are still refused: %v", patience, !want)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(started)
}

// echoes fails the test unless a connection still carries data both ways.
func echoes(t *testing.T, conn net.Conn) {
	t.Helper()
	const text = "SELECT 1"
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Error("an established connection:", err)
		return
	}
	answer := make([]byte, len(text))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != text {
		t.Errorf("an established connection answers %q, %v", answer, err)
	}
}

// unreachables is how many ICMP messages said that something cannot be reached. A client that is refused by one of them gets
// the same error as by a reset, until the kernel limits their rate.
func unreachables(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Icmp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		return fields[slices.Index(names, "OutDestUnreachs")]
	}
	t.Fatal("/proc/net/snmp does not count ICMP messages")
	return ""
}

// attempt is one client that was refused, or was not.
type attempt struct {
	took time.Duration
	err  error
}

// attempts connects so many times at a rate, whether the former ones have their answers or not.
func attempts(n int, perSecond int, to ...net.Listener) []attempt {
	out := make([]attempt, n)
	var all sync.WaitGroup
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for i := range out {
		<-ticker.C
		all.Go(func() {
			started := time.Now()
			conn, err := connect(clients, to[i%len(to)])
			out[i] = attempt{took: time.Since(started), err: err}
			if err == nil {
				_ = conn.Close()
			}
		})
	}
	all.Wait()
	return out
}

func figures(t *testing.T, what string, list []time.Duration) {
	t.Helper()
	slices.Sort(list)
	at := func(share int) time.Duration { return list[(len(list)-1)*share/100].Round(time.Microsecond) }
	t.Logf("FIGURES %s: %d, p50 %v, p99 %v, worst %v", what, len(list), at(50), at(99), at(100))
}

func TestTheKernelRefusesNewClientsAlone(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		serves := listener(t, server, false)
		hangs := listener(t, server, true)
		admin := listener(t, server, false)
		established, err := connect(clients, serves)
		if err != nil {
			t.Fatal(err)
		}
		defer established.Close()
		passes(t, clients, hangs)
		before := unreachables(t)

		kernel := &table{exempt: exempt}
		if err := kernel.install(); err != nil {
			t.Fatal(err)
		}
		passes(t, clients, serves)
		if err := kernel.refuse([]uint16{portOf(serves), portOf(hangs)}, time.Hour); err != nil {
			t.Fatal(err)
		}
		const n = 1000
		var took []time.Duration
		for _, a := range attempts(n, 200, serves, hangs) {
			took = append(took, a.took)
			if !errors.Is(a.err, unix.ECONNREFUSED) {
				t.Fatalf("a client got %v after %v, want %v", a.err, a.took, unix.ECONNREFUSED)
			}
		}
		figures(t, "time to ECONNREFUSED at 200 attempts a second", took)
		if counted, err := kernel.refusals(); err != nil || counted != n {
			t.Errorf("the rule refused %d connections, %v; want %d", counted, err, n)
		}
		if after := unreachables(t); after != before {
			t.Errorf("ICMP messages were sent: %s before and %s after", before, after)
		}
		echoes(t, established)
		passes(t, own, serves)
		passes(t, clients, admin)

		// A rule that is installed again, as by a container that was started again, refuses nobody.
		if err := kernel.install(); err != nil {
			t.Fatal(err)
		}
		passes(t, clients, serves)
		if err := kernel.refuse([]uint16{portOf(serves)}, time.Hour); err != nil {
			t.Fatal(err)
		}
		if !refused(t, clients, serves) {
			t.Error("a client was not refused")
		}
		passes(t, clients, hangs)
		if err := kernel.refuse(nil, time.Hour); err != nil {
			t.Fatal(err)
		}
		passes(t, clients, serves)
		for range 2 {
			if err := kernel.remove(); err != nil {
				t.Error(err)
			}
		}
		if err := kernel.refuse([]uint16{portOf(serves)}, time.Hour); err == nil {
			t.Error("a rule that was removed is said to refuse clients")
		}
		passes(t, clients, serves)
	})
}

func TestTheKernelRefusesNewClientsOverIPv6(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
			t.Log("SKIPPED: this kernel has no IPv6")
			return
		}
		serves := listener(t, "::1", false)
		kernel := &table{exempt: exempt}
		if err := kernel.install(); err != nil {
			t.Fatal(err)
		}
		if err := kernel.refuse([]uint16{portOf(serves)}, time.Hour); err != nil {
			t.Fatal(err)
		}
		if !refused(t, "::1", serves) {
			t.Error("a client was not refused")
		}
		kernel.exempt = append(slices.Clone(exempt), netip.MustParsePrefix("::1/128"))
		if err := kernel.install(); err != nil {
			t.Fatal(err)
		}
		if err := kernel.refuse([]uint16{portOf(serves)}, time.Hour); err != nil {
			t.Fatal(err)
		}
		passes(t, "::1", serves)
	})
}

// container runs the container with the rule as a process, and kills it at the end of the test.
func container(t *testing.T, socket string) *exec.Cmd {
	t.Helper()
	cmd := program(context.WithoutCancel(t.Context()), roleContainer, false)
	cmd.Env = append(cmd.Env, socketEnv+"="+socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestTheRuleEndsWithItsProcesses(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		serves := listener(t, server, false)
		established, err := connect(clients, serves)
		if err != nil {
			t.Fatal(err)
		}
		defer established.Close()
		source := newFakeSource()
		socket := filepath.Join(t.TempDir(), "agent.sock")
		ctx, endAgent := context.WithCancel(t.Context())
		agent, err := Listen(ctx, socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = Serve(ctx, agent, source) }()

		first := container(t, socket)
		source.set(portOf(serves))
		awaitRefused(t, serves, true)
		var shut, opened []time.Duration
		for range 50 {
			source.set()
			opened = append(opened, awaitRefused(t, serves, false))
			source.set(portOf(serves))
			shut = append(shut, awaitRefused(t, serves, true))
		}
		figures(t, "from the agent's decision until clients are refused", shut)
		figures(t, "from the agent's decision until clients pass", opened)

		// It is renewed: clients are refused for longer than a lease.
		for until := time.Now().Add(lease + renewal); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
			if !refused(t, clients, serves) {
				t.Fatal("a client passes while the agent has clients refused")
			}
		}

		if err := first.Process.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		t.Logf("FIGURES the container killed: clients pass after %v", awaitRefused(t, serves, false).Round(time.Millisecond))
		second := container(t, socket)
		awaitRefused(t, serves, true)

		if err := second.Process.Signal(unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Logf("FIGURES the container stopped: clients pass after %v", awaitRefused(t, serves, false).Round(time.Millisecond))
		if err := second.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		awaitRefused(t, serves, true)

		endAgent()
		t.Logf("FIGURES the agent ended: clients pass after %v", awaitRefused(t, serves, false).Round(time.Millisecond))

		frozen, err := Listen(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		defer frozen.Close()
		conn, err := frozen.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := json.NewEncoder(conn).Encode(order{Ports: []uint16{portOf(serves)}}); err != nil {
			t.Fatal(err)
		}
		awaitRefused(t, serves, true)
		t.Logf("FIGURES the agent stopped: clients pass after %v", awaitRefused(t, serves, false).Round(time.Millisecond))
		echoes(t, established)
	})
}
