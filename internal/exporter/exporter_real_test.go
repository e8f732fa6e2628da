package exporter

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// The exporter of the image reads a real mysqld over the admin port as the monitor account, and no collector fails. A closed
// member in offline mode lets it in as little as other clients: mysql_up is 0 there.
func TestTheExporterReadsAMysqld(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	binary := build(t)
	listen := freeAddress(t)
	password := filepath.Join(t.TempDir(), "monitor")
	if err := os.WriteFile(password, []byte(mysqldtest.Passwords.Monitor.Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(member.Member.AdminPort)))
	run(t, Options{
		Program:      binary,
		Args:         Args(admin, listen, mysqlops.UserMonitor),
		PasswordFile: password,
		Poll:         time.Second,
		Pause:        time.Second,
		Out:          testWriter{t},
	})
	var text string
	await(t, "mysql_up 1", func() bool {
		text = scrape(t.Context(), listen)
		return strings.Contains(text, "\nmysql_up 1\n")
	})
	collectors := regexp.MustCompile(`(?m)^mysql_exporter_collector_success\{collector="([^"]+)"\} (\d)$`).FindAllStringSubmatch(text, -1)
	if len(collectors) < 3 {
		t.Errorf("only %d collectors in:\n%s", len(collectors), text)
	}
	for _, collector := range collectors {
		if collector[2] != "1" {
			t.Errorf("the collector %s fails", collector[1])
		}
	}
	for _, metric := range []string{"mysql_global_status_threads_connected ", "mysql_global_variables_max_connections "} {
		if !strings.Contains(text, "\n"+metric) {
			t.Errorf("there is no %s", metric)
		}
	}
}

// build makes the exporter as the image has it.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mysqld_exporter")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", "../../hack/exporter", "-o", binary, "github.com/prometheus/mysqld_exporter")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// scrape is empty while nobody answers.
func scrape(ctx context.Context, address string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return ""
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

// testWriter shows what the program prints.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
