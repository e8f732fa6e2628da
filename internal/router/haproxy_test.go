package router_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/router"
)

// patience is for what takes a moment where nothing else runs.
const patience = time.Minute

// authority signs members' certificates; the file has its own.
type authority struct {
	*pki.Authority
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	ca, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, ca.CertPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{Authority: ca, file: file}
}

// member stands in for a member: its agent answers with the statuses that it is given, over TLS, and
// its mysqld says its name to each client and nothing more.
type member struct {
	name             string
	primary, passive atomic.Int32
	agent            *httptest.Server
	mysqld           int
}

func newMember(t *testing.T, ca authority, o pair.Ordinal) *member {
	t.Helper()
	m := &member{name: string(o.Member("shop"))}
	m.primary.Store(http.StatusServiceUnavailable)
	m.passive.Store(http.StatusServiceUnavailable)
	leaf, err := ca.Issue(pki.Member(resources.Names{Pair: "shop", Namespace: "db"}, o), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/primary", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(m.primary.Load())) })
	mux.HandleFunc("/passive", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(m.passive.Load())) })
	m.agent = httptest.NewUnstartedServer(mux)
	m.agent.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	m.agent.Config.ErrorLog = log.New(io.Discard, "", 0)
	m.agent.StartTLS()
	t.Cleanup(m.agent.Close)
	m.mysqld = greet(t, m.name)
	return m
}

// greet serves clients who are told a name, and then nothing until they leave.
func greet(t *testing.T, name string) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, name+"\n")
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return portOf(listener.Addr())
}

func portOf(a net.Addr) int { return a.(*net.TCPAddr).Port }

// world is a running HAProxy before two members and a Service.
type world struct {
	*testing.T
	members [2]*member
	config  router.Config
}

func newWorld(t *testing.T, change func(*router.Config)) *world {
	t.Helper()
	program := haproxy(t)
	ca := newAuthority(t)
	w := &world{T: t, config: plain()}
	for i := range w.members {
		m := newMember(t, ca, pair.Ordinal(i))
		w.members[i] = m
		w.config.Members[i].MySQL = m.mysqld
		w.config.Members[i].Role = portOf(m.agent.Listener.Addr())
	}
	w.config.CAFile = ca.file
	w.config.Bind = "127.0.0.1"
	w.config.Service = net.JoinHostPort("127.0.0.1", strconv.Itoa(greet(t, "service")))
	w.config.Ports = router.Ports{ReadWrite: freePort(t), ReadOnly: freePort(t), Health: freePort(t)}
	change(&w.config)
	w.run(program)
	return w
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return portOf(listener.Addr())
}

// run starts HAProxy as the pods do, and waits until it has asked everybody.
func (w *world) run(program string) {
	w.Helper()
	text, err := router.Render(w.config)
	if err != nil {
		w.Fatal(err)
	}
	file := filepath.Join(w.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	var said bytes.Buffer
	command := exec.CommandContext(w.Context(), program, "-db", "-f", file)
	command.Stdout = &said
	command.Stderr = &said
	if err := command.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if w.Failed() {
			w.Logf("HAProxy:\n%s", said.String())
		}
	})
	// A server counts as up until it was asked once.
	w.eventually("HAProxy has asked every member", func() bool {
		metrics := w.metrics()
		return strings.Contains(metrics, `haproxy_server_status{proxy="primary"`) && !strings.Contains(metrics, `state="UP"} 1`) &&
			strings.Count(metrics, `state="DOWN"} 1`) >= 4
	})
}

// metrics are those of HAProxy; empty while it does not serve them.
func (w *world) metrics() string {
	request, err := http.NewRequestWithContext(w.Context(), http.MethodGet,
		"http://127.0.0.1:"+strconv.Itoa(w.config.Ports.Health)+"/metrics?scope=server", nil)
	if err != nil {
		w.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	// The Service is never asked, and counts as up without a check.
	var lines []string
	for _, line := range strings.Split(string(body), "\n") {
		if strings.HasPrefix(line, "haproxy_server_status{") && !strings.Contains(line, `server="service"`) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func (w *world) eventually(what string, fine func() bool) {
	w.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if fine() {
			return
		}
	}
	w.Fatalf("%s: not within %s", what, patience)
}

// client connects to one of HAProxy's ports and returns who serves it; empty if nobody does.
func (w *world) client(port int) (net.Conn, string) {
	w.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	name := make([]byte, 64)
	n, _ := conn.Read(name)
	return conn, strings.TrimSpace(string(name[:n]))
}

// leads waits until new clients of a port are served by one server, and returns one of them.
func (w *world) leads(port int, to string) net.Conn {
	w.Helper()
	var conn net.Conn
	w.eventually("clients are led to "+to, func() bool {
		c, name := w.client(port)
		conn = c
		if name != to {
			_ = c.Close()
		}
		return name == to
	})
	return conn
}

// isCut waits for the end of a session that its server does not end.
func (w *world) isCut(conn net.Conn) {
	w.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		w.Fatalf("the session was not cut: %v", err)
	}
}

// goesOn: the session is not cut at the time.
func (w *world) goesOn(conn net.Conn) {
	w.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		w.Fatalf("the session has ended: %v", err)
	}
}

