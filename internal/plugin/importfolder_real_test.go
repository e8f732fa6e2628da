package plugin

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// requireMydumper returns the program, or skips the test: DBPAIR_MYDUMPER, or where hack/mydumper.sh leaves it.
func requireMydumper(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short leaves out everything that needs a real mysqld")
	}
	list := []string{os.Getenv("DBPAIR_MYDUMPER")}
	dirs := []string{os.Getenv("DBPAIR_CACHE")}
	if home, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, "dbpair"))
	}
	for _, dir := range dirs {
		if dir != "" {
			list = append(list, filepath.Join(dir, "mydumper", "mydumper"))
		}
	}
	for _, program := range list {
		if _, err := os.Stat(program); program != "" && err == nil {
			// .ci/run counts these lines.
			t.Log("TIER mydumper:", filepath.Base(program))
			return program
		}
	}
	const problem = "no mydumper for tests: run hack/mydumper.sh, or set DBPAIR_MYDUMPER to the program that it prints"
	if os.Getenv("DBPAIR_REQUIRE_MYDUMPER") == "1" {
		t.Fatal(problem)
	}
	t.Skip("SKIPPED: " + problem)
	return ""
}

// realServer is a mysqld that is open, and its client programs.
type realServer struct {
	*mysqldtest.Instance
	dir string
}

func startServer(t *testing.T, ordinal int) realServer {
	t.Helper()
	server := realServer{
		Instance: mysqldtest.Start(t, mysqldtest.Options{Ordinal: ordinal}),
		dir:      mysqldtest.Require(t).Dir,
	}
	server.Open(false)
	return server
}

// client runs mysql or mysqldump as root.
func (s realServer) client(t *testing.T, streams genericiooptions.IOStreams, program string, args ...string) error {
	t.Helper()
	args = append([]string{"--no-defaults", "--socket=" + s.Member.Socket, "--user=root", "--default-character-set=utf8mb4"}, args...)
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.dir, program), args...)
	cmd.Env = append(os.Environ(), "MYSQL_PWD="+mysqldtest.Passwords.Root.Reveal())
	cmd.Stdin = streams.In
	cmd.Stdout = streams.Out
	cmd.Stderr = streams.ErrOut
	return cmd.Run()
}

// output is what a client program prints.
func (s realServer) output(t *testing.T, in, program string, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	streams := genericiooptions.IOStreams{
		In:     strings.NewReader(in),
		Out:    &out,
		ErrOut: &errOut,
	}
	if err := s.client(t, streams, program, args...); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, errOut.String())
	}
	return out.String()
}

// contents is all that the two databases hold, with everything that is made in them.
func (s realServer) contents(t *testing.T) string {
	t.Helper()
	return s.output(t, "", "mysqldump", "--skip-comments", "--skip-dump-date", "--set-gtid-purged=OFF", "--routines", "--triggers", "--events",
		"--databases", "app", "od-d")
}

// dumpInto has mydumper write a folder.
func dumpInto(t *testing.T, program string, from realServer, args ...string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "export")
	args = append([]string{
		"--socket=" + from.Member.Socket,
		"--user=dumper",
		"--outputdir=" + folder,
		"--regex=^(app|od-d)\\.",
		"--triggers",
		"--routines",
		"--events",
	}, args...)
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		// This version asks for SHOW MASTER STATUS, which MySQL has no more.
		t.Logf("mydumper: %v\n%s", err, out)
	}
	return folder
}

// TestImportOfAFolderOfMydumper: what mydumper wrote of a server is on another one afterwards, byte for byte in
// mysqldump's eyes. What is there already is refused, and an error names the file and its line.
func TestImportOfAFolderOfMydumper(t *testing.T) {
	program := requireMydumper(t)
	source := startServer(t, 0)
	target := startServer(t, 1)
	seed, err := os.ReadFile("testdata/mydumper-source.sql")
	if err != nil {
		t.Fatal(err)
	}
	source.output(t, string(seed), "mysql")
	source.output(t, "CREATE USER dumper@localhost; GRANT ALL ON *.* TO dumper@localhost", "mysql")
	want := source.contents(t)
	w := importWorld(t)
	w.execer.mysql = func(args []string, streams genericiooptions.IOStreams) error {
		return target.client(t, streams, "mysql", args...)
	}
	executed := func() string { return target.output(t, "", "mysql", "-NBe", "SELECT @@GLOBAL.gtid_executed") }

	for name, args := range map[string][]string{
		"plain":                 nil,
		"compressed, in chunks": {"--compress", "--rows=1"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := dumpInto(t, program, source, args...)
			// A pair has the application's database from the beginning.
			target.output(t, "DROP DATABASE IF EXISTS app; DROP DATABASE IF EXISTS `od-d`; CREATE DATABASE app;", "mysql")
			before := executed()
			out, errOut, err := w.call(t, "", "import", "shop", "--dir", folder)
			if err != nil {
				t.Fatalf("%v\n%s%s", err, out, errOut)
			}
			if diff := cmp.Diff(want, target.contents(t)); diff != "" {
				t.Error(diff)
			}
			if executed() == before {
				t.Error("nothing of it is in the binary log")
			}
			_, _, err = w.call(t, "", "import", "shop", "--dir", folder)
			if err == nil || !strings.Contains(err.Error(), "nothing was loaded: 7 tables or views of the dump are in the pair already") {
				t.Errorf("once more: %v", err)
			}
		})
	}

	folder := dumpInto(t, program, source)
	path := filepath.Join(folder, "app.child.sql")
	rows, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows = append(rows, "INSERT INTO child VALUES (1,0);\n"...)
	if err := os.WriteFile(path, rows, 0o600); err != nil {
		t.Fatal(err)
	}
	target.output(t, "DROP DATABASE app; DROP DATABASE `od-d`", "mysql")
	_, errOut, err := w.call(t, "", "import", "shop", "--dir", folder)
	at := bytes.Count(rows, []byte("\n"))
	wrong := fmt.Sprintf("it failed at line %d of app.child.sql", at)
	if err == nil || !strings.Contains(err.Error(), wrong) {
		t.Errorf("error %v, want %q\n%s", err, wrong, errOut)
	}
}
