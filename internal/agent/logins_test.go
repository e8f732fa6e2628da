package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

// countingLogins is a mysqld that counts logins.
type countingLogins struct {
	counts mysqlops.LoginCounts
	err    error
}

func (c *countingLogins) LoginCounts(context.Context) (mysqlops.LoginCounts, error) {
	return c.counts, c.err
}

// TestDeniedClientsAreLoggedOnceALook: how many, how many of them without TLS, and nothing when
// none was.
func TestDeniedClientsAreLoggedOnceALook(t *testing.T) {
	server := &countingLogins{counts: mysqlops.LoginCounts{
		Uptime:      time.Hour,
		Denied:      1000,
		Connections: 9000,
	}}
	var lines []string
	refused := map[string]int64{}
	l := &logins{
		log: funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}),
		ops: server,
		refused: func(reason string, n int64) {
			refused[reason] += n
		},
	}
	for _, step := range []struct {
		what             string
		connections, tls int64
		denied, insecure int64
		err              error
		restarted        bool
		want             string // what the one line has; empty for none
	}{
		{what: "the first look begins to count"},
		{
			what:        "connections that are served",
			connections: 70,
			tls:         70,
		},
		{
			what:        "without TLS",
			connections: 60,
			denied:      60,
			want:        `"` + messageDeniedWithout + `" "clients"=60 "withoutTLS"="60" "in"="1m0s"`,
		},
		{
			what:        "with TLS",
			connections: 60,
			tls:         60,
			denied:      50,
			want:        `"` + messageDeniedTLS + `" "clients"=50 "withoutTLS"="0" "in"="1m0s"`,
		},
		{
			what:        "either",
			connections: 60,
			tls:         50,
			denied:      55,
			want:        `"` + messageDenied + `" "clients"=55 "withoutTLS"="5 to 10" "in"="1m0s"`,
		},
		{
			what:        "require_secure_transport",
			connections: 7,
			insecure:    7,
			want:        `"` + messageInsecure + `" "clients"=7 "in"="1m0s"`,
		},
		{
			what:        "mysqld does not answer",
			connections: 5,
			denied:      5,
			err:         errors.New("gone"),
		},
		{what: "a new mysqld, whose first minute is not known", restarted: true},
		{
			what:        "without TLS again",
			connections: 1,
			denied:      1,
			want:        `"` + messageDeniedWithout + `" "clients"=1 "withoutTLS"="1" "in"="1m0s"`,
		},
	} {
		lines = nil
		server.err = step.err
		server.counts.Uptime += time.Minute
		server.counts.Connections += step.connections
		server.counts.TLS += step.tls
		server.counts.Handshakes += step.tls
		server.counts.Denied += step.denied
		server.counts.Insecure += step.insecure
		if step.restarted {
			server.counts = mysqlops.LoginCounts{
				Uptime:      time.Minute,
				Denied:      3,
				Connections: 3,
			}
		}
		l.look(t.Context())
		got := strings.Join(lines, "\n")
		if step.want == "" && got != "" {
			t.Errorf("%s: logs %s", step.what, got)
		}
		if !strings.Contains(got, step.want) || len(lines) > 1 {
			t.Errorf("%s: logs %q, want %s", step.what, got, step.want)
		}
	}
	want := map[string]int64{refusedDenied: 166, refusedInsecure: 7}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("the metric (-want +got):\n%s", diff)
	}
}
