package agentwatch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/failover"
)

// errStranger is wrapped when something answered that is not the agent asked for.
var errStranger = errors.New("another agent answered")

func identify(t Target, s agentapi.State) error {
	switch {
	case s.PairUID != t.PairUID:
		return fmt.Errorf("%w: it serves pair %s, not %s", errStranger, s.PairUID, t.PairUID)
	case s.Member != t.Member || s.PodUID != t.PodUID:
		return fmt.Errorf("%w: it is %s/%s, not %s/%s", errStranger, s.Member, s.PodUID, t.Member, t.PodUID)
	}
	return nil
}

// classify says how an attempt ended. Refused, reset and timed out are different facts:
// the first says that the machine lives, the last says nothing.
func classify(err error) failover.Reach {
	var (
		refusal  *agentclient.Refusal
		timeout  net.Error
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		verify   *tls.CertificateVerificationError
		alert    tls.AlertError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failover.Refused
	case errors.As(err, &refusal), errors.Is(err, errStranger),
		errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &hostname),
		errors.As(err, &verify), errors.As(err, &alert):
		return failover.BadAnswer
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return failover.TimedOut
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		return failover.Reset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return failover.TimedOut
	}
	return failover.BadAnswer
}
