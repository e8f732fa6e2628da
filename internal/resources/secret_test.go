package resources

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// hostilePassword has every character that means something to some driver.
const hostilePassword = `p'w"\x;y/z@a:b?c#d%25&e=f g$h{i}j<k>l+m,n!o(q)r[s]t|u~v^w*` + "`äß€"

func appSecret(t *testing.T, password string, holdTimeout time.Duration) map[string][]byte {
	t.Helper()
	p := &v1alpha1.DatabasePair{}
	p.Name = "shop"
	p.Namespace = "ns"
	p.Spec.Services.Primary.HoldTimeout.Duration = holdTimeout
	ca, err := os.ReadFile(filepath.Join("testdata", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := AppSecret(p, password, ca)
	if err != nil {
		t.Fatal(err)
	}
	return s.Data
}

// TestEveryConnectionStringVerifiesTheServer: the address behind a name may be another
// server's a moment later. That the drivers do it is tested in test/clients.
func TestEveryConnectionStringVerifiesTheServer(t *testing.T) {
	data := appSecret(t, "Password1234", time.Second)
	for key, want := range map[string][]string{
		KeyURI:         {"ssl-mode=VERIFY_IDENTITY", "ssl-ca="},
		KeyGo:          {"tls=true"},
		KeyJDBC:        {"sslMode=VERIFY_IDENTITY", "trustCertificateKeyStoreUrl=file", "trustCertificateKeyStoreType=PKCS12"},
		KeyJDBCMariaDB: {"useSsl=true", "sslMode=verify-full", "serverSslCert=/etc/dbpair/app/ca.crt"},
		KeyPerl:        {"mariadb_ssl=1", "mariadb_ssl_verify_server_cert=1", "mariadb_ssl_ca_file=/etc/dbpair/app/ca.crt"},
		KeySQLAlchemy:  {"ssl_check_hostname=true", "ssl_ca="},
		KeyMySQLi:      {"MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true", "MYSQLI_CLIENT_SSL", "/etc/dbpair/app/ca.crt"},
		KeyPDO:         {"SSL_VERIFY_SERVER_CERT') => true", "SSL_CA') => '/etc/dbpair/app/ca.crt'"},
		KeyPyMySQL:     {`"ssl_verify_cert": true`, `"ssl_verify_identity": true`, `"ssl_ca": "/etc/dbpair/app/ca.crt"`},
		KeyMySQL2:      {`"rejectUnauthorized": true`, `"verifyIdentity": true`, "-----BEGIN CERTIFICATE-----"},
		KeyRuby:        {`"ssl_mode": "verify_identity"`, `"sslverify": true`, `"sslca": "/etc/dbpair/app/ca.crt"`},
		KeyDotNet:      {"SslMode=VerifyFull", "SslCa=/etc/dbpair/app/ca.crt"},
		KeyOptionFile:  {"ssl-mode=VERIFY_IDENTITY", "ssl-ca=/etc/dbpair/app/ca.crt"},
	} {
		for _, part := range append(want, "shop.ns.svc") {
			if !strings.Contains(string(data[key]), part) {
				t.Errorf("%s has no %s: %s", key, part, data[key])
			}
		}
	}
	for key := range connectionStrings {
		for _, weak := range []string{"skip-verify", "REQUIRED", "PREFERRED", "hostname=false"} {
			if strings.Contains(string(data[key]), weak) {
				t.Errorf("%s does not verify the server: %s", key, weak)
			}
		}
	}
}

func TestPasswordsAreReadBackAsTheyWere(t *testing.T) {
	data := appSecret(t, hostilePassword, time.Second)
	dsn, err := mysql.ParseDSN(string(data[KeyGo]))
	if err != nil || dsn.Passwd != hostilePassword || dsn.Addr != "shop.ns.svc:3306" || dsn.DBName != "app" {
		t.Errorf("%s %+v: %v", KeyGo, dsn, err)
	}
	for _, key := range []string{KeyURI, KeySQLAlchemy} {
		u, err := url.Parse(string(data[key]))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := u.User.Password(); got != hostilePassword {
			t.Errorf("%s: password %q", key, got)
		}
	}
	jdbc, err := url.Parse(strings.TrimPrefix(string(data[KeyJDBC]), "jdbc:"))
	if err != nil || jdbc.Query().Get("password") != hostilePassword {
		t.Errorf("%s %v: %v", KeyJDBC, jdbc, err)
	}
	for _, key := range []string{KeyPyMySQL, KeyMySQL2, KeyRuby} {
		var options struct{ Password string }
		if err := json.Unmarshal(data[key], &options); err != nil || options.Password != hostilePassword {
			t.Errorf("%s: password %q: %v", key, options.Password, err)
		}
	}
}

// TestStringsOfDotNetAreQuoted: the classes of .NET for such strings read a value to the next semicolon, or in quotes to the
// next single quote of that kind.
func TestStringsOfDotNetAreQuoted(t *testing.T) {
	for password, want := range map[string]string{
		"Password1234":      "Password=Password1234",
		`p;w'x"y=z`:         `Password="p;w'x""y=z"`,
		" begins and ends ": `Password=" begins and ends "`,
		`back\slash`:        `Password=back\slash`,
	} {
		text := string(appSecret(t, password, time.Second)[KeyDotNet])
		whole := "Server=shop.ns.svc;Port=3306;Database=app;User ID=app;" + want + ";SslMode=VerifyFull;SslCa=/etc/dbpair/app/ca.crt;" +
			"Connection Timeout=5;Default Command Timeout=10;Keepalive=4"
		if text != whole {
			t.Errorf("%q:\n%s, want\n%s", password, text, whole)
		}
	}
	if text := renderDotNet(target{host: "shop.ns.svc"}); strings.Contains(text, "Database") {
		t.Errorf("without a database: %s", text)
	}
}

func TestTrustStoreHoldsTheCAAndIsAlwaysTheSame(t *testing.T) {
	first := appSecret(t, "Password1234", time.Second)
	second := appSecret(t, "Password1234", time.Second)
	if !bytes.Equal(first[KeyTrustStore], second[KeyTrustStore]) {
		t.Error("the trust store is another each time: the Secret would be written at every reconciliation")
	}
	certificates, err := pkcs12.DecodeTrustStore(first[KeyTrustStore], TrustStorePassword)
	if err != nil || len(certificates) != 1 || certificates[0].Subject.CommonName != "certificate for golden files" {
		t.Errorf("trust store: %v, %v", certificates, err)
	}
	for _, bundle := range []string{"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := AppSecret(&v1alpha1.DatabasePair{}, "Password1234", []byte(bundle)); err == nil {
			t.Errorf("a CA that is %q makes no error", bundle)
		}
	}
}

// TestHeldClientsDoNotTimeOut: a client whose own timeout is the shorter one never sees
// the new primary.
func TestHeldClientsDoNotTimeOut(t *testing.T) {
	for hold, want := range map[time.Duration][2]time.Duration{
		0:                       {5 * time.Second, 10 * time.Second},
		time.Second:             {5 * time.Second, 10 * time.Second},
		2500 * time.Millisecond: {7 * time.Second, 10 * time.Second},
		30 * time.Second:        {34 * time.Second, 34 * time.Second},
	} {
		dsn, err := mysql.ParseDSN(string(appSecret(t, "Password1234", hold)[KeyGo]))
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]time.Duration{dsn.Timeout, dsn.ReadTimeout}; got != want {
			t.Errorf("holdTimeout %v: connect and read in %v, want %v", hold, got, want)
		}
	}
}

// TestAReaderIsLedToThePortForReaders: it can log in nowhere else.
func TestAReaderIsLedToThePortForReaders(t *testing.T) {
	p := &v1alpha1.DatabasePair{}
	p.Name = "shop"
	p.Namespace = "ns"
	u := &v1alpha1.DatabasePairUser{Spec: v1alpha1.UserSpec{
		PairRef:     v1alpha1.UserPairReference{Name: "shop"},
		User:        "cdc",
		Replication: true,
	}}
	u.Name = "warehouse"
	ca, err := os.ReadFile(filepath.Join("testdata", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := UserSecret(p, u, "Password1234", ca)
	if err != nil {
		t.Fatal(err)
	}
	if *s.Name != "shop-user-warehouse" || string(s.Data["host"]) != "shop-passive.ns.svc" || string(s.Data["port"]) != "3307" {
		t.Errorf("Secret %s leads to %s:%s", *s.Name, s.Data["host"], s.Data["port"])
	}
	if text := string(s.Data[KeyOptionFile]); !strings.Contains(text, "host=shop-passive.ns.svc\nport=3307\n") {
		t.Errorf("the option file is %q", text)
	}
}
