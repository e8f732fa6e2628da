package resources

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

func renderMySQLi(t target) string {
	return `<?php
// A new connection each time: $db = require '` + AppDir + "/" + KeyMySQLi + `';
return (static function (): mysqli {
    mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    $db = mysqli_init();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, ` + seconds(t.connect) + `);
    $db->options(MYSQLI_OPT_READ_TIMEOUT, ` + seconds(t.read) + `);
    $db->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
    $db->ssl_set(null, null, ` + quotePHP(pathCA) + `, null, null);
    $db->real_connect(` + strings.Join([]string{
		quotePHP(t.host),
		quotePHP(t.username),
		quotePHP(t.password),
		quotePHP(t.database),
		strconv.Itoa(t.port),
		"null",
		"MYSQLI_CLIENT_SSL",
	}, ", ") + `);
    $db->set_charset('utf8mb4');
    return $db;
})();
`
}

// renderPDO sets the read timeout by the setting of PHP that the driver reads when it
// connects: PDO has no attribute for it. The names of attributes are new since PHP 8.4,
// and the old ones deprecated since 8.5.
func renderPDO(t target) string {
	return `<?php
// A new connection each time: $db = require '` + AppDir + "/" + KeyPDO + `';
return (static function (): PDO {
    $prefix = class_exists('Pdo\Mysql') ? 'Pdo\Mysql::ATTR_' : 'PDO::MYSQL_ATTR_';
    $before = ini_set('mysqlnd.net_read_timeout', '` + seconds(t.read) + `');
    try {
        return new PDO(` + strings.Join([]string{
		quotePHP("mysql:host=" + t.host + ";port=" + strconv.Itoa(t.port) + ";dbname=" + t.database + ";charset=utf8mb4"),
		quotePHP(t.username),
		quotePHP(t.password),
	}, ", ") + `, [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_TIMEOUT => ` + seconds(t.connect) + `,
            constant($prefix . 'SSL_CA') => ` + quotePHP(pathCA) + `,
            constant($prefix . 'SSL_VERIFY_SERVER_CERT') => true,
        ]);
    } finally {
        ini_set('mysqlnd.net_read_timeout', (string) $before);
    }
})();
`
}

// quotePHP makes a literal in which PHP expands nothing.
func quotePHP(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

func renderPyMySQL(t target) string {
	return renderJSON(struct {
		Host           string `json:"host"`
		Port           int    `json:"port"`
		User           string `json:"user"`
		Password       string `json:"password"`
		Database       string `json:"database"`
		Charset        string `json:"charset"`
		CA             string `json:"ssl_ca"`
		VerifyCert     bool   `json:"ssl_verify_cert"`
		VerifyIdentity bool   `json:"ssl_verify_identity"`
		ConnectTimeout int    `json:"connect_timeout"`
		ReadTimeout    int    `json:"read_timeout"`
		WriteTimeout   int    `json:"write_timeout"`
	}{
		Host:           t.host,
		Port:           t.port,
		User:           t.username,
		Password:       t.password,
		Database:       t.database,
		Charset:        "utf8mb4",
		CA:             pathCA,
		VerifyCert:     true,
		VerifyIdentity: true,
		ConnectTimeout: int(t.connect / time.Second),
		ReadTimeout:    int(t.read / time.Second),
		WriteTimeout:   int(t.read / time.Second),
	})
}

// keepAlive is when a client begins to ask whether the server is still there; Node gives up
// 10 s later.
const keepAlive = 4 * time.Second

// renderMySQL2 holds the CA itself: Node takes no name of a file.
func renderMySQL2(t target) string {
	type tlsOptions struct {
		CA                 string `json:"ca"`
		RejectUnauthorized bool   `json:"rejectUnauthorized"`
		VerifyIdentity     bool   `json:"verifyIdentity"`
	}
	return renderJSON(struct {
		Host           string     `json:"host"`
		Port           int        `json:"port"`
		User           string     `json:"user"`
		Password       string     `json:"password"`
		Database       string     `json:"database"`
		Charset        string     `json:"charset"`
		SSL            tlsOptions `json:"ssl"`
		ConnectTimeout int64      `json:"connectTimeout"`
		KeepAlive      bool       `json:"enableKeepAlive"`
		KeepAliveDelay int64      `json:"keepAliveInitialDelay"`
	}{
		Host:     t.host,
		Port:     t.port,
		User:     t.username,
		Password: t.password,
		Database: t.database,
		Charset:  "utf8mb4",
		SSL: tlsOptions{
			CA:                 t.caPEM,
			RejectUnauthorized: true,
			VerifyIdentity:     true,
		},
		ConnectTimeout: t.connect.Milliseconds(),
		KeepAlive:      true,
		KeepAliveDelay: keepAlive.Milliseconds(),
	})
}

// renderRuby is read by the gem mysql2. With the library of MariaDB it verifies the server because of sslverify, with that of
// MySQL because of ssl_mode.
func renderRuby(t target) string {
	return renderJSON(struct {
		Host           string `json:"host"`
		Port           int    `json:"port"`
		SSLMode        string `json:"ssl_mode"`
		CA             string `json:"sslca"`
		Verify         bool   `json:"sslverify"`
		Username       string `json:"username"`
		Password       string `json:"password"`
		Database       string `json:"database"`
		Encoding       string `json:"encoding"`
		ConnectTimeout int    `json:"connect_timeout"`
		ReadTimeout    int    `json:"read_timeout"`
		WriteTimeout   int    `json:"write_timeout"`
	}{
		Host:           t.host,
		Port:           t.port,
		SSLMode:        "verify_identity",
		CA:             pathCA,
		Verify:         true,
		Username:       t.username,
		Password:       t.password,
		Database:       t.database,
		Encoding:       "utf8mb4",
		ConnectTimeout: int(t.connect / time.Second),
		ReadTimeout:    int(t.read / time.Second),
		WriteTimeout:   int(t.read / time.Second),
	})
}

// renderJSON leaves <, > and & as they are.
func renderJSON(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		panic(err) // strings, numbers and booleans only
	}
	return text.String()
}
