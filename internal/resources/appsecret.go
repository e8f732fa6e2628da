package resources

import (
	"fmt"
	"strconv"
	"time"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
)

// AppDir is where the connection strings expect the application's Secret to be mounted.
const AppDir = "/etc/dbpair/app"

// Keys of the application's Secret that hold what one driver takes as it is.
const (
	KeyURI         = "uri"
	KeyGo          = "dsn-go"
	KeyJDBC        = "dsn-jdbc"
	KeyJDBCMariaDB = "dsn-jdbc-mariadb"
	KeyPerl        = "dsn-perl"
	KeySQLAlchemy  = "dsn-python"
	KeyMySQLi      = "mysqli.php"
	KeyPDO         = "pdo.php"
	KeyPyMySQL     = "pymysql.json"
	KeyMySQL2      = "mysql2.json"
	KeyRuby        = "mysql2-ruby.json"
	KeyDotNet      = "dsn-dotnet"
	KeyOptionFile  = "my.cnf"
	// KeyTrustStore has the certificates of KeyCA in the form that Java reads, with the
	// password TrustStorePassword, which protects nothing: the certificates are public.
	KeyTrustStore = "truststore.p12"
)

// TrustStorePassword is the one that Java's own trust store has.
const TrustStorePassword = "changeit"

// The least timeouts of clients. The sum is the longest time that a client hangs in a
// server that vanished while it connected.
const (
	leastConnectTimeout = 5 * time.Second
	leastReadTimeout    = 10 * time.Second
	// holdMargin is what a held client still waits after holdTimeout, so that it gets the
	// server's answer and not its own timeout.
	holdMargin = 4 * time.Second
)

// AppSecret tells an application how to reach the pair: the parts, and what each of the
// usual drivers takes as it is. All of it has timeouts, so that a lost server is noticed,
// and verifies the server's certificate and name: addresses are reused, and the address
// that a name led to a moment ago may be another server's.
//
// password may have any characters but control characters; PyMySQL sends those beyond
// ASCII in another encoding than MySQL's programs. It fails if caPEM has no
// certificates. The result depends on the arguments alone.
func AppSecret(p *v1alpha1.DatabasePair, password string, caPEM []byte) (*corev1ac.SecretApplyConfiguration, error) {
	app := account{
		user:     AppUserOf(p),
		database: AppSchemaOf(p),
		password: password,
	}
	return clientSecret(p, NamesOf(p).App(), app, caPEM)
}

// UserSecret is AppSecret for the account of a DatabasePairUser. Without databases, database and
// what names it are empty. That of a reader of the binary logs leads to the port for such readers.
func UserSecret(
	p *v1alpha1.DatabasePair, u *v1alpha1.DatabasePairUser, password string, caPEM []byte,
) (*corev1ac.SecretApplyConfiguration, error) {
	a := account{user: u.Spec.User, password: password, readsLogs: u.Spec.Replication}
	if len(u.Spec.Databases) > 0 {
		a.database = u.Spec.Databases[0]
	}
	s, err := clientSecret(p, UserSecretName(u), a, caPEM)
	if err != nil {
		return nil, err
	}
	return s.WithLabels(map[string]string{LabelUser: u.Name}), nil
}

// UserSecretName is the Secret of a DatabasePairUser.
func UserSecretName(u *v1alpha1.DatabasePairUser) string {
	return u.Spec.PairRef.Name + "-user-" + u.Name
}

// account is one that clients log in with.
type account struct {
	user     string
	database string
	password string
	// readsLogs: it reads the binary logs.
	readsLogs bool
}

func clientSecret(p *v1alpha1.DatabasePair, name string, a account, caPEM []byte) (*corev1ac.SecretApplyConfiguration, error) {
	trust, err := trustStore(caPEM)
	if err != nil {
		return nil, fmt.Errorf("Secret %s: %w", name, err)
	}
	t := target{
		host:     p.Name + "." + p.Namespace + ".svc",
		port:     pair.PortMySQL,
		database: a.database,
		username: a.user,
		password: a.password,
		caPEM:    string(caPEM),
		connect:  leastConnectTimeout,
		read:     leastReadTimeout,
	}
	if a.readsLogs {
		t.host = NamesOf(p).Passive() + "." + p.Namespace + ".svc"
		t.port = pair.PortBinlogService
	}
	held := p.Spec.Services.Primary.HoldTimeout.Duration.Round(time.Second) + holdMargin
	t.connect = max(t.connect, held)
	t.read = max(t.read, held)
	data := map[string][]byte{
		"type":        []byte("mysql"),
		"provider":    []byte(Product),
		"host":        []byte(t.host),
		"port":        []byte(strconv.Itoa(t.port)),
		"database":    []byte(t.database),
		KeyUsername:   []byte(t.username),
		keyPassword:   []byte(t.password),
		KeyCA:         caPEM,
		KeyTrustStore: trust,
	}
	for key, render := range connectionStrings {
		data[key] = []byte(render(t))
	}
	if passive := p.Spec.Services.Passive.Enabled; passive == nil || *passive {
		data["passive-host"] = []byte(NamesOf(p).Passive() + "." + p.Namespace + ".svc")
	}
	return secret(p, name, SecretTypeApp, data), nil
}
