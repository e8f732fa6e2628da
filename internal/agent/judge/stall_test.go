package judge

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestAWaitWithoutASessionIsTimed(t *testing.T) {
	type observation struct {
		at           time.Duration
		waiting      int
		acknowledged int
		session      time.Duration // what mysqld says
		want         time.Duration
	}
	cases := map[string][]observation{
		"nothing waits":           {{at: 0}, {at: time.Second}},
		"nothing is acknowledged": {{at: 0, waiting: 1}, {at: 2 * time.Second, waiting: 1, want: 2 * time.Second}},
		"commits wait and are released": {{at: 0, waiting: 1}, {at: time.Second, waiting: 1, acknowledged: 5}, {
			at:           3 * time.Second,
			waiting:      1,
			acknowledged: 5,
			want:         2 * time.Second,
		}},
		"the wait ends": {{at: 0, waiting: 1}, {at: time.Second}, {at: 2 * time.Second, waiting: 1}},
		"a session has waited for longer": {{
			at:      0,
			waiting: 1,
			session: 4 * time.Second,
			want:    4 * time.Second,
		}},
	}
	for name, observations := range cases {
		t.Run(name, func(t *testing.T) {
			var s Stall
			for i, o := range observations {
				got := s.OldestWait(mysqlops.SemiSync{
					WaitSessions: o.waiting, Acknowledged: o.acknowledged, OldestWait: o.session,
				}, authority.Instant(time.Hour).Add(o.at))
				if got != o.want {
					t.Errorf("observation %d: %s, want %s", i, got, o.want)
				}
			}
		})
	}
}
