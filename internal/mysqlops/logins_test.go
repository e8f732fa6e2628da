package mysqlops_test

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestDeniedLoginsWithoutTLSAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		came        mysqlops.LoginCounts
		least, most int64
	}{
		"nobody": {},
		"all without TLS, beside sessions that were served": {
			came: mysqlops.LoginCounts{
				Denied:      60,
				Connections: 565,
				TLS:         500,
				Handshakes:  500,
				Logins:      560,
				Refused:     60,
			},
			least: 60,
			most:  60,
		},
		"all with TLS, beside sessions that were served and some of the agent": {
			came: mysqlops.LoginCounts{
				Denied:      60,
				Connections: 562,
				TLS:         560,
				Handshakes:  560,
				Logins:      560,
				Refused:     60,
			},
			least: 0,
			most:  2,
		},
		"sessions of accounts that do not require TLS leave it open": {
			came: mysqlops.LoginCounts{
				Denied:      60,
				Connections: 600,
				TLS:         300,
				Handshakes:  300,
				Refused:     60,
			},
			least: 0,
			most:  60,
		},
		"sessions that change their user leave it open, too": {
			came: mysqlops.LoginCounts{
				Denied:      5,
				Connections: 6,
				TLS:         6,
				Handshakes:  6,
				Logins:      105,
				Refused:     5,
				Changed:     99,
			},
			least: 0,
			most:  5,
		},
		"an account that has begun to require TLS brings all that it ever was served": {
			came: mysqlops.LoginCounts{
				Denied:      4,
				Connections: 9,
				TLS:         7,
				Handshakes:  7,
				Logins:      1000,
				Refused:     4,
			},
			least: 0,
			most:  2,
		},
		"those that require_secure_transport refused were not denied": {
			came: mysqlops.LoginCounts{
				Denied:      3,
				Insecure:    40,
				Connections: 43,
				TLS:         3,
				Handshakes:  3,
			},
			least: 0,
			most:  0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if least, most := c.came.DeniedWithoutTLS(); least != c.least || most != c.most {
				t.Errorf("%d to %d without TLS, want %d to %d", least, most, c.least, c.most)
			}
		})
	}
}

func TestCountersThatWereResetAreNoDifference(t *testing.T) {
	before := mysqlops.LoginCounts{
		Uptime:      time.Minute,
		Denied:      3,
		Connections: 9,
		TLS:         5,
	}
	later := before
	later.Uptime = 2 * time.Minute
	later.Denied = 4
	restarted := later
	restarted.Uptime = time.Second
	renewed := later
	renewed.TLS = 0
	for name, c := range map[string]struct {
		now mysqlops.LoginCounts
		ok  bool
	}{
		"later":             {later, true},
		"a new mysqld":      {restarted, false},
		"a new certificate": {renewed, false},
	} {
		came, ok := c.now.Since(before)
		if ok != c.ok || (ok && (came.Denied != 1 || came.Connections != 0)) {
			t.Errorf("%s: %+v, %t", name, came, ok)
		}
	}
}
