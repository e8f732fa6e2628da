package clients

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const insert = "INSERT INTO letters (text) VALUES ('x')"

// fault is one way to lose a primary.
type fault struct {
	name string
	// begin and end are called once for all clients. Between them each client runs line.
	begin func(*testing.T, *service)
	line  string
	end   func(*testing.T, *service)
}

func faults() []fault {
	nothing := func(*testing.T, *service) {}
	set := func(statement string) func(*testing.T, *service) {
		return func(t *testing.T, s *service) { s.exec(t, statement) }
	}
	return []fault{
		{
			name:  "read-only server (1290)",
			begin: set("SET GLOBAL super_read_only = ON"),
			line:  insert,
			end:   set("SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF"),
		},
		{
			name:  "offline server (3032)",
			begin: set("SET GLOBAL offline_mode = ON"),
			line:  insert,
			end:   set("SET GLOBAL offline_mode = OFF"),
		},
		{
			name:  "connecting to an offline server (3032)",
			begin: set("SET GLOBAL offline_mode = ON"),
			line:  "connect",
			end:   set("SET GLOBAL offline_mode = OFF"),
		},
		{
			name:  "connecting while the door refuses (1053)",
			begin: func(_ *testing.T, s *service) { s.link.refuse(1053, "#08S01Server shutdown in progress") },
			line:  "connect",
			end:   func(_ *testing.T, s *service) { s.link.refuse(0, "") },
		},
		{
			name:  "connection reset",
			begin: func(_ *testing.T, s *service) { s.link.cut(true) },
			line:  insert,
			end:   nothing,
		},
		{
			name:  "connection closed (FIN)",
			begin: func(_ *testing.T, s *service) { s.link.cut(false) },
			line:  insert,
			end:   nothing,
		},
		{
			name:  "server vanished",
			begin: func(_ *testing.T, s *service) { s.link.freeze(true) },
			line:  insert,
			end:   thaw,
		},
		{
			name:  "connecting to a server that vanished",
			begin: func(_ *testing.T, s *service) { s.link.freeze(true) },
			line:  "connect",
			end:   thaw,
		},
	}
}

// thaw ends what was frozen: its clients have given up.
func thaw(_ *testing.T, s *service) {
	s.link.cut(true)
	s.link.freeze(false)
}

// TestClientsNoticeALostPrimary: whatever way the primary is lost, each client has an error
// in the end, and is served after it has connected again. It prints the table of
// docs/clients.md.
func TestClientsNoticeALostPrimary(t *testing.T) {
	requireRootfs(t)
	s := newService(t)
	secret := mountSecret(t, "shop", hostilePassword, s.ca)
	var sessions []*session
	for _, p := range programs(t, s.hosts()) {
		if p.ConnectOnly {
			continue
		}
		client, connected := p.start(t, secret)
		if !connected.OK {
			t.Fatalf("%s: not connected: %+v", p.Name, connected)
		}
		sessions = append(sessions, client)
	}
	rows := []string{header(sessions)}
	for _, f := range faults() {
		rows = append(rows, f.inject(t, s, sessions))
		for _, client := range sessions {
			if got := client.ask("connect"); !got.OK {
				t.Errorf("%s: %s does not connect again: %+v", f.name, client.name, got)
			} else if got := client.ask(insert); !got.OK {
				t.Errorf("%s: %s connected again and does not write: %+v", f.name, client.name, got)
			}
		}
	}
	t.Logf("what each client reports:\n%s", strings.Join(rows, "\n"))
}

// inject has all clients run the line of f at the same time, and returns a row of the table.
func (f fault) inject(t *testing.T, s *service, sessions []*session) string {
	t.Helper()
	f.begin(t, s)
	cells := make([]string, len(sessions))
	var running sync.WaitGroup
	for i, client := range sessions {
		running.Go(func() {
			started := time.Now()
			got := client.ask(f.line)
			cells[i] = cell(got, time.Since(started))
			t.Logf("%s: %s: %+v", f.name, client.name, got)
			if got.OK {
				t.Errorf("%s: %s noticed nothing: %+v", f.name, client.name, got)
			}
		})
	}
	running.Wait()
	f.end(t, s)
	return "| " + f.name + " | " + strings.Join(cells, " | ") + " |"
}

// cell is the code, with the class where the code alone tells little, and the time if it
// is one that a person notices.
func cell(got answer, took time.Duration) string {
	text := got.Code
	if slices.Contains([]string{"", "none", "0", "-1"}, text) {
		text = got.Class
	}
	if seconds := took.Round(time.Second); seconds >= 2*time.Second {
		text += fmt.Sprintf(" (%v)", seconds)
	}
	return text
}

func header(sessions []*session) string {
	var names []string
	for _, client := range sessions {
		names = append(names, client.name)
	}
	line := strings.Join(slices.Repeat([]string{"---"}, len(names)+1), " | ")
	return "| | " + strings.Join(names, " | ") + " |\n| " + line + " |"
}
