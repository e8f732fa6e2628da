package mysqldtest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Passwords are those of every instance that is not bare.
var Passwords = mysqlops.Passwords{
	Root:        mysqlops.NewSecret("root-pass"),
	Replication: mysqlops.NewSecret("repl-pass"),
	Clone:       mysqlops.NewSecret("clone-pass"),
	Monitor:     mysqlops.NewSecret("monitor-pass"),
	Checksum:    mysqlops.NewSecret("checksum-pass"),
	Repair:      mysqlops.NewSecret("repair-pass"),
	App:         mysqlops.NewSecret("app-pass"),
}

// kind of a template.
type kind string

const (
	bare   kind = "bare"
	seeded kind = "seeded"
)

// process is what all tests of one process share.
var process struct {
	dir string

	mu    sync.Mutex
	ready map[kind]error
}

// Main is the body of TestMain in every package that starts mysqlds:
//
//	func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }
func Main(m *testing.M) int {
	space, err := newWorkspace(workspaces)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer space.remove()
	dir := space.dir
	process.dir, process.ready = dir, make(map[kind]error)
	if err := os.Mkdir(filepath.Join(dir, "tls"), 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := WriteCerts(filepath.Join(dir, "tls")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// templateOf makes the template at its first use.
func templateOf(tb testing.TB, binaries Binaries, want kind) string {
	tb.Helper()
	if process.dir == "" {
		tb.Fatal("TestMain does not call mysqldtest.Main")
	}
	if want == seeded {
		templateOf(tb, binaries, bare) // it begins as a copy of this one
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	path := filepath.Join(process.dir, string(want))
	err, done := process.ready[want]
	if !done {
		err = makeTemplate(tb, binaries, want, path)
		process.ready[want] = err
	}
	if err != nil {
		tb.Fatalf("make the data directory: %v", err)
	}
	return path
}

func makeTemplate(tb testing.TB, binaries Binaries, want kind, path string) error {
	instance := newInstance(tb, binaries, Options{})
	if want == bare {
		instance.launch(mycnf.InitFlags(instance.optionFile())...)
		if code := instance.ExitCode(); code != 0 {
			return fmt.Errorf("mysqld --initialize ended with %d:\n%s", code, instance.Log())
		}
	} else {
		if err := copyTree(filepath.Join(process.dir, string(bare)), instance.Member.DataDir); err != nil {
			return err
		}
		instance.Boot()
		if err := instance.Ops.CreateAccounts(context.Background(), Passwords, mysqlops.AppAccount{}); err != nil {
			return err
		}
		instance.Ops.Disconnect()
		instance.Terminate()
	}
	// Each copy is a server of its own.
	if err := os.Remove(filepath.Join(instance.Member.DataDir, "auto.cnf")); err != nil {
		return err
	}
	return copyTree(instance.Member.DataDir, path)
}

// MakeDir makes a folder that goes with the test process, also when that is killed: then
// at the next start of one. Main has to have been called.
func MakeDir() (string, error) {
	dir, err := os.MkdirTemp(process.dir, "")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	return dir, chownTree(dir)
}

// nobody is the account that mysqld runs under when the tests run as root,
// since mysqld refuses to.
const nobody = 65534

func credential() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.Credential{
		Uid:         nobody,
		Gid:         nobody,
		NoSetGroups: true,
	}
}

func chownTree(root string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
}

// copyTree uses cp, which knows how to share blocks and keep holes.
func copyTree(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	out, err := exec.Command("cp", "-a", "--reflink=auto", "--sparse=auto", from+"/.", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, out)
	}
	return chownTree(to)
}
