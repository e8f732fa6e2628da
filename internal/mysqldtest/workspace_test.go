package mysqldtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestWorkspacesOfEndedProcessesGo starts test processes that make a workspace, kills one,
// and makes the next.
func TestWorkspacesOfEndedProcessesGo(t *testing.T) {
	if under := os.Getenv("DBPAIR_TEST_WORKSPACE"); under != "" {
		w, err := newWorkspace(under)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(w.dir)
		_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
		return
	}
	under := t.TempDir()
	foreign := filepath.Join(under, pattern+"foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	killed, killedDir := another(t, under)
	_, livingDir := another(t, under)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	w, err := newWorkspace(under)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{killedDir: false, livingDir: true, foreign: true, w.dir: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", dir, err == nil, want)
		}
	}
	w.remove()
	if _, err := os.Stat(w.dir); err == nil {
		t.Error("a removed workspace is still there")
	}
}

// another is a process with a workspace of its own.
func another(t *testing.T, under string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "DBPAIR_TEST_WORKSPACE="+under)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the other process made no workspace")
	}
	return cmd, lines.Text()
}
