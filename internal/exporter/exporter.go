package exporter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// Options say what is run, and how patiently.
type Options struct {
	// Program is mysqld_exporter.
	Program string
	Args    []string
	// PasswordFile holds the password of the monitor account; it changes when passwords are rotated.
	PasswordFile string
	// Poll is the time between two readings of the password file, Pause that before a program that ended is started again.
	Poll  time.Duration
	Pause time.Duration
	// Out takes what the program prints.
	Out io.Writer
}

// program is where the image has mysqld_exporter.
const program = "/mysqld_exporter"

// Args are the arguments of mysqld_exporter for a member's mysqld. It connects to the admin port, which takes no connection
// from clients when max_connections is used up. The certificate is not verified: both ends are in one pod.
func Args(mysqld, listen, user string) []string {
	return []string{
		"--mysqld.address=" + mysqld,
		"--mysqld.username=" + user,
		"--tls.insecure-skip-verify",
		"--config.my-cnf=",
		"--web.listen-address=" + listen,
		// They need PROCESS, or a plugin.
		"--no-collect.info_schema.innodb_cmp",
		"--no-collect.info_schema.innodb_cmpmem",
		"--no-collect.info_schema.query_response_time",
	}
}

// RunInContainer is "agent exporter": it runs until the container is asked to end.
func RunInContainer(user string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ip := os.Getenv(agentapi.EnvPodIP)
	if ip == "" {
		return fmt.Errorf("the environment has no %s", agentapi.EnvPodIP)
	}
	return Run(ctx, Options{
		Program:      program,
		Args:         Args(net.JoinHostPort(ip, strconv.Itoa(pair.PortAdmin)), ":"+strconv.Itoa(pair.PortMysqldMetrics), user),
		PasswordFile: agentapi.MonitorDir + "/" + agentapi.PasswordFileMonitor,
		Poll:         10 * time.Second,
		Pause:        5 * time.Second,
		Out:          os.Stdout,
	})
}

// Run keeps the program running until the context ends, with the password that the file holds. It blocks, and returns an
// error only when the password cannot be read at first.
func Run(ctx context.Context, o Options) error {
	password, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		password = o.runOnce(ctx, password)
		if !sleep(ctx, o.Pause) {
			return nil
		}
	}
	return nil
}

// runOnce runs the program until it ends, the password changes or the context ends, and returns the password that is valid
// then.
func (o Options) runOnce(ctx context.Context, password []byte) []byte {
	running, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(running, o.Program, o.Args...)
	// In the environment nobody outside of this container reads it, and mysqld_exporter asks for no file.
	cmd.Env = append(os.Environ(), "MYSQLD_EXPORTER_PASSWORD="+string(bytes.TrimSpace(password)))
	cmd.Stdout = o.Out
	cmd.Stderr = o.Out
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(o.Out, "start mysqld_exporter: %v\n", err)
		return password
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ticker := time.NewTicker(o.Poll)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() == nil {
				_, _ = fmt.Fprintf(o.Out, "mysqld_exporter ended and is started again: %v\n", err)
			}
			return password
		case <-ticker.C:
			now, err := os.ReadFile(o.PasswordFile)
			if err != nil || bytes.Equal(now, password) {
				continue
			}
			stop()
			// It was stopped: how it ended says nothing.
			//nolint:errcheck // see above
			<-ended
			return now
		}
	}
}

// sleep is false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
