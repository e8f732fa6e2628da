package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/resources"
	clientprograms "github.com/dbpair/dbpair/test/clients/programs"
)

// program is one client.
type program struct {
	clientprograms.Command
	root root
}

// root is what a program sees as its files: etc is mounted at dir/etc.
type root struct {
	dir string
	etc string
}

// requireRootfs returns the folder that hack/clients.sh made, or skips the test.
func requireRootfs(t testing.TB) string {
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
func programs(t testing.TB, hosts string) []program {
	rootfs := requireRootfs(t)
	own := root{dir: rootfs, etc: makeEtc(t, filepath.Join(rootfs, "etc"), hosts)}
	host := root{dir: "/", etc: makeEtc(t, "", hosts)}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	list := []program{
		{
			Command: clientprograms.Command{Name: "Go", Argv: []string{self}, Env: []string{goClientVariable + "=" + codeCA}},
			root:    host,
		},
		{
			Command: clientprograms.Command{
				Name:        "mysql program",
				Argv:        []string{"/bin/sh", clientprograms.Dir + "/mysql.sh", filepath.Join(mysqldtest.Require(t).Dir, "mysql")},
				ConnectOnly: true, // each of its statements has a connection of its own
			},
			root: host,
		},
	}
	commands, err := clientprograms.Commands(rootfs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		list = append(list, program{Command: c, root: own})
	}
	if _, err := os.Stat(filepath.Join(rootfs, "usr/lib/node_modules/mysql2")); err != nil {
		t.Log("LEFT OUT: Node mysql2: npm was missing when hack/clients.sh ran")
	}
	return list
}

// makeEtc makes a folder to mount over /etc: a copy of from, the programs, the names of hosts.
func makeEtc(t testing.TB, from, hosts string) string {
	t.Helper()
	etc := filepath.Join(t.TempDir(), "etc")
	if from == "" {
		if err := os.Mkdir(etc, 0o755); err != nil {
			t.Fatal(err)
		}
	} else if output, err := exec.Command("cp", "-a", from, etc).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %s", from, output)
	}
	if err := os.CopyFS(filepath.Join(etc, strings.TrimPrefix(clientprograms.Dir, "/etc/")), os.DirFS("programs")); err != nil {
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

// within is a command that sees root as its files, with a Secret mounted.
func (r root) within(secret string, argv ...string) *exec.Cmd {
	flags := append(unshareFlags(), "sh", "-c", enter, "enter", r.etc, r.dir, secret)
	cmd := exec.Command("unshare", append(flags, argv...)...)
	cmd.Dir = "/"
	return cmd
}

// session is a running program.
type session struct {
	t    testing.TB
	name string
	*clientprograms.Session
}

type answer = clientprograms.Answer

// start runs p with secret as its Secret and returns the answer to its first connection.
func (p program) start(t testing.TB, secret string) (*session, answer) {
	t.Helper()
	cmd := p.root.within(secret, p.Argv...)
	cmd.Env = append(clientprograms.Environment(), p.Env...)
	stderr := &strings.Builder{}
	cmd.Stderr = stderr
	running, connected, err := clientprograms.Start(cmd)
	if running == nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	t.Cleanup(func() {
		running.End()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("%s:\n%s", p.Name, stderr)
		}
	})
	if err != nil {
		t.Errorf("%s: %v", p.Name, err)
	}
	return &session{t: t, name: p.Name, Session: running}, connected
}

// ask sends a line and returns the answer.
func (s *session) ask(line string) answer {
	got, err := s.Ask(line)
	if err != nil {
		s.t.Errorf("%s: %v", s.name, err)
	}
	return got
}
