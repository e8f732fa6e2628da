package clients

import (
	"bufio"
	"context"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/resources"
)

// goClientVariable makes the program of the tests the Go client: codeCA takes the CA as
// docs/clients.md shows it, environmentCA leaves it to SSL_CERT_DIR.
const (
	goClientVariable = "DBPAIR_GO_CLIENT"
	// goHostsVariable has the hosts of which the client takes the one that accepts writes, with commas; empty for that of the DSN.
	goHostsVariable = "DBPAIR_GO_HOSTS"

	codeCA        = "code"
	environmentCA = "environment"
)

// goClient speaks the protocol of programs/protocol.md. It holds one connection, so that
// database/sql does not repeat anything.
func goClient() {
	ctx := context.Background()
	var conn *sql.Conn
	in := bufio.NewScanner(os.Stdin)
	for line := "connect"; line != ""; line = in.Text() {
		var value string
		var err error
		if line == "connect" {
			if conn != nil {
				_ = conn.Close()
			}
			conn, err = connectGo(ctx)
		} else {
			value, err = runGo(ctx, conn, line)
		}
		fmt.Println(answerOf(value, err))
		if !in.Scan() {
			return
		}
	}
}

func connectGo(ctx context.Context) (*sql.Conn, error) {
	dsn, err := os.ReadFile(filepath.Join(resources.AppDir, resources.KeyGo))
	if err != nil {
		return nil, err
	}
	config, err := mysql.ParseDSN(string(dsn))
	if err != nil {
		return nil, err
	}
	config.Logger = &mysql.NopLogger{}
	if config.TLS != nil && os.Getenv(goClientVariable) == codeCA {
		ca, err := os.ReadFile(filepath.Join(resources.AppDir, resources.KeyCA))
		if err != nil {
			return nil, err
		}
		config.TLS.RootCAs = x509.NewCertPool()
		config.TLS.RootCAs.AppendCertsFromPEM(ca)
	}
	db, err := openGo(ctx, config)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(-1)
	return db.Conn(ctx)
}

func openGo(ctx context.Context, config *mysql.Config) (*sql.DB, error) {
	if hosts := os.Getenv(goHostsVariable); hosts != "" {
		return primary(ctx, config, strings.Split(hosts, ","))
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func runGo(ctx context.Context, conn *sql.Conn, statement string) (string, error) {
	if conn == nil {
		return "", errors.New("not connected")
	}
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return "", errors.Join(err, rows.Err())
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = &sql.NullString{}
	}
	err = rows.Scan(values...)
	return values[0].(*sql.NullString).String, errors.Join(err, rows.Err())
}

func answerOf(value string, err error) string {
	if err == nil {
		return strings.TrimSuffix("ok\t"+value, "\t")
	}
	code := "none"
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok {
		code = strconv.Itoa(int(refused.Number))
	}
	if errors.Is(err, driver.ErrBadConn) {
		code = "ErrBadConn"
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		code = "ErrInvalidConn"
	}
	return strings.Join([]string{"error", code, fmt.Sprintf("%T", err), strings.ReplaceAll(err.Error(), "\n", " ")}, "\t")
}
