package clients

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/resources"
)

// programDir is where a program finds itself.
const programDir = "/etc/dbpair/programs"

// program is one client.
type program struct {
	name string
	// argv starts it, in root.
	argv []string
	root root
	env  []string
	// connectOnly: it says nothing new of a lost connection, since each of its statements
	// has one of its own, or since its driver is that of another program.
	connectOnly bool
}

// root is what a program sees as its files: etc is mounted at dir/etc.
type root struct {
	dir string
	etc string
}

// requireRootfs returns the folder that hack/clients.sh made, or skips the test.
func requireRootfs(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short leaves out everything that needs a real mysqld")
	}
	problem := "no client programs for tests: run hack/clients.sh, or set DBPAIR_CLIENTS to the folder that it prints"
	for _, dir := range candidates() {
		if _, err := os.Stat(filepath.Join(dir, "usr/bin/python3")); err != nil {
			continue
		}
		if output, err := exec.Command("unshare", append(unshareFlags(), "true")...).CombinedOutput(); err != nil {
			problem = "client programs need root or user namespaces of one's own: unshare: " + string(output)
			break
		}
		// .ci/run counts these lines.
		t.Log("TIER clients:", filepath.Base(dir))
		return dir
	}
	if os.Getenv("DBPAIR_REQUIRE_CLIENTS") == "1" {
		t.Fatal(problem)
	}
	t.Skip("SKIPPED: " + problem)
	return ""
}

func candidates() []string {
	list := []string{os.Getenv("DBPAIR_CLIENTS")}
	dirs := []string{os.Getenv("DBPAIR_CACHE")}
	if home, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, "dbpair"))
	}
	for _, dir := range dirs {
		if dir != "" {
			list = append(list, filepath.Join(dir, "clients", "rootfs"))
		}
	}
	return list
}

// unshareFlags make a mount namespace, and a user namespace where that needs one.
func unshareFlags() []string {
	if os.Getuid() == 0 {
		return []string{"--mount"}
	}
	return []string{"--mount", "--map-root-user"}
}

