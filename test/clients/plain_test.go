package clients

import (
	"cmp"
	"regexp"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/resources"
)

// aboutTLS is what each string says of TLS. Without it the string is what someone writes who knows
// the host, the account and the password alone.
var aboutTLS = map[string]*regexp.Regexp{
	resources.KeyGo:          regexp.MustCompile(`tls=true&`),
	resources.KeyMySQLi:      regexp.MustCompile(`(?m)^.*(?:ssl_set|SSL_VERIFY_SERVER_CERT).*\n|, null, MYSQLI_CLIENT_SSL`),
	resources.KeyPDO:         regexp.MustCompile(`(?m)^.*constant\(\$prefix.*\n`),
	resources.KeyPyMySQL:     regexp.MustCompile(`(?m)^ *"ssl_.*\n`),
	resources.KeySQLAlchemy:  regexp.MustCompile(`ssl_ca=[^&]*&ssl_check_hostname=true&`),
	resources.KeyMySQL2:      regexp.MustCompile(`(?s)  "ssl": {.*?},\n`),
	resources.KeyRuby:        regexp.MustCompile(`(?m)^  "ssl(?:ca|verify)".*\n`),
	resources.KeyPerl:        regexp.MustCompile(`;mariadb_ssl[a-z_]*=[^;]*`),
	resources.KeyJDBCMariaDB: regexp.MustCompile(`useSsl=true&sslMode=verify-full&serverSslCert=[^&]*&`),
}

// withoutTLS takes TLS away from what clients of the tests read in a Secret.
func withoutTLS(t *testing.T, data map[string][]byte) map[string][]byte {
	t.Helper()
	plain := map[string][]byte{}
	for key, value := range data {
		text := string(value)
		if part := aboutTLS[key]; part != nil {
			text = part.ReplaceAllString(text, "")
		}
		switch key {
		case resources.KeyRuby: // uses TLS by itself, where the library does
			text = strings.ReplaceAll(text, "verify_identity", "disabled")
		case resources.KeyOptionFile: // as MySQL's programs do
			text = regexp.MustCompile(`ssl-mode=.*\nssl-ca=.*\n`).ReplaceAllString(text, "ssl-mode=DISABLED\n")
		}
		changed := text != string(value)
		if (aboutTLS[key] != nil || key == resources.KeyOptionFile) && !changed {
			t.Fatalf("nothing is said of TLS in %s: %s", key, text)
		}
		plain[key] = []byte(text)
	}
	return plain
}

// TestClientsWithoutTLS: the error of each client that has the right password and does not use
// TLS, by who requires it. It prints the table of docs/clients.md.
func TestClientsWithoutTLS(t *testing.T) {
	requireRootfs(t)
	s := newService(t)
	secret, err := resources.AppSecret(pairNamed("shop"), hostilePassword, s.ca.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := mount(t, secret.Data)
	plain := mount(t, withoutTLS(t, secret.Data))
	clients := programs(t, s.hosts())
	rows := []string{cellsOf("", clients, func(p program) string { return p.Name })}
	app := mysqlops.Account{User: mysqlops.UserApp, Host: "%"}
	for _, one := range []struct {
		who      string
		account  bool // requires TLS
		server   string
		wantCode string // empty for a connection
	}{
		{
			who:      "the account requires TLS (`tls: Required`)",
			account:  true,
			server:   "OFF",
			wantCode: accessDenied,
		},
		{
			who:    "nobody does (`tls: Preferred`)",
			server: "OFF",
		},
		{
			who:      "mysqld does (`tls: Preferred`, `require_secure_transport: ON`)",
			server:   "ON",
			wantCode: "3159",
		},
		{
			who:      "both do",
			account:  true,
			server:   "ON",
			wantCode: accessDenied,
		},
	} {
		if _, err := s.member.Ops.RequireTLS(t.Context(), app, one.account); err != nil {
			t.Fatal(err)
		}
		s.exec(t, "SET GLOBAL require_secure_transport = "+one.server)
		rows = append(rows, cellsOf(one.who, clients, func(p program) string {
			if _, got := p.start(t, encrypted); !got.OK {
				t.Errorf("%s: %s with TLS: %+v", one.who, p.Name, got)
			}
			// mysqld has the password's digest in its cache now, and needs no RSA key for it.
			return p.startPlain(t, one.who, plain, one.wantCode)
		}))
	}
	t.Logf("what clients without TLS are told:\n%s", strings.Join(rows, "\n"))
}

// startPlain starts p with a Secret that says nothing of TLS, and returns the code of its error.
func (p program) startPlain(t *testing.T, who, secret, wantCode string) string {
	t.Helper()
	session, got := p.start(t, secret)
	t.Logf("%s: %s: %+v", who, p.Name, got)
	if got.OK != (wantCode == "") || got.Code != wantCode {
		t.Errorf("%s: %s: %+v, want %q", who, p.Name, got, wantCode)
	}
	if got.OK {
		const cipher = "SELECT VARIABLE_VALUE FROM performance_schema.session_status WHERE VARIABLE_NAME = 'Ssl_cipher'"
		if used := session.ask(cipher); !used.OK || used.Value != "" {
			t.Errorf("%s uses TLS: %+v", p.Name, used)
		}
	}
	return cmp.Or(got.Code, "connected")
}

// cellsOf is a row of a table.
func cellsOf(what string, clients []program, cell func(program) string) string {
	cells := []string{what}
	for _, client := range clients {
		cells = append(cells, cell(client))
	}
	return "| " + strings.Join(cells, " | ") + " |"
}
