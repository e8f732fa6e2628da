package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/spf13/pflag"

	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/clonewire"
)

// connectTimeout bounds the handshake of one connection.
const connectTimeout = 10 * time.Second

// serverOptions say how to reach the mysqld that a backup is taken from.
type serverOptions struct {
	address      string
	user         string
	passwordFile string
	caFile       string
	certFile     string
	keyFile      string
}

func (o *serverOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.address, "address", "", "HOST:PORT of the server's admin port")
	o.registerAccount(flags, "dbpair_backup")
}

// registerAccount is for verbs that find the address by themselves.
func (o *serverOptions) registerAccount(flags *pflag.FlagSet, user string) {
	flags.StringVar(&o.user, "user", user, "the account")
	flags.StringVar(&o.passwordFile, "password-file", "", "file with the account's password")
	flags.StringVar(&o.caFile, "tls-ca", "", "file with the CA of the server's certificate")
	flags.StringVar(&o.certFile, "tls-cert", "", "file with a client certificate, if the account requires one")
	flags.StringVar(&o.keyFile, "tls-key", "", "file with its key")
}

func (o *serverOptions) donor(deadline time.Duration) (*mysqld, error) {
	host, _, err := net.SplitHostPort(o.address)
	if err != nil {
		return nil, fmt.Errorf("--address %q: write HOST:PORT: %w", o.address, err)
	}
	password, err := readPassword(o.passwordFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		ServerName: host,
		MinVersion: tls.VersionTLS12,
	}
	if config.RootCAs, err = readCA(o.caFile); err != nil {
		return nil, err
	}
	if (o.certFile == "") != (o.keyFile == "") {
		return nil, errors.New("--tls-cert and --tls-key: give both or none")
	}
	if o.certFile != "" {
		pair, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &mysqld{
		address:  o.address,
		user:     o.user,
		password: password,
		tls:      config,
		wait:     deadline,
	}, nil
}

func readPassword(file string) (string, error) {
	if file == "" {
		return "", errors.New("--password-file is missing: passwords are not taken from the command line")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func readCA(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, errors.New("--tls-ca is missing: name the file of the CA that signed the server's certificate")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--tls-ca: %s has no certificate in PEM", file)
	}
	return pool, nil
}

// mysqld is a running server as a backup's donor.
type mysqld struct {
	address  string
	user     string
	password string
	tls      *tls.Config
	// wait is how long the server waits while the store cannot be reached.
	wait time.Duration
}

// State asks the server for its identity and gtid_executed.
func (m *mysqld) State(ctx context.Context) (backup.State, error) {
	conn, err := client.ConnectWithContext(ctx, m.address, m.user, m.password, "", connectTimeout, func(c *client.Conn) error {
		c.SetTLSConfig(m.tls)
		return nil
	})
	if err != nil {
		return backup.State{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	result, err := conn.Execute("SELECT @@GLOBAL.server_uuid, @@GLOBAL.version, @@GLOBAL.gtid_executed")
	if err != nil {
		return backup.State{}, err
	}
	var texts [3]string
	for i := range texts {
		if texts[i], err = result.GetString(0, i); err != nil {
			return backup.State{}, err
		}
	}
	return backup.State{
		Server: backup.Server{
			UUID:    texts[0],
			Version: texts[1],
		},
		GTIDExecuted: strings.ReplaceAll(texts[2], "\n", ""),
	}, nil
}

// Clone streams the server's data into a recorder.
func (m *mysqld) Clone(ctx context.Context, recorder clonewire.Recorder) error {
	return clonewire.Client{
		Address:  m.address,
		User:     m.user,
		Password: m.password,
		TLS:      m.tls,
		Limit:    backup.AnswerLimit,
		Wait:     m.wait,
	}.Clone(ctx, recorder)
}
