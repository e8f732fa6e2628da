package clients

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// aboutKeepAlive is what strings say of TCP keepalive. Without it the driver's own default counts.
var aboutKeepAlive = map[string]*regexp.Regexp{
	resources.KeyMySQL2:      regexp.MustCompile(`,\s*"enableKeepAlive": true,\s*"keepAliveInitialDelay": \d+`),
	resources.KeyJDBCMariaDB: regexp.MustCompile(`&tcpKeepAlive=true`),
}

// TestClientsAskWhetherTheServerIsThere: the kernel asks the server of each client's idle connection by TCP keepalive. It prints
// the table of docs/clients.md.
func TestClientsAskWhetherTheServerIsThere(t *testing.T) {
	requireRootfs(t)
	s := newService(t)
	secret, err := resources.AppSecret(pairNamed("shop"), hostilePassword, s.ca.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	handedOut := mount(t, secret.Data)
	bare := map[string][]byte{}
	for key, value := range secret.Data {
		bare[key] = value
		if part := aboutKeepAlive[key]; part != nil {
			bare[key] = part.ReplaceAll(value, nil)
			if len(bare[key]) == len(value) {
				t.Fatalf("nothing is said of keepalive in %s: %s", key, value)
			}
		}
	}
	byItself := mount(t, bare)
	rows := []string{"| | by itself | with the Secret |", "| --- | --- | --- |"}
	for _, p := range programs(t, s.hosts()) {
		if p.ConnectOnly {
			continue
		}
		alone := s.idleTime(t, p, byItself)
		with := s.idleTime(t, p, handedOut)
		if with == 0 {
			t.Errorf("%s with the strings of the Secret never asks", p.Name)
		}
		rows = append(rows, fmt.Sprintf("| %s | %v | %v |", p.Name, alone, with))
	}
	t.Logf("after what silence the kernel asks:\n%s", strings.Join(rows, "\n"))
}

// TestKeepAliveOfAProgramThatCannotBeChanged: libkeepalive has the kernel ask after the time of KEEPIDLE.
func TestKeepAliveOfAProgramThatCannotBeChanged(t *testing.T) {
	rootfs := requireRootfs(t)
	const library = "usr/lib/libkeepalive.so"
	if _, err := os.Stat(filepath.Join(rootfs, library)); err != nil {
		t.Fatalf("%v; run hack/clients.sh again", err)
	}
	s := newService(t)
	secret := mountSecret(t, "shop", hostilePassword, s.ca)
	tried := 0
	for _, p := range programs(t, s.hosts()) {
		if p.root.dir == "/" || p.ConnectOnly {
			continue // it does not see the library
		}
		tried++
		p.Env = append([]string{"LD_PRELOAD=/" + library, "KEEPIDLE=5", "KEEPINTVL=3", "KEEPCNT=3"}, p.Env...)
		if got := s.idleTime(t, p, secret); got == 0 || got > 5*time.Second {
			t.Errorf("%s: the kernel asks after %v, want 5s", p.Name, got)
		}
	}
	if tried == 0 {
		t.Error("no program was tried")
	}
}

// idleTime is after what silence the kernel asks whether the server of a program's connection is there; 0 if it never does.
func (s *service) idleTime(t *testing.T, p program, secret string) time.Duration {
	t.Helper()
	client, got := p.start(t, secret)
	defer client.End()
	if !got.OK {
		t.Fatalf("%s: %+v", p.Name, got)
	}
	if got := client.ask("SELECT 1"); !got.OK {
		t.Fatalf("%s: %+v", p.Name, got)
	}
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if idle, known := timerTo(t, netip.MustParseAddr(s.link.address)); known {
			return idle
		}
	}
	t.Fatalf("%s has no idle connection", p.Name)
	return 0
}

// timerTo reads the timer of the one established connection to an address from the kernel's tables, proc_net_tcp(5): its kind, of
// which 02 is keepalive and 00 none, and the hundredths of a second until it ends. It does not know it while data is on its way.
func timerTo(t *testing.T, address netip.Addr) (left time.Duration, known bool) {
	t.Helper()
	var lines []string
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // there may be no IPv6
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(string(text), "\n")...)
	}
	// Of an address of IPv4 in the table of IPv6 it is the end.
	bytes := address.As4()
	remote := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(bytes[:]), pair.PortMySQL)
	const established = "01"
	for _, line := range lines {
		field := strings.Fields(line)
		if len(field) < 6 || !strings.HasSuffix(field[2], remote) || field[3] != established {
			continue
		}
		kind, hundredths, _ := strings.Cut(field[5], ":")
		n, err := strconv.ParseInt(hundredths, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "00":
			return 0, true
		case "02":
			return (time.Duration(n) * 10 * time.Millisecond).Round(time.Second), true
		}
	}
	return 0, false
}