func TestClientsFollowThePrimaryThroughASwitchover(t *testing.T) {
	w := newWorld(t, func(*router.Config) {})
	a := w.members[0]
	b := w.members[1]
	// Nobody is open: the pair's Service has the door.
	w.leads(w.config.Ports.ReadWrite, "service")
	a.primary.Store(http.StatusOK)
	first := w.leads(w.config.Ports.ReadWrite, "shop-0")
	// It is drained: sessions may go on, and new clients come by the door.
	a.primary.Store(http.StatusNotFound)
	w.leads(w.config.Ports.ReadWrite, "service")
	w.goesOn(first)
	// The switchover is given up.
	a.primary.Store(http.StatusOK)
	second := w.leads(w.config.Ports.ReadWrite, "shop-0")
	w.goesOn(first)
	a.primary.Store(http.StatusServiceUnavailable)
	w.isCut(first)
	w.isCut(second)
	// A member that opens and does not take clients yet.
	b.primary.Store(http.StatusNotFound)
	w.leads(w.config.Ports.ReadWrite, "service")
	b.primary.Store(http.StatusOK)
	w.leads(w.config.Ports.ReadWrite, "shop-1")
}

// TestAClientIsFreedWhenADrainedPrimaryVanishes: the agent does not answer any more, and neither
// does mysqld.
func TestAClientIsFreedWhenADrainedPrimaryVanishes(t *testing.T) {
	w := newWorld(t, func(*router.Config) {})
	a := w.members[0]
	a.primary.Store(http.StatusOK)
	session := w.leads(w.config.Ports.ReadWrite, "shop-0")
	a.primary.Store(http.StatusNotFound)
	w.leads(w.config.Ports.ReadWrite, "service")
	a.agent.Close()
	w.isCut(session)
}

func TestReadersLeaveAMemberThatServesThemNoLonger(t *testing.T) {
	w := newWorld(t, func(*router.Config) {})
	a := w.members[0]
	b := w.members[1]
	a.primary.Store(http.StatusOK)
	b.passive.Store(http.StatusOK)
	w.leads(w.config.Ports.ReadWrite, "shop-0")
	reader := w.leads(w.config.Ports.ReadOnly, "shop-1")
	b.passive.Store(http.StatusServiceUnavailable)
	w.isCut(reader)
	w.leads(w.config.Ports.ReadOnly, "") // never the primary
}

func TestReadersMayBeLedToThePrimary(t *testing.T) {
	w := newWorld(t, func(c *router.Config) { c.FallbackToPrimary = true })
	w.members[0].primary.Store(http.StatusOK)
	w.leads(w.config.Ports.ReadOnly, "shop-0")
	w.members[1].passive.Store(http.StatusOK)
	w.leads(w.config.Ports.ReadOnly, "shop-1")
}

// TestWhoIsNotTheMemberIsNotBelieved: an agent with another member's certificate, or one of another
// authority, affirms in vain.
func TestWhoIsNotTheMemberIsNotBelieved(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *router.Config){
		"another name":      func(_ *testing.T, c *router.Config) { c.Members[0].Certificate = "shop-0.till-pods.db.svc" },
		"another authority": func(t *testing.T, c *router.Config) { c.CAFile = newAuthority(t).file },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *router.Config) { spoil(t, c) })
			w.members[0].primary.Store(http.StatusOK)
			w.members[1].passive.Store(http.StatusOK)
			if name == "another name" {
				// The other member's name is right: by then the first was asked as well.
				w.leads(w.config.Ports.ReadOnly, "shop-1")
			}
			w.leads(w.config.Ports.ReadWrite, "service")
		})
	}
}
