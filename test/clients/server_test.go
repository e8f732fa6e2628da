package clients

import (
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// hostilePassword has every character that means something to some driver.
const hostilePassword = `p'w"\x;y/z@a:b?c#d%25&e=f g$h{i}j<k>l+m,n!o(q)r[s]t|u~v^w*` + "`"

// columns are those of a table of letters.
const columns = "(id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(100) CHARACTER SET utf8mb4)"

// service is a pair's primary behind the address of its Service, on loopback.
type service struct {
	member *mysqldtest.Instance
	root   *sql.DB
	link   *link
	ca     *pki.Authority
}

func pairNamed(name string) *v1alpha1.DatabasePair {
	p := &v1alpha1.DatabasePair{}
	p.Name = name
	p.Namespace = "db"
	return p
}

// newService starts a member of the pair shop with a certificate as the operator issues
// it, open for writes, with the application's account.
func newService(t *testing.T) *service {
	t.Helper()
	s := &service{member: mysqldtest.Start(t, mysqldtest.Options{}), ca: newCA(t)}
	leaf, err := s.ca.Issue(pki.Member(resources.NamesOf(pairNamed("shop")), 0), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"ca.crt": s.ca.CertPEM, "tls.crt": leaf.CertPEM, "tls.key": leaf.KeyPEM} {
		if err := os.WriteFile(filepath.Join(s.member.Member.TLSDir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.member.OwnFiles()
	s.root = s.member.Root()
	s.member.Open(false)
	s.exec(t, "ALTER INSTANCE RELOAD TLS")
	s.exec(t, "CREATE DATABASE IF NOT EXISTS app")
	s.exec(t, "DROP USER IF EXISTS app")
	s.exec(t, "CREATE USER app IDENTIFIED BY ? REQUIRE SSL", hostilePassword)
	s.exec(t, "GRANT ALL ON app.* TO app")
	s.exec(t, "CREATE TABLE app.letters "+columns)
	s.link = newLink(t, s.member.Member.Port)
	return s
}

func (s *service) exec(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	if _, err := s.root.ExecContext(t.Context(), statement, arguments...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// hosts has the names of the pair's Services, and those of another pair at the same address.
func (s *service) hosts() string { return hostsAt(s.link.address) }

func hostsAt(address string) string {
	return "127.0.0.1 localhost\n" + address + " shop.db.svc shop-passive.db.svc other.db.svc other-passive.db.svc\n"
}

func newCA(t testing.TB) *pki.Authority {
	t.Helper()
	ca, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// mountSecret writes the application's Secret of a pair as the kubelet mounts it.
func mountSecret(t testing.TB, name, password string, ca *pki.Authority) string {
	t.Helper()
	secret, err := resources.AppSecret(pairNamed(name), password, ca.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	return mount(t, secret.Data)
}

// mount writes the content of a Secret as the kubelet does.
func mount(t testing.TB, data map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	const version = "..2026_01_02_03_04_05.6"
	if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(version, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for key, value := range data {
		if err := os.WriteFile(filepath.Join(dir, version, key), value, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", key), filepath.Join(dir, key)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// link is the way from clients to mysqld, with an address of its own, since the strings
// name MySQL's own port.
type link struct {
	address string
	to      int

	mu     sync.Mutex
	free   *sync.Cond
	frozen bool
	// refusal is sent in place of the server's greeting.
	refusal []byte
	ends    []func(reset bool)
}

func newLink(t *testing.T, to int) *link {
	t.Helper()
	l := &link{to: to}
	l.free = sync.NewCond(&l.mu)
	address, listeners := listen(t, pair.PortMySQL, pair.PortBinlogService)
	l.address = address
	clients, readers := listeners[0], listeners[1]
	t.Cleanup(func() {
		_ = clients.Close()
		_ = readers.Close()
		l.freeze(false)
		l.cut(true)
	})
	go l.accept(clients, "127.0.0.1")
	// The agent comes from this address for those who come to its port for readers.
	go l.accept(readers, mysqlops.ReaderHost)
	return l
}

// listen takes an address of loopback on which all of these ports are free.
func listen(t testing.TB, ports ...int) (address string, listeners []net.Listener) {
	t.Helper()
	for range 100 {
		address = fmt.Sprintf("127.%d.%d.%d", 3+rand.IntN(200), rand.IntN(250), 1+rand.IntN(250))
		for _, port := range ports {
			listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
			if err != nil {
				break
			}
			listeners = append(listeners, listener)
		}
		if len(listeners) == len(ports) {
			return address, listeners
		}
		for _, listener := range listeners {
			_ = listener.Close()
		}
		listeners = nil
	}
	t.Fatalf("no address of loopback with the free ports %d", ports)
	return "", nil
}

// accept serves until the listener is closed. mysqld sees the clients come from an address.
func (l *link) accept(listener net.Listener, from string) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go l.serve(client.(*net.TCPConn), dialer)
	}
}

func (l *link) serve(client *net.TCPConn, dialer *net.Dialer) {
	l.mu.Lock()
	refusal := l.refusal
	l.mu.Unlock()
	if refusal != nil {
		_, _ = client.Write(refusal)
		_ = client.Close()
		return
	}
	server, err := dialer.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.to))
	if err != nil {
		_ = client.Close()
		return
	}
	l.mu.Lock()
	l.ends = append(l.ends, func(reset bool) {
		if reset {
			_ = client.SetLinger(0)
		}
		_ = client.Close()
		_ = server.Close()
	})
	l.mu.Unlock()
	go l.pass(server, client)
	l.pass(client, server)
}

// pass copies until either end is closed. Frozen, it holds what it has read.
func (l *link) pass(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.Lock()
		for l.frozen {
			l.free.Wait()
		}
		l.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// freeze holds all bytes, as when the server's node vanishes, or lets them go on.
func (l *link) freeze(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = on
	l.free.Broadcast()
}

// cut ends all connections, with a reset or a FIN.
func (l *link) cut(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, end := range l.ends {
		end(reset)
	}
	l.ends = nil
}

// refuse answers each new connection with an error packet, as the agent's door does; a
// code of 0 ends that.
func (l *link) refuse(code uint16, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if code == 0 {
		l.refusal = nil
		return
	}
	body := append([]byte{0xff, byte(code), byte(code >> 8)}, strings.TrimSpace(message)...)
	l.refusal = append([]byte{byte(len(body)), byte(len(body) >> 8), 0, 0}, body...)
}
