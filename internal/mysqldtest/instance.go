package mysqldtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// startLimit bounds a start on a busy machine.
const startLimit = 4 * time.Minute

// patience bounds one step that takes a moment where nothing else runs.
const patience = time.Minute

// FenceTimeout is that of an instance's handle.
const FenceTimeout = 5 * time.Second

// Options change what Start does.
type Options struct {
	// Ordinal is 0 or 1.
	Ordinal int
	// Bare starts on a data directory without dbpair's accounts and with an
	// empty root password.
	Bare bool
	// Settings are the user's.
	Settings map[string]string
	// IPv6 has mysqld listen on the loopback address of IPv6 beside that of IPv4, and its admin
	// port there only.
	IPv6 bool
	// Plugins are the libraries of plugins that the user wants.
	Plugins []string
}

// Instance is one member's mysqld.
type Instance struct {
	Member mycnf.Member
	// Dir is the folder of everything that belongs to the member.
	Dir string
	// Ops is a handle on it, over the socket.
	Ops *mysqlops.Server

	tb       testing.TB
	binaries Binaries
	password mysqlops.Secret
	cmd      *exec.Cmd
	exited   chan struct{}
}

// Start returns a running, closed mysqld on a fresh data directory.
func Start(tb testing.TB, options Options) *Instance {
	tb.Helper()
	binaries := Require(tb)
	kind := seeded
	if options.Bare {
		kind = bare
	}
	template := templateOf(tb, binaries, kind)
	instance := newInstance(tb, binaries, options)
	if err := copyTree(template, instance.Member.DataDir); err != nil {
		tb.Fatalf("copy the data directory: %v", err)
	}
	if !options.Bare {
		instance.password = Passwords.Root
	}
	instance.Boot()
	return instance
}

func newInstance(tb testing.TB, binaries Binaries, options Options) *Instance {
	tb.Helper()
	dir, err := MakeDir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	i := &Instance{
		tb:       tb,
		binaries: binaries,
		Dir:      dir,
		Member:   newMember(tb, dir, options),
	}
	if err := os.Mkdir(i.Member.TempDir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := i.writeTLS(); err != nil {
		tb.Fatal(err)
	}
	i.Ops = mysqlops.Open(mysqlops.Config{
		Socket:   i.Member.Socket,
		Password: func() mysqlops.Secret { return i.password },
		Timeouts: mysqlops.Timeouts{
			Connect: patience,
			Read:    patience,
			Change:  patience,
			Fence:   FenceTimeout,
		},
	})
	tb.Cleanup(func() {
		i.Ops.Disconnect()
		i.Kill()
		if tb.Failed() {
			tb.Logf("log of member %d:\n%s", options.Ordinal, i.Log())
		}
	})
	return i
}

// newMember is what mysqld is configured with: small files, since every test copies them.
func newMember(tb testing.TB, dir string, options Options) mycnf.Member {
	tb.Helper()
	m := mycnf.Member{
		Ordinal:     options.Ordinal,
		PodIP:       "127.0.0.1",
		BindAddress: "127.0.0.1",
		Host:        "localhost",
		Port:        FreePort(tb),
		AdminPort:   FreePort(tb),
		DataDir:     filepath.Join(dir, "data"),
		Socket:      filepath.Join(dir, "s"),
		PIDFile:     filepath.Join(dir, "pid"),
		TLSDir:      filepath.Join(dir, "tls"),
		TempDir:     filepath.Join(dir, "tmp"),
		Settings: map[string]string{
			"innodb_redo_log_capacity": "8M",
			"innodb_buffer_pool_size":  "32M",
			"innodb_log_buffer_size":   "1M",
			"max_connections":          "60",
			"table_open_cache":         "200",
			"innodb_numa_interleave":   "OFF",
		},
	}
	m.Plugins = options.Plugins
	if options.IPv6 {
		m.PodIP = "::1"
		m.BindAddress = "127.0.0.1,::1"
	}
	for key, value := range options.Settings {
		m.Settings[key] = value
	}
	return m
}

// Boot writes the option file and starts mysqld closed, as the agent does, and
// waits until it answers.
func (i *Instance) Boot() { i.BootWith() }

// BootWith is Boot with flags added at the end, where they win.
func (i *Instance) BootWith(flags ...string) {
	i.tb.Helper()
	i.launch(append(mycnf.Flags(i.optionFile()), flags...)...)
	if err := i.awaitReady(); err != nil {
		i.tb.Fatalf("mysqld does not come up: %v\n%s", err, i.Log())
	}
}

// Launch starts mysqld with flags after the option file and does not wait.
func (i *Instance) launch(flags ...string) {
	i.tb.Helper()
	text, err := mycnf.Render(i.Member)
	if err != nil {
		i.tb.Fatal(err)
	}
	if err := os.WriteFile(i.optionFile(), []byte(text), 0o644); err != nil {
		i.tb.Fatal(err)
	}
	log, err := os.OpenFile(i.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		i.tb.Fatal(err)
	}
	defer log.Close()
	i.cmd = exec.Command(i.binaries.Mysqld, flags...)
	i.cmd.Stdout = log
	i.cmd.Stderr = log
	i.cmd.Dir = i.Dir
	// A parent pid is what makes a clone end in an exit that a supervisor sees.
	i.cmd.Env = append(os.Environ(), fmt.Sprintf("MYSQLD_PARENT_PID=%d", os.Getpid()))
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: credential()}
	if err := i.cmd.Start(); err != nil {
		i.tb.Fatalf("start mysqld: %v", err)
	}
	exited := make(chan struct{})
	i.exited = exited
	cmd := i.cmd
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
}

