package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	clientprograms "github.com/dbpair/dbpair/test/clients/programs"
)

// secrets are the Secret of an account, and three that are wrong in one thing each.
type secrets struct {
	right    string
	ca       string
	name     string
	password string
}

func (a account) mount(t *testing.T, ca, otherCA *pki.Authority) secrets {
	t.Helper()
	return secrets{
		right:    mount(t, a.secret(t, "shop", hostilePassword, ca)),
		ca:       mount(t, a.secret(t, "shop", hostilePassword, otherCA)),
		name:     mount(t, a.secret(t, "other", hostilePassword, ca)),
		password: mount(t, a.secret(t, "shop", "Password1234", ca)),
	}
}

// TestClientsConnectWithTheSecretAlone: each client takes what the Secret of an application or of
// a DatabasePairUser has for it, with a password that has to be quoted, writes and reads. The
// same client with the strings of another CA, or of a pair that the server's certificate does not
// name, is not connected.
func TestClientsConnectWithTheSecretAlone(t *testing.T) {
	requireRootfs(t)
	s := newService(t)
	s.makeAccounts(t)
	otherCA := newCA(t)
	clients := programs(t, s.hosts())
	clients = append(clients, program{
		Command: clientprograms.Command{
			Name: "Go, CA from SSL_CERT_DIR",
			Argv: clients[0].Argv,
			Env:  []string{goClientVariable + "=" + environmentCA, "SSL_CERT_DIR=" + resources.AppDir},
		},
		root: clients[0].root,
	})
	for kind, a := range accounts() {
		t.Run(kind, func(t *testing.T) {
			mounted := a.mount(t, s.ca, otherCA)
			for _, client := range clients {
				t.Run(client.Name, func(t *testing.T) {
					a.use(t, client, mounted.right)
					if a.strict {
						client.refuses(t, mounted)
					}
				})
			}
		})
	}
}

// use has a client do what its account is for.
func (a account) use(t *testing.T, client program, secret string) {
	t.Helper()
	session, connected := client.start(t, secret)
	if !connected.OK {
		t.Fatalf("not connected: %+v", connected)
	}
	for query, want := range map[string]string{"SELECT CURRENT_USER()": a.current, queryDatabase: a.database} {
		if got := session.ask(query); got.Value != want {
			t.Errorf("%s: %+v, want %q", query, got, want)
		}
	}
	for _, table := range a.tables {
		text := "für " + client.Name
		if got := session.ask("INSERT INTO " + table + " (text) VALUES ('" + text + "')"); !got.OK {
			t.Errorf("insert into %s: %+v", table, got)
		}
		if got := session.ask("COMMIT"); !got.OK {
			t.Errorf("commit: %+v", got)
		}
		if got := session.ask("SELECT text FROM " + table + " ORDER BY id DESC LIMIT 1"); got.Value != text {
			t.Errorf("read %+v from %s, want %q", got, table, text)
		}
	}
	if a.shows != "" {
		if got := session.ask(a.shows); got.Value == "" {
			t.Errorf("%s: %+v, want a row", a.shows, got)
		}
	}
}

// refuses: the client trusts no other server, and says what mysqld says of another password.
func (p program) refuses(t *testing.T, mounted secrets) {
	t.Helper()
	for what, wrong := range map[string]string{"CA": mounted.ca, "name": mounted.name} {
		_, got := p.start(t, wrong)
		if got.OK || got.Code == accessDenied {
			t.Errorf("with another %s it trusts the server: %+v", what, got)
		}
		t.Logf("with another %s: %+v", what, got)
	}
	// A server that it does not trust would not come to see the password.
	if _, got := p.start(t, mounted.password); got.Code != accessDenied {
		t.Errorf("with another password: %+v, want %s", got, accessDenied)
	}
}

// accessDenied is the number of "Access denied".
const accessDenied = "1045"

// TestMysqlbinlogReadsWithTheSecretOfAReader: the option file of a reader of the binary logs is
// one for mysqlbinlog.
func TestMysqlbinlogReadsWithTheSecretOfAReader(t *testing.T) {
	requireRootfs(t)
	s := newService(t)
	s.makeAccounts(t)
	var first string
	var size, encrypted any
	if err := s.root.QueryRowContext(t.Context(), "SHOW BINARY LOGS").Scan(&first, &size, &encrypted); err != nil {
		t.Fatal(err)
	}
	reader := accounts()["a reader of the binary logs without a database"]
	secret := mount(t, reader.secret(t, "shop", hostilePassword, s.ca))
	mysqlbinlog := programs(t, s.hosts())[0].root.within(secret,
		filepath.Join(mysqldtest.Require(t).Dir, "mysqlbinlog"),
		"--defaults-file="+resources.AppDir+"/"+resources.KeyOptionFile,
		"--read-from-remote-server", "--to-last-log", first)
	mysqlbinlog.Env = clientprograms.Environment()
	output, err := mysqlbinlog.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if !strings.Contains(string(output), "CREATE TABLE `reports`.letters") {
		t.Errorf("it does not read what was written: %s", output)
	}
}
