package resources

import (
	"fmt"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// SecretTypeApp is the type that servicebinding.io gives to Secrets of MySQL.
const SecretTypeApp corev1.SecretType = "servicebinding.io/mysql"

// Keys of the Secrets.
const (
	keyPassword = "password"
	// KeyUsername and KeyPassword are those of the application's account.
	KeyUsername = "username"
	KeyPassword = keyPassword
	KeyCA       = "ca.crt"
	KeyCAKey    = "ca.key"
	// KeyLeaseSigned says that a Lease without a signature is not the pair's authority.
	KeyLeaseSigned = "lease.signed"
)

// InternalKeys are the keys of the Secret of the pair's own accounts.
func InternalKeys() []string {
	return []string{
		agentapi.PasswordFileRoot, agentapi.PasswordFileReplication,
		agentapi.PasswordFileClone, agentapi.PasswordFileMonitor,
		agentapi.PasswordFileChecksum, agentapi.PasswordFileRepair,
	}
}

// InternalSecret holds the passwords of the pair's own accounts, one for each of
// InternalKeys.
func InternalSecret(p *v1alpha1.DatabasePair, passwords map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return secret(p, NamesOf(p).Internal(), corev1.SecretTypeOpaque, passwords)
}

// CASecret holds the pair's certificate authority; nothing mounts it. It goes with the
// pair only if the volumes do.
//
// signed says that the pair's Lease is signed, so that one without a signature is not
// believed any more.
func CASecret(p *v1alpha1.DatabasePair, certPEM, keyPEM []byte, signed bool) *corev1ac.SecretApplyConfiguration {
	data := map[string][]byte{KeyCA: certPEM, KeyCAKey: keyPEM}
	if signed {
		data[KeyLeaseSigned] = []byte("v1")
	}
	s := secret(p, NamesOf(p).CA(), corev1.SecretTypeOpaque, data)
	if p.Spec.Storage.PersistentVolumeClaimRetentionPolicy.WhenDeleted != v1alpha1.DeleteVolumes {
		s.OwnerReferences = nil
	}
	return s
}

// TLSSecret holds a member's certificate.
func TLSSecret(p *v1alpha1.DatabasePair, o pair.Ordinal, caPEM, certPEM, keyPEM []byte) *corev1ac.SecretApplyConfiguration {
	return secret(p, NamesOf(p).TLS(o), corev1.SecretTypeTLS, map[string][]byte{
		KeyCA:                   caPEM,
		corev1.TLSCertKey:       certPEM,
		corev1.TLSPrivateKeyKey: keyPEM,
	})
}

// AppDir is where the connection strings expect the application's Secret to be mounted.
const AppDir = "/etc/dbpair/app"

// TrustStore is where the JDBC string expects ca.crt in a form that Java reads.
const TrustStore = "/etc/dbpair/truststore/ca.p12"

// AppSecret tells an application how to reach the pair. The connection strings carry
// timeouts, so that a lost server is noticed, and verify the server's certificate and
// name: addresses are reused, and the address that a name led to a moment ago may be
// another server's. The password must hold letters and digits only, so that it needs no
// quoting in any of them.
func AppSecret(p *v1alpha1.DatabasePair, password string, caPEM []byte) *corev1ac.SecretApplyConfiguration {
	names := NamesOf(p)
	host := p.Name + "." + p.Namespace + ".svc"
	port := strconv.Itoa(pair.PortMySQL)
	uri := url.URL{
		Scheme:   "mysql",
		User:     url.UserPassword(AppUser, password),
		Host:     host + ":" + port,
		Path:     "/" + AppSchema,
		RawQuery: "ssl-mode=VERIFY_IDENTITY&ssl-ca=" + AppDir + "/" + KeyCA,
	}
	data := map[string][]byte{
		"type":      []byte("mysql"),
		"provider":  []byte(Product),
		"host":      []byte(host),
		"port":      []byte(port),
		"database":  []byte(AppSchema),
		KeyUsername: []byte(AppUser),
		keyPassword: []byte(password),
		"uri":       []byte(uri.String()),
		KeyCA:       caPEM,
		// The driver takes the roots of the process: SSL_CERT_DIR has to name AppDir.
		"dsn-go": fmt.Appendf(nil,
			"%s:%s@tcp(%s:%s)/%s?tls=true&timeout=5s&readTimeout=60s&writeTimeout=60s&parseTime=true",
			AppUser, password, host, port, AppSchema),
		"dsn-jdbc": fmt.Appendf(nil,
			"jdbc:mysql://%s:%s/%s?user=%s&password=%s&sslMode=VERIFY_IDENTITY"+
				"&trustCertificateKeyStoreUrl=file:%s&trustCertificateKeyStoreType=PKCS12&trustCertificateKeyStorePassword=changeit"+
				"&connectTimeout=5000&socketTimeout=60000&tcpKeepAlive=true",
			host, port, AppSchema, AppUser, password, TrustStore),
		"dsn-python": fmt.Appendf(nil,
			"mysql+pymysql://%s:%s@%s:%s/%s?ssl_ca=%s/%s&ssl_check_hostname=true&connect_timeout=5&read_timeout=60&write_timeout=60",
			AppUser, password, host, port, AppSchema, AppDir, KeyCA),
	}
	if passive := p.Spec.Services.Passive.Enabled; passive == nil || *passive {
		data["passive-host"] = []byte(names.Passive() + "." + p.Namespace + ".svc")
	}
	return secret(p, names.App(), SecretTypeApp, data)
}

func secret(p *v1alpha1.DatabasePair, name string, kind corev1.SecretType, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithType(kind).
		WithData(data)
}
