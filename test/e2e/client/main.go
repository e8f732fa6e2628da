// Command client runs inside the cluster under test: writers and a poller that write
// down what they see, stamped with CLOCK_BOOTTIME, and hand it out over HTTP.
//
// It is a real MySQL client and nothing else: it knows neither the operator nor the
// agents. It keeps its record in memory, since container logs are rotated.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/test/e2e/history"
)

// listenAddress of the HTTP server.
const listenAddress = ":8080"

// options come from the environment, since the password comes from a Secret.
type options struct {
	host     string // the client Service
	port     string
	user     string
	password string
	database string
	caFile   string // verify the server when set
	members  []string
}

// oldMysqld is what this program answers when it is called mysqld: the tests put it into
// an image whose mysqld is too old.
const oldMysqld = "/usr/sbin/mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)"

func main() {
	if filepath.Base(os.Args[0]) == "mysqld" {
		fmt.Println(oldMysqld)
		return
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	opts, err := parseOptions(os.Getenv)
	if err != nil {
		return err
	}
	clients, err := newClients(opts)
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              listenAddress,
		Handler:           clients.handler(ctx),
		ReadHeaderTimeout: 5 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func parseOptions(env func(string) string) (options, error) {
	o := options{
		host:     env("DB_HOST"),
		port:     env("DB_PORT"),
		user:     env("DB_USERNAME"),
		password: env("DB_PASSWORD"),
		database: env("DB_DATABASE"),
		caFile:   env("DB_CA"),
	}
	if list := env("DB_MEMBERS"); list != "" {
		o.members = strings.Split(list, ",")
	}
	if o.port == "" {
		o.port = "3306"
	}
	if o.host == "" || o.user == "" || o.database == "" {
		return o, errors.New("parse options: DB_HOST, DB_USERNAME and DB_DATABASE must be set")
	}
	return o, nil
}

// now is CLOCK_BOOTTIME, which all machines of a kind cluster share.
func now() history.Stamp {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // cannot fail on any Linux this runs on
	}
	return history.Stamp(ts.Nano())
}
