package resources

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target is what every client has to know.
type target struct {
	host     string
	port     int
	database string
	username string
	password string
	// caPEM is what AppDir has as KeyCA.
	caPEM string
	// connect bounds the time until a client is connected, read the time that it waits for
	// an answer; whole seconds.
	connect time.Duration
	read    time.Duration
}

const (
	pathCA         = AppDir + "/" + KeyCA
	pathTrustStore = AppDir + "/" + KeyTrustStore
)

// connectionStrings are the keys of the application's Secret and what renders each. Each
// has the password quoted as its driver reads it, or leaves it to the key password.
var connectionStrings = map[string]func(target) string{
	KeyURI:         renderURI,
	KeyGo:          renderGo,
	KeyJDBC:        renderJDBC,
	KeyJDBCMariaDB: renderJDBCMariaDB,
	KeyPerl:        renderPerl,
	KeySQLAlchemy:  renderSQLAlchemy,
	KeyMySQLi:      renderMySQLi,
	KeyPDO:         renderPDO,
	KeyPyMySQL:     renderPyMySQL,
	KeyMySQL2:      renderMySQL2,
	KeyRuby:        renderRuby,
	KeyDotNet:      renderDotNet,
	KeyOptionFile:  renderOptionFile,
}

func (t target) address() string { return t.host + ":" + strconv.Itoa(t.port) }

func seconds(d time.Duration) string      { return strconv.Itoa(int(d / time.Second)) }
func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// parameters are name, value, name, value, … in this order, with values escaped.
func parameters(pairs ...string) string {
	var list []string
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, pair[0]+"="+escape(pair[1]))
	}
	return strings.Join(list, "&")
}

// escape is url.QueryEscape with a space as %20: not everybody reads a plus sign as one.
func escape(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

func renderURI(t target) string {
	return "mysql://" + escape(t.username) + ":" + escape(t.password) + "@" + t.address() + "/" + t.database + "?" +
		parameters("ssl-mode", "VERIFY_IDENTITY", "ssl-ca", pathCA)
}

// renderGo is read by a driver that takes everything up to the last @ as it is. The
// driver takes the CA from code, or from the process's SSL_CERT_DIR.
func renderGo(t target) string {
	return t.username + ":" + t.password + "@tcp(" + t.address() + ")/" + t.database + "?" + parameters(
		"tls", "true",
		"timeout", t.connect.String(),
		"readTimeout", t.read.String(),
		"writeTimeout", t.read.String(),
		"rejectReadOnly", "true",
		"parseTime", "true",
	)
}

func renderJDBC(t target) string {
	return "jdbc:mysql://" + t.address() + "/" + t.database + "?" + parameters(
		"user", t.username,
		"password", t.password,
		"sslMode", "VERIFY_IDENTITY",
		"trustCertificateKeyStoreUrl", "file:"+pathTrustStore,
		"trustCertificateKeyStoreType", "PKCS12",
		"trustCertificateKeyStorePassword", TrustStorePassword,
		"connectTimeout", milliseconds(t.connect),
		"socketTimeout", milliseconds(t.read),
		"tcpKeepAlive", "true",
	)
}

// renderJDBCMariaDB has no account: the driver's versions disagree about escapes. Version
// 2 reads useSsl, later ones read sslMode.
func renderJDBCMariaDB(t target) string {
	return "jdbc:mariadb://" + t.address() + "/" + t.database +
		"?useSsl=true&sslMode=verify-full&serverSslCert=" + pathCA +
		"&connectTimeout=" + milliseconds(t.connect) + "&socketTimeout=" + milliseconds(t.read) + "&tcpKeepAlive=true"
}

// renderDotNet has the options that MySqlConnector and Oracle's Connector/NET have in common. An answer that takes longer than
// the command's timeout ends the connection.
func renderDotNet(t target) string {
	var list []string
	for option := range slices.Chunk([]string{
		"Server", t.host,
		"Port", strconv.Itoa(t.port),
		"Database", t.database,
		"User ID", t.username,
		"Password", t.password,
		"SslMode", "VerifyFull",
		"SslCa", pathCA,
		"Connection Timeout", seconds(t.connect),
		"Default Command Timeout", seconds(t.read),
		"Keepalive", seconds(keepAlive),
	}, 2) {
		if option[1] != "" {
			list = append(list, option[0]+"="+quoteDotNet(option[1]))
		}
	}
	return strings.Join(list, ";")
}

// quoteDotNet quotes what would end a value, or be taken from it.
func quoteDotNet(value string) string {
	if strings.ContainsAny(value, ";'\"=") || value != strings.TrimSpace(value) {
		return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
	}
	return value
}

// renderPerl has no account: DBI takes both as arguments, and its strings know no quotes.
// It is for DBD::MariaDB: DBD::mysql refuses to insist on TLS where it was built with the
// library of MariaDB, as in Debian.
func renderPerl(t target) string {
	return "DBI:MariaDB:database=" + t.database + ";host=" + t.host + ";port=" + strconv.Itoa(t.port) +
		";mariadb_ssl=1;mariadb_ssl_ca_file=" + pathCA + ";mariadb_ssl_verify_server_cert=1" +
		";mariadb_connect_timeout=" + seconds(t.connect) +
		";mariadb_read_timeout=" + seconds(t.read) + ";mariadb_write_timeout=" + seconds(t.read)
}

func renderSQLAlchemy(t target) string {
	return "mysql+pymysql://" + escape(t.username) + ":" + escape(t.password) + "@" + t.address() + "/" + t.database + "?" + parameters(
		"ssl_ca", pathCA,
		"ssl_check_hostname", "true",
		"connect_timeout", seconds(t.connect),
		"read_timeout", seconds(t.read),
		"write_timeout", seconds(t.read),
		"charset", "utf8mb4",
	)
}

// renderOptionFile is read by the programs of MySQL; those of MariaDB do not know ssl-mode.
func renderOptionFile(t target) string {
	return strings.Join([]string{
		"# mysql --defaults-file=" + AppDir + "/" + KeyOptionFile,
		"[client]",
		"host=" + t.host,
		"port=" + strconv.Itoa(t.port),
		"user=" + quoteOption(t.username),
		"password=" + quoteOption(t.password),
		"ssl-mode=VERIFY_IDENTITY",
		"ssl-ca=" + pathCA,
		"[mysql]",
		"database=" + t.database,
		"connect-timeout=" + seconds(t.connect),
		"[mysqladmin]",
		"connect-timeout=" + seconds(t.connect),
		"",
	}, "\n")
}

// quoteOption makes a value that begins and ends as it is and in which # is no comment: a
// quote inside that is not escaped would end that.
func quoteOption(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}
