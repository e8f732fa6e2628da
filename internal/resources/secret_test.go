package resources

import (
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// TestEveryConnectionStringVerifiesTheServer: the address behind a name may be another
// server's a moment later.
func TestEveryConnectionStringVerifiesTheServer(t *testing.T) {
	p := &v1alpha1.DatabasePair{}
	p.Name = "shop"
	p.Namespace = "ns"
	data := AppSecret(p, "Password1234", []byte("certificate")).Data

	dsn, err := mysql.ParseDSN(string(data["dsn-go"]))
	if err != nil || dsn.TLSConfig != "true" || dsn.Addr != "shop.ns.svc:3306" {
		t.Errorf("dsn-go %+v: %v", dsn, err)
	}
	for key, want := range map[string]map[string]string{
		"uri": {"ssl-mode": "VERIFY_IDENTITY", "ssl-ca": "/etc/dbpair/app/ca.crt"},
		"dsn-jdbc": {
			"sslMode": "VERIFY_IDENTITY", "trustCertificateKeyStoreUrl": "file:/etc/dbpair/truststore/ca.p12",
			"trustCertificateKeyStoreType": "PKCS12",
		},
		"dsn-python": {"ssl_ca": "/etc/dbpair/app/ca.crt", "ssl_check_hostname": "true"},
	} {
		u, err := url.Parse(strings.TrimPrefix(string(data[key]), "jdbc:"))
		if err != nil {
			t.Fatal(err)
		}
		if u.Hostname() != "shop.ns.svc" {
			t.Errorf("%s leads to %s", key, u.Hostname())
		}
		for parameter, value := range want {
			if got := u.Query().Get(parameter); got != value {
				t.Errorf("%s: %s is %q, want %q", key, parameter, got, value)
			}
		}
	}
	for key, value := range data {
		for _, weak := range []string{"skip-verify", "REQUIRED", "PREFERRED", "hostname=false"} {
			if strings.Contains(string(value), weak) {
				t.Errorf("%s does not verify the server: %s", key, weak)
			}
		}
	}
}
