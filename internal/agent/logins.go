package agent

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

// logins tells the log how many clients mysqld turned away, and how many of them came without
// TLS: a client without TLS for an account that requires it gets the error of one with a wrong
// password, and mysqld's own log has neither.
type logins struct {
	log logr.Logger
	ops loginServer
	// refused counts clients for the metric.
	refused func(reason string, n int64)

	before *mysqlops.LoginCounts
}

// loginServer is what logins need of mysqld.
type loginServer interface {
	LoginCounts(ctx context.Context) (mysqlops.LoginCounts, error)
}

// Why mysqld refused a login.
const (
	refusedDenied   = "access_denied"
	refusedInsecure = "insecure_transport"
)

// The messages of the log. docs/clients.md names them.
const (
	messageDenied        = "clients were denied: a wrong password, no such account, or no TLS for an account that requires it"
	messageDeniedTLS     = "clients with TLS were denied: a wrong password, or no such account"
	messageDeniedWithout = "clients without TLS were denied: the account requires TLS, or the password was wrong too"
	messageInsecure      = "clients without TLS were refused: require_secure_transport is ON; their passwords were right"
)

// look logs what came since the look before, if anything did. The first one begins to count.
func (l *logins) look(ctx context.Context) {
	now, err := l.ops.LoginCounts(ctx)
	if err != nil {
		l.log.V(1).Info("cannot count logins", "reason", err.Error())
		return
	}
	before := l.before
	l.before = &now
	if before == nil {
		return
	}
	came, ok := now.Since(*before)
	if !ok {
		return
	}
	if came.Denied > 0 {
		l.refused(refusedDenied, came.Denied)
		least, most := came.DeniedWithoutTLS()
		l.log.Info(deniedMessage(came.Denied, least, most), "clients", came.Denied, "withoutTLS", span(least, most), "in", came.Uptime.String())
	}
	if came.Insecure > 0 {
		l.refused(refusedInsecure, came.Insecure)
		l.log.Info(messageInsecure, "clients", came.Insecure, "in", came.Uptime.String())
	}
}

func deniedMessage(denied, least, most int64) string {
	switch {
	case least == denied:
		return messageDeniedWithout
	case most == 0:
		return messageDeniedTLS
	}
	return messageDenied
}

// span is a number that is known within bounds.
func span(least, most int64) string {
	if least == most {
		return fmt.Sprint(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}