// programs are all that can be run. hosts is the text of their /etc/hosts.
func programs(t *testing.T, hosts string) []program {
	rootfs := requireRootfs(t)
	own := root{dir: rootfs, etc: makeEtc(t, filepath.Join(rootfs, "etc"), hosts)}
	host := root{dir: "/", etc: makeEtc(t, "", hosts)}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	python := []string{"/usr/bin/python3", programDir + "/python.py"}
	node := []string{"/usr/bin/node", programDir + "/node.js"}
	java := []string{
		"/" + only(t, rootfs, "usr/lib/jvm/java-*/bin/java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-cp", "/usr/share/java/mariadb-java-client.jar", programDir + "/Java.java",
	}
	list := []program{
		{name: "Go", argv: []string{self}, root: host, env: []string{goClientVariable + "=" + codeCA}},
		{name: "PHP mysqli", argv: php(t, rootfs, resources.KeyMySQLi), root: own},
		{name: "PHP PDO", argv: php(t, rootfs, resources.KeyPDO), root: own},
		{name: "PyMySQL", argv: append(python, resources.KeyPyMySQL), root: own},
		{name: "SQLAlchemy", argv: append(python[:2:2], resources.KeySQLAlchemy), root: own, connectOnly: true},
		{name: "Perl DBD::MariaDB", argv: []string{"/usr/bin/perl", programDir + "/perl.pl"}, root: own},
		{name: "Java MariaDB", argv: java, root: own},
		{
			name:        "mysql program",
			argv:        []string{"/bin/sh", programDir + "/mysql.sh", filepath.Join(mysqldtest.Require(t).Dir, "mysql")},
			root:        host,
			connectOnly: true,
		},
	}
	if _, err := os.Stat(filepath.Join(rootfs, "usr/lib/node_modules/mysql2")); err != nil {
		t.Log("LEFT OUT: Node mysql2: npm was missing when hack/clients.sh ran")
		return list
	}
	return append(list, program{name: "Node mysql2", argv: node, root: own, env: []string{"NODE_PATH=/usr/lib/node_modules"}})
}

// php switches extensions on: Debian does it when a package is configured, which it is not.
func php(t *testing.T, rootfs, key string) []string {
	argv := []string{"/" + only(t, rootfs, "usr/bin/php[0-9]*")}
	for _, extension := range []string{"mysqlnd", "mysqli", "pdo", "pdo_mysql"} {
		argv = append(argv, "-d", "extension="+extension)
	}
	return append(argv, programDir+"/php.php", key)
}

// only returns the one file of rootfs with a name of the pattern.
func only(t *testing.T, rootfs, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(rootfs, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, rootfs, err)
	}
	name, err := filepath.Rel(rootfs, found[0])
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// makeEtc makes a folder to mount over /etc: a copy of from, the programs, the names of hosts.
func makeEtc(t *testing.T, from, hosts string) string {
	t.Helper()
	etc := filepath.Join(t.TempDir(), "etc")
	if from == "" {
		if err := os.Mkdir(etc, 0o755); err != nil {
			t.Fatal(err)
		}
	} else if output, err := exec.Command("cp", "-a", from, etc).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %s", from, output)
	}
	if err := os.CopyFS(filepath.Join(etc, strings.TrimPrefix(programDir, "/etc/")), os.DirFS("programs")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(etc, strings.TrimPrefix(resources.AppDir, "/etc/")), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"hosts":         hosts,
		"nsswitch.conf": "hosts: files\npasswd: files\n",
		"passwd":        "root:x:0:0:root:/:/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return etc
}

// enter mounts the program's /etc and Secret and starts it; no other process sees the mounts.
const enter = `set -e
mount --bind "$1" "$2/etc"
mount --bind "$3" "$2/etc/dbpair/app"
if [ "$2" != / ]; then mount --rbind /dev "$2/dev"; mount --rbind /proc "$2/proc"; fi
root=$2; shift 3
exec chroot "$root" "$@"`

// session is a running program.
type session struct {
	t     *testing.T
	name  string
	input io.WriteCloser
	lines *bufio.Scanner
}

// answer is one line of a program.
type answer struct {
	ok    bool
	value string // ok
	code  string // not ok
	class string
	text  string
}

// start runs p with secret as its Secret and returns the answer to its first connection.
func (p program) start(t *testing.T, secret string) (*session, answer) {
	t.Helper()
	argv := append(unshareFlags(), "sh", "-c", enter, "enter", p.root.etc, p.root.dir, secret)
	cmd := exec.Command("unshare", append(argv, p.argv...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, p.env...)
	cmd.Dir = "/"
	stderr := &strings.Builder{}
	cmd.Stderr = stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("%s:\n%s", p.name, stderr)
		}
	})
	s := &session{
		t:     t,
		name:  p.name,
		input: input,
		lines: bufio.NewScanner(output),
	}
	return s, s.read()
}

// ask sends a line and returns the answer.
func (s *session) ask(line string) answer {
	if _, err := io.WriteString(s.input, line+"\n"); err != nil {
		s.t.Errorf("%s does not read: %v", s.name, err)
	}
	return s.read()
}

func (s *session) read() answer {
	if !s.lines.Scan() {
		s.t.Errorf("%s ended without an answer", s.name)
		return answer{text: "ended"}
	}
	field := strings.Split(s.lines.Text(), "\t")
	switch {
	case field[0] == "ok" && len(field) == 1:
		return answer{ok: true}
	case field[0] == "ok":
		return answer{ok: true, value: field[1]}
	case field[0] == "error" && len(field) == 4:
		return answer{code: field[1], class: field[2], text: field[3]}
	}
	s.t.Errorf("%s: no answer of the protocol: %q", s.name, s.lines.Text())
	return answer{text: s.lines.Text()}
}
