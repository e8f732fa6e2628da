//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// process is a program that runs.
type process struct {
	b       *bench
	command *exec.Cmd
	out     bytes.Buffer
	log     bytes.Buffer
	ended   chan error
	looking chan struct{}
	memory  int64
}

// usage is what a process has taken.
type usage struct {
	cpu time.Duration
	// memory is its largest resident size, in bytes.
	memory int64
	// written is what it has written to disks, in bytes.
	written int64
}

// start runs the program for backups.
func (b *bench) start(args ...string) *process {
	b.Helper()
	p := &process{
		b:       b,
		command: exec.Command(b.options.program, args...),
		ended:   make(chan error, 1),
		looking: make(chan struct{}),
	}
	p.command.Stdout = &p.out
	p.command.Stderr = &p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		b.Fatalf("start backup %s: %v", args[0], err)
	}
	// The resource usage of a process that has ended has the memory of this one, which began it.
	stop := make(chan struct{})
	go func() {
		defer close(p.looking)
		for {
			p.memory = max(p.memory, status(p.pid(), "VmHWM"))
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	go func() {
		err := p.command.Wait()
		close(stop)
		p.ended <- err
	}()
	b.Cleanup(func() { _ = p.command.Process.Kill() })
	return p
}

func (p *process) pid() int { return p.command.Process.Pid }

// wait is the end of the process, which has to be a good one.
func (p *process) wait() usage {
	p.b.Helper()
	if err := <-p.ended; err != nil {
		p.b.Fatalf("backup %v: %v\n%s", p.command.Args[1:], err, &p.log)
	}
	<-p.looking
	state := p.command.ProcessState
	const block = 512
	return usage{
		cpu:     state.UserTime() + state.SystemTime(),
		memory:  p.memory,
		written: state.SysUsage().(*syscall.Rusage).Oublock * block,
	}
}

// interrupt asks the process to end, and waits.
func (p *process) interrupt() usage {
	p.b.Helper()
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended, which wait tells
	return p.wait()
}

// alive fails the test if the process has ended.
func (p *process) alive() {
	p.b.Helper()
	select {
	case err := <-p.ended:
		p.b.Fatalf("backup %v ended by itself: %v\n%s", p.command.Args[1:], err, &p.log)
	default:
	}
}

// await waits until a port is listened on by the process.
func (p *process) await(port int) {
	p.b.Helper()
	mysqldtest.Await(p.b, "the program listens", func() bool {
		p.alive()
		conn, err := net.DialTimeout("tcp", local(port), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// status is a size that the kernel tells of a process, in bytes; 0 of one that has ended.
func status(pid int, name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kibibytes, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kibibytes << 10
		}
	}
	return 0
}

// cpuOf is the processor time of a process.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick
}

// millicores is what the process takes of processors while something happens.
func (p *process) millicores(happens func()) float64 {
	before := cpuOf(p.pid())
	began := time.Now()
	happens()
	const each = 1000
	return each * (cpuOf(p.pid()) - before).Seconds() / time.Since(began).Seconds()
}

// tool is a command of this machine that is waited for.
func (b *bench) tool(command *exec.Cmd) usage {
	b.Helper()
	var log bytes.Buffer
	command.Stderr = &log
	if err := command.Run(); err != nil {
		b.Fatalf("%s: %v\n%s", command.Path, err, &log)
	}
	state := command.ProcessState
	return usage{cpu: state.UserTime() + state.SystemTime()}
}
