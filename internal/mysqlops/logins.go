package mysqlops

import (
	"context"
	"database/sql"
	"time"
)

// LoginCounts are what mysqld has counted of logins since it started, or what came between two
// such readings.
type LoginCounts struct {
	// Uptime is how long mysqld runs.
	Uptime time.Duration
	// Denied got error 1045 or 1698: a wrong password, no such account, or no TLS for an account that
	// requires it. mysqld has one number for these, and no table that tells them apart: its cache of
	// hosts would, and is empty with skip_name_resolve.
	Denied int64
	// Insecure came without TLS and got error 3159, since require_secure_transport is ON and their
	// account itself requires no TLS. Their passwords were right.
	Insecure int64
	// Connections are all, also those over the socket, and some of mysqld's own threads.
	Connections int64
	// TLS are those of Connections that asked for TLS, and Handshakes those that got it, both on the
	// port of clients.
	TLS        int64
	Handshakes int64
	// Logins are those of accounts that require TLS and are not dbpair's, refused ones included, and
	// Refused are all that were denied or met an offline server, read after them.
	Logins  int64
	Refused int64
	// Changed are the times that a session changed its user or tried to, which is one more of Logins or
	// Denied without a connection.
	Changed int64
}

// LoginCounts reads what mysqld has counted. It has no effect. It fails rather than waits for a
// change of an account that waits for the passive.
func (s *Server) LoginCounts(ctx context.Context) (LoginCounts, error) { return s.loginCounts(ctx) }

// loginCounters are in the order in which they are read: what a session adds to last is read last,
// so that no session is one of Logins, or Denied, whose handshake was not counted.
var loginCounters = []struct {
	query string
	count func(*LoginCounts) *int64
}{
	{
		query: `SELECT COALESCE(SUM(SUM_ERROR_RAISED), 0) FROM performance_schema.events_errors_summary_global_by_error
			WHERE ERROR_NUMBER IN (1045, 1698)`,
		count: func(c *LoginCounts) *int64 { return &c.Denied },
	},
	{
		query: `SELECT COALESCE(SUM(SUM_ERROR_RAISED), 0) FROM performance_schema.events_errors_summary_global_by_error
			WHERE ERROR_NUMBER = 3159`,
		count: func(c *LoginCounts) *int64 { return &c.Insecure },
	},
	{
		query: `SELECT COALESCE(SUM(TOTAL_CONNECTIONS), 0) FROM performance_schema.users WHERE USER NOT LIKE 'dbpair%' AND USER IN
			(SELECT User FROM mysql.user GROUP BY User HAVING MIN(ssl_type <> '') = 1)`,
		count: func(c *LoginCounts) *int64 { return &c.Logins },
	},
	{
		query: `SELECT COALESCE(SUM(SUM_ERROR_RAISED), 0) FROM performance_schema.events_errors_summary_global_by_error
			WHERE ERROR_NUMBER IN (1045, 1698, 3032)`,
		count: func(c *LoginCounts) *int64 { return &c.Refused },
	},
	{
		query: `SELECT COALESCE(SUM(COUNT_STAR), 0) FROM performance_schema.events_statements_summary_global_by_event_name
			WHERE EVENT_NAME = 'statement/com/Change user'`,
		count: func(c *LoginCounts) *int64 { return &c.Changed },
	},
	{
		query: statusCounter + `'Ssl_finished_accepts'`,
		count: func(c *LoginCounts) *int64 { return &c.Handshakes },
	},
	{
		query: statusCounter + `'Ssl_accepts'`,
		count: func(c *LoginCounts) *int64 { return &c.TLS },
	},
	{
		query: statusCounter + `'Connections'`,
		count: func(c *LoginCounts) *int64 { return &c.Connections },
	},
}

const statusCounter = `SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM performance_schema.global_status WHERE VARIABLE_NAME = `

func (s *Server) loginCounts(ctx context.Context) (LoginCounts, error) {
	var c LoginCounts
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var uptime int64
		if err := conn.QueryRowContext(ctx, statusCounter+`'Uptime'`).Scan(&uptime); err != nil {
			return err
		}
		c.Uptime = time.Duration(uptime) * time.Second
		for _, one := range loginCounters {
			if err := conn.QueryRowContext(ctx, one.query).Scan(one.count(&c)); err != nil {
				return err
			}
		}
		return nil
	})
	return c, wrap("count logins", err)
}

// Since is what came after an earlier reading. It is not ok when mysqld has restarted since
// then, or a counter was reset: by a new certificate, or by hand.
func (c LoginCounts) Since(before LoginCounts) (came LoginCounts, ok bool) {
	came.Uptime = c.Uptime - before.Uptime
	ok = came.Uptime >= 0
	for _, one := range loginCounters {
		n := *one.count(&c) - *one.count(&before)
		*one.count(&came) = n
		ok = ok && n >= 0
	}
	return came, ok
}

// DeniedWithoutTLS bounds how many of Denied came without TLS, by what is left of the connections
// of each kind when those are taken away that are known to have had another end.
func (c LoginCounts) DeniedWithoutTLS() (least, most int64) {
	withTLS := c.Handshakes + c.Changed
	served := max(c.Logins-c.Refused, 0) // with TLS, at least
	// More than there can be are those of an account that has begun to require TLS.
	if served <= withTLS {
		withTLS -= served
	}
	withoutTLS := max(c.Connections-c.TLS-c.Insecure+c.Changed, 0)
	least = max(c.Denied-withTLS, 0)
	most = min(c.Denied, withoutTLS)
	// Sessions that logged in while this was read make the bounds meet from the wrong sides.
	return min(least, most), max(least, most)
}