func (i *Instance) awaitReady() error {
	deadline := time.Now().Add(startLimit)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := i.Ops.Ping(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-i.exited:
			return fmt.Errorf("it ended with status %d", i.cmd.ProcessState.ExitCode())
		case <-time.After(30 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Kill ends mysqld by SIGKILL and waits for it; ended already is success.
func (i *Instance) Kill() { i.signal(syscall.SIGKILL) }

// Terminate ends mysqld by SIGTERM and waits for it.
func (i *Instance) Terminate() { i.signal(syscall.SIGTERM) }

// Signal sends sig and does not wait.
func (i *Instance) Signal(sig syscall.Signal) {
	if i.cmd != nil {
		_ = i.cmd.Process.Signal(sig)
	}
}

func (i *Instance) signal(sig syscall.Signal) {
	if i.cmd == nil {
		return
	}
	_ = i.cmd.Process.Signal(sig)
	select {
	case <-i.exited:
	case <-time.After(startLimit):
		_ = i.cmd.Process.Kill()
		<-i.exited
	}
}

// Exited is closed when mysqld has ended.
func (i *Instance) Exited() <-chan struct{} { return i.exited }

// ExitCode waits for the end and returns mysqld's status, -1 for a signal.
func (i *Instance) ExitCode() int {
	<-i.exited
	return i.cmd.ProcessState.ExitCode()
}

// PID is mysqld's.
func (i *Instance) PID() int { return i.cmd.Process.Pid }

// SetPassword tells the handle root's password after it was changed.
func (i *Instance) SetPassword(password mysqlops.Secret) { i.password = password }

// Log returns mysqld's log so far.
func (i *Instance) Log() string {
	text, _ := os.ReadFile(i.logFile())
	const limit = 20_000
	if len(text) > limit {
		text = text[len(text)-limit:]
	}
	return string(bytes.TrimSpace(text))
}

func (i *Instance) optionFile() string { return filepath.Join(i.Dir, "my.cnf") }
func (i *Instance) logFile() string    { return filepath.Join(i.Dir, "log") }

// TLSFiles are the member's, for channels and clones.
func (i *Instance) TLSFiles() mysqlops.TLSFiles {
	dir := i.Member.TLSDir
	return mysqlops.TLSFiles{
		CA:   dir + "/ca.crt",
		Cert: dir + "/tls.crt",
		Key:  dir + "/tls.key",
	}
}

// JobTLSFiles are those of the Jobs that compare and repair.
func (i *Instance) JobTLSFiles() mysqlops.TLSFiles {
	dir := i.Member.TLSDir + "/job"
	return mysqlops.TLSFiles{
		CA:   dir + "/ca.crt",
		Cert: dir + "/tls.crt",
		Key:  dir + "/tls.key",
	}
}

func (i *Instance) writeTLS() error {
	if err := os.Mkdir(i.Member.TLSDir, 0o755); err != nil {
		return err
	}
	if err := copyTree(filepath.Join(process.dir, "tls"), i.Member.TLSDir); err != nil {
		return err
	}
	return chownTree(i.Dir)
}

// Root opens plain SQL as root over the socket.
func (i *Instance) Root() *sql.DB {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd = "root", i.password.Reveal()
	cfg.Net = "unix"
	cfg.Addr = i.Member.Socket
	return i.open(cfg)
}

// Client opens plain SQL over TCP and TLS on the clients' port or the admin port, with the
// certificate of the Jobs for their accounts and the member's for all others.
func (i *Instance) Client(user string, password mysqlops.Secret, admin bool) *sql.DB {
	files := i.TLSFiles()
	if user == mysqlops.UserChecksum || user == mysqlops.UserRepair {
		files = i.JobTLSFiles()
	}
	return i.ClientAs(files, user, password, admin)
}

// ClientAs is Client with a certificate of the caller's choice.
func (i *Instance) ClientAs(files mysqlops.TLSFiles, user string, password mysqlops.Secret, admin bool) *sql.DB {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd = user, password.Reveal()
	port := i.Member.Port
	if admin {
		port = i.Member.AdminPort
	}
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(files.CA)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		i.tb.Fatalf("read CA: %v", err)
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		i.tb.Fatal(err)
	}
	cfg.TLS = &tls.Config{
		RootCAs:      pool,
		Certificates: []tls.Certificate{pair},
		ServerName:   "localhost",
		MinVersion:   tls.VersionTLS12,
	}
	return i.open(cfg)
}

func (i *Instance) open(cfg *mysql.Config) *sql.DB {
	cfg.Logger = &mysql.NopLogger{}
	cfg.Timeout = patience
	cfg.InterpolateParams = true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		i.tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	i.tb.Cleanup(func() { _ = db.Close() })
	return db
}

// OwnFiles gives all files of the member to mysqld's account, after a test has
// written some.
func (i *Instance) OwnFiles() {
	i.tb.Helper()
	if err := chownTree(i.Dir); err != nil {
		i.tb.Fatal(err)
	}
}
