package mysqlops

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"time"
)

// stuckLogin is a mysqld at which logins hang, as a waiting CREATE USER makes them.
type stuckLogin struct{ asked chan struct{} }

func (s stuckLogin) Connect(ctx context.Context) (driver.Conn, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s stuckLogin) Driver() driver.Driver { return nil }

func TestALoginThatHangsDoesNotHoldUpTheFence(t *testing.T) {
	login := stuckLogin{asked: make(chan struct{}, fenceSessions)}
	f := &fencePath{db: sql.OpenDB(login)}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	warmed := make(chan error, 1)
	go func() { warmed <- f.warm(ctx) }()
	<-login.asked
	taken := make(chan struct{})
	go func() {
		f.giveBack(f.take())
		close(taken)
	}()
	select {
	case <-taken:
	case <-time.After(time.Minute):
		t.Error("the fence waits for a login")
	}
	cancel()
	if err := <-warmed; !errors.Is(err, context.Canceled) {
		t.Errorf("warmed: %v", err)
	}
}
