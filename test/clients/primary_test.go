package clients

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/pair"
	clientprograms "github.com/dbpair/dbpair/test/clients/programs"
)

// primary opens a pool at whichever of the hosts accepts writes.
func primary(ctx context.Context, config *mysql.Config, hosts []string) (*sql.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	found := make(chan *sql.DB, len(hosts))
	var asked sync.WaitGroup
	for _, host := range hosts {
		asked.Go(func() {
			own := config.Clone()
			own.Addr = net.JoinHostPort(host, "3306")
			connector, err := mysql.NewConnector(own)
			if err != nil {
				return
			}
			db := sql.OpenDB(connector)
			var readOnly bool
			err = db.QueryRowContext(ctx, "SELECT @@GLOBAL.read_only").Scan(&readOnly)
			if err != nil || readOnly {
				_ = db.Close()
				return
			}
			found <- db
		})
	}
	go func() {
		asked.Wait()
		close(found)
	}()
	if db, ok := <-found; ok {
		return db, nil
	}
	return nil, fmt.Errorf("none of %v accepts writes", hosts)
}

// Names of members as clients know them, and of hosts that are none.
const (
	memberName = "shop-0.shop-pods.db.svc"
	deadName   = "shop-1.shop-pods.db.svc"
	hungName   = "hung.db.svc"
	emptyName  = "empty.db.svc"
)

// TestThePrimaryIsFoundInAListOfHosts: a program that knows two hosts, as docs/clients.md shows it, finds the one that accepts
// writes, whichever way the other one is gone, and finds none where there is none.
func TestThePrimaryIsFoundInAListOfHosts(t *testing.T) {
	requireRootfs(t)
	s := newService(t)
	hung, listeners := listen(t, pair.PortMySQL)
	t.Cleanup(func() { _ = listeners[0].Close() })
	hosts := fmt.Sprintf("%s%s %s\n%s %s\n%s %s\n127.255.255.254 %s\n",
		s.hosts(), s.link.address, memberName, deadHost(t), deadName, hung, hungName, emptyName)
	secret := mountSecret(t, "shop", hostilePassword, s.ca)
	for _, first := range []string{deadName, hungName, emptyName} {
		for _, p := range finders(t, hosts, first, memberName) {
			client, took := find(t, p, secret)
			if got := client.ask("SELECT 1"); got.Value != "1" {
				t.Errorf("%s, after %s: %+v", p.Name, first, got)
			}
			t.Logf("FIGURES %s, after %s: the primary was found in %v", p.Name, first, took)
			client.End()
		}
	}
	for what, variable := range map[string]string{"read-only": "super_read_only", "offline": "offline_mode"} {
		s.exec(t, "SET GLOBAL "+variable+" = ON")
		for _, p := range finders(t, hosts, deadName, memberName) {
			client, got := p.start(t, secret)
			if got.OK || !strings.Contains(got.Text, "accepts writes") {
				t.Errorf("%s, of a member that is %s: %+v", p.Name, what, got)
			}
			client.End()
		}
		s.exec(t, "SET GLOBAL "+variable+" = OFF, GLOBAL read_only = OFF")
	}
}

// find starts a program, which has to find the primary.
func find(t *testing.T, p program, secret string) (*session, time.Duration) {
	t.Helper()
	client, got := p.start(t, secret)
	// A server of a busy machine may take longer than the half second that it is given.
	for range 100 {
		started := time.Now()
		if got = client.ask("connect"); got.OK {
			return client, time.Since(started).Round(time.Millisecond)
		}
	}
	t.Fatalf("%s: %+v", p.Name, got)
	return nil, 0
}

// finders are the programs that take a list of hosts.
func finders(t *testing.T, etcHosts string, list ...string) []program {
	t.Helper()
	var out []program
	for _, p := range programs(t, etcHosts) {
		switch p.Name {
		case "Go":
			p.Env = append([]string{goHostsVariable + "=" + strings.Join(list, ",")}, p.Env...)
		case "PHP mysqli":
			script := clientprograms.Dir + "/findprimary.php"
			p.Argv = append(append([]string{}, p.Argv[:len(p.Argv)-2]...), append([]string{script}, list...)...)
		default:
			continue
		}
		out = append(out, p)
	}
	if len(out) != 2 {
		t.Fatalf("%d programs take a list of hosts, want 2", len(out))
	}
	return out
}

// deadHost is an address that answers no more, as that of a node that is gone: a listener whose queue is full has the kernel drop
// the first packets of connections.
func deadHost(t *testing.T) string {
	t.Helper()
	address, listeners := listen(t, pair.PortMySQL)
	_ = listeners[0].Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	at := &unix.SockaddrInet4{Port: pair.PortMySQL, Addr: netip.MustParseAddr(address).As4()}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, at); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, fmt.Sprint(pair.PortMySQL)), 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the queue of a listener without room is not full")
	return ""
}

// TestTheDocumentShowsWhatIsTested: what docs/clients.md has for programs with a list of hosts is what the tests run.
func TestTheDocumentShowsWhatIsTested(t *testing.T) {
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("primary_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(source), "\n// primary opens")
	function, _, found := strings.Cut(after, "\n}\n")
	if !found || !strings.Contains(string(page), "// primary opens"+function+"\n}\n") {
		t.Error("docs/clients.md does not show the function primary of primary_test.go as it is")
	}
	php, err := os.ReadFile("programs/primary.php")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), string(php)) {
		t.Error("docs/clients.md does not show programs/primary.php as it is")
	}
}
