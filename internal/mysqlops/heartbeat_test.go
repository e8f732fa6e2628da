package mysqlops

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"
	"time"
)

// muteReplica is a mysqld whose commits wait for an acknowledgement that does not come.
type muteReplica struct{ waiting chan struct{} }

func (m muteReplica) Connect(context.Context) (driver.Conn, error) { return m, nil }
func (m muteReplica) Driver() driver.Driver                        { return nil }
func (m muteReplica) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (m muteReplica) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (m muteReplica) Close() error                                 { return nil }

func (m muteReplica) ExecContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	if !strings.HasPrefix(query, "INSERT") {
		return driver.ResultNoRows, nil
	}
	m.waiting <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestHeartbeatsThatWaitLeaveRoomForLooks: how long commits have waited, by which the
// passive counts as lost, is read on a session of the same pool.
func TestHeartbeatsThatWaitLeaveRoomForLooks(t *testing.T) {
	mute := muteReplica{waiting: make(chan struct{}, maxPendingHeartbeats)}
	pool := sql.OpenDB(mute)
	pool.SetMaxOpenConns(poolSessions)
	s := &Server{cfg: Config{Timeouts: Timeouts{Read: 30 * time.Second, Change: time.Minute}}, pool: pool, heartbeats: make(chan struct{}, maxPendingHeartbeats)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, maxPendingHeartbeats)
	for range maxPendingHeartbeats {
		go func() {
			_ = s.CommitHeartbeat(ctx, 0)
			done <- struct{}{}
		}()
	}
	for range maxPendingHeartbeats {
		<-mute.waiting
	}
	if err := s.Ping(ctx); err != nil {
		t.Errorf("beside heartbeats that wait: %v", err)
	}
	cancel()
	for range maxPendingHeartbeats {
		<-done
	}
}
