package mysqlops

import (
	"context"
	"fmt"
)

// InterruptApplier stops the applier also in the middle of a transaction, which is rolled back
// and stays in the relay log: a long ALTER, or one that waits for a lock, is not waited for.
// Transactions that are complete stay. It is idempotent, and a member without a channel is
// success. With ErrDeadline mysqld still rolls back: call it again.
func (s *Server) InterruptApplier(ctx context.Context) error {
	due := func(context.Context) (bool, error) { return true, nil }
	return wrap("interrupt the applier", s.stopApplierBy(ctx, due, coordinatorThread, workerThread))
}

// DiscardReceived gives up the relay log with everything in it that was not applied: what was
// not executed does not count as received any more. The channel stays configured, and an
// error of its applier is gone. What is given up cannot be received again from a source that
// is gone: save it before.
//
// It fails with ErrReceiving while the receiver runs and with ErrApplying while the applier
// does. A member without a channel is success. It is idempotent.
func (s *Server) DiscardReceived(ctx context.Context) error {
	const operation = "discard the relay log"
	status, err := s.Status(ctx)
	if err != nil {
		return wrap(operation, err)
	}
	switch {
	case !status.Channel.Configured:
		return nil
	case status.Channel.Receiver != ReceiverStopped:
		return wrap(operation, ErrReceiving)
	case status.Channel.ApplierRunning || !status.Applying.IsEmpty():
		return fmt.Errorf("%s: %w: %s", operation, ErrApplying, status.Applying)
	}
	return s.emptyRelayLog(ctx, operation)
}
