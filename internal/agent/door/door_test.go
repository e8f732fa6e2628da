package door

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what has to happen.
const patience = 30 * time.Second

// long is a time of holding that no test waits for.
const long = time.Hour

// fixture is a door of shop-1, whose peer is the holder at epoch 1, and a server behind it.
type fixture struct {
	*Door
	t        *testing.T
	address  string
	server   *net.TCPListener
	dials    atomic.Int64
	late     atomic.Int64 // by how much the door's clock is ahead
	mu       sync.Mutex
	outcomes map[Outcome]int
}

func open(t *testing.T, p Policy) *fixture {
	t.Helper()
	f := &fixture{t: t, outcomes: map[Outcome]int{}}
	server, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.server = server.(*net.TCPListener)
	dial := DialTo(server.Addr().String())
	f.Door = New(Config{
		Self:    "shop-1",
		Message: "pair shop accepts no writes at the moment",
		Now:     func() authority.Instant { return process.Now() + authority.Instant(f.late.Load()) },
		Dial: func(ctx context.Context) (*net.TCPConn, error) {
			f.dials.Add(1)
			return dial(ctx)
		},
		DialForward: dialForward,
		Report: func(o Outcome, _ time.Duration) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.outcomes[o]++
		},
	})
	f.Configure(p)
	f.Follow(holder(1, "shop-0", authority.Shut))
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = f.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-served
		f.Close()
		_ = server.Close()
	})
	return f
}

// holder is what the machine of shop-1 takes for true; nobody without a name.
func holder(e pair.Epoch, name pair.MemberName, serving authority.Serving) authority.View {
	v := authority.View{
		Serving:    serving,
		Durable:    authority.Durable{Known: e},
		Holder:     pair.Holder{Member: name},
		HolderRead: true,
	}
	if name == "" {
		v.Holder = pair.Holder{}
	}
	if serving == authority.Serves {
		v.OpenEpoch = e
	}
	return v
}

// revoke is the begin of a failover, and appoint its end.
func (f *fixture) revoke()  { f.Follow(holder(2, "", authority.Shut)) }
func (f *fixture) appoint() { f.Follow(holder(3, "shop-1", authority.Serves)) }

func (f *fixture) dial() *net.TCPConn {
	f.t.Helper()
	conn, err := net.DialTimeout("tcp", f.address, patience)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

func (f *fixture) await(what string, fine func(State) bool) {
	f.t.Helper()
	for end := time.Now().Add(patience); !fine(f.State()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("waited in vain until %s: %+v, outcomes %v", what, f.State(), f.count())
		}
	}
}

func (f *fixture) count() map[Outcome]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[Outcome]int{}
	for o, n := range f.outcomes {
		out[o] = n
	}
	return out
}

func (f *fixture) awaitOutcome(o Outcome, n int) {
	f.t.Helper()
	f.await(string(o), func(State) bool { return f.count()[o] == n })
}

func (f *fixture) held(n int) {
	f.t.Helper()
	f.await("clients are held", func(s State) bool { return s.Held == n })
}

// accept takes the connection that the door relays.
func (f *fixture) accept() *net.TCPConn {
	f.t.Helper()
	_ = f.server.SetDeadline(time.Now().Add(patience))
	conn, err := f.server.AcceptTCP()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func (f *fixture) refused(conn net.Conn) {
	f.t.Helper()
	text, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(text, []byte("accepts no writes")) {
		f.t.Errorf("want the error packet, got %q, %v", text, err)
	}
}

func TestAHeldClientIsRelayedWhenMysqldIsOpenAndReleased(t *testing.T) {
	for name, steps := range map[string][]func(*fixture){
		"opened first":   {(*fixture).appoint, func(f *fixture) { f.Release(3) }},
		"released first": {func(f *fixture) { f.Release(3) }, (*fixture).appoint},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
			f.revoke()
			client := f.dial()
			f.held(1)
			steps[0](f)
			f.held(1)
			if n := f.dials.Load(); n != 0 {
				t.Fatalf("%d connections to mysqld before both were true", n)
			}
			steps[1](f)
			server := f.accept()
			if _, err := server.Write([]byte("greeting")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 8)
			if _, err := io.ReadFull(client, got); err != nil || string(got) != "greeting" {
				t.Fatalf("got %q, %v", got, err)
			}
			f.await("it is relayed", func(s State) bool { return s.Relayed == 1 && s.Held == 0 })
			if n := f.count()[Relayed]; n != 1 || f.State().Longest <= 0 || f.State().Waited != 1 {
				t.Errorf("%d relayed, state %+v", n, f.State())
			}
		})
	}
}

func TestNobodyIsRelayedAtAnotherEpochThanThatOfTheRelease(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.Release(2)
	f.revoke()
	f.dial()
	f.held(1)
	f.appoint() // at epoch 3
	f.Release(4)
	f.held(1)
	if n := f.dials.Load(); n != 0 {
		t.Errorf("%d connections to mysqld", n)
	}
}

func TestBytesPassUnchangedBothWaysAndHalfClosed(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.appoint()
	f.Release(3)
	client := f.dial()
	server := f.accept()
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	var received []byte
	var work sync.WaitGroup
	work.Go(func() {
		_, _ = io.Copy(client, bytes.NewReader(sent))
		_ = client.CloseWrite()
	})
	work.Go(func() {
		received, _ = io.ReadAll(server)
		_, _ = server.Write(received)
		_ = server.Close()
	})
	back, err := io.ReadAll(client)
	work.Wait()
	if err != nil || !bytes.Equal(received, sent) || !bytes.Equal(back, sent) {
		t.Errorf("%d bytes sent, %d received, %d back, %v", len(sent), len(received), len(back), err)
	}
	f.await("the relay has ended", func(s State) bool { return s.Relayed == 0 })
}

func TestTheTimeOfHoldingIsOneForAllClients(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.revoke()
	first := f.dial()
	f.held(1)
	f.late.Store(int64(long - 50*time.Millisecond))
	second := f.dial()
	f.held(2)
	f.change(func(*Gate) {}) // asks again, as a change of anything does
	f.refused(first)
	f.refused(second)
	f.refused(f.dial())
	f.awaitOutcome(RefusedTimeout, 2)
	f.Follow(holder(3, "", authority.Shut)) // the same change goes on
	f.refused(f.dial())
}

func TestHoldingBeginsAgainWithTheNextChangeOfRoles(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: 20 * time.Millisecond, MaxHeld: 10})
	f.revoke()
	f.refused(f.dial())
	timedOut := f.count()[RefusedTimeout] // none when the client came after the 20 ms
	f.appoint()
	f.Configure(Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.Follow(holder(3, "shop-1", authority.Killing)) // its mysqld dies
	f.dial()
	f.held(1)
	f.Follow(holder(4, "shop-0", authority.Stopped)) // and the other one takes over
	f.awaitOutcome(RefusedTimeout, timedOut+1)
}

func TestAClientBeyondMaxHeldIsRefusedAtOnce(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 2})
	f.revoke()
	f.dial()
	f.dial()
	f.held(2)
	f.refused(f.dial())
	f.awaitOutcome(RefusedMaxHeld, 1)
	f.held(2)
}

func TestAHeldClientThatHangsUpIsForgotten(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 1})
	f.revoke()
	for i, hangUp := range []func(*net.TCPConn){
		func(c *net.TCPConn) { _ = c.Close() },
		func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
	} {
		client := f.dial()
		f.held(1)
		hangUp(client)
		f.awaitOutcome(ClientGone, i+1)
		f.held(0)
	}
}

func TestAClientThatSpeaksFirstIsNotHeld(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 1})
	f.revoke()
	client := f.dial()
	f.held(1)
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	f.refused(client)
	f.awaitOutcome(ClientSpeaks, 1)
}

func TestAClosedMysqldGetsNoClientAndLosesThoseItHas(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.appoint()
	f.Release(3)
	client := f.dial()
	server := f.accept()
	f.awaitOutcome(Relayed, 1)
	f.Follow(holder(3, "shop-1", authority.Closing))
	dials := f.dials.Load()
	f.dial()
	f.held(1)
	if f.dials.Load() != dials {
		t.Error("a client was let through to a mysqld that closes")
	}
	// mysqld ends its session: its last words arrive.
	_, _ = server.Write([]byte("killed"))
	_ = server.Close()
	if text, err := io.ReadAll(client); err != nil || string(text) != "killed" {
		t.Errorf("got %q, %v", text, err)
	}
	f.await("the relay has ended", func(s State) bool { return s.Relayed == 0 })
}

func TestMysqldThatTakesNoConnectionIsAnError(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.revoke()
	client := f.dial()
	f.held(1)
	_ = f.server.Close()
	f.Release(3)
	f.appoint()
	f.refused(client)
	f.awaitOutcome(MysqldUnreachable, 1)
}

// TestChangesUnderManyClients has clients come and go while the gate opens and closes, for the
// race detector, and counts that each of them was accounted for.
func TestChangesUnderManyClients(t *testing.T) {
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 40})
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := f.server.AcceptTCP()
			if err != nil {
				return
			}
			work.Go(func() {
				_, _ = conn.Write([]byte("hello"))
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			})
		}
	})
	work.Go(func() {
		for e := pair.Epoch(2); ; e += 2 {
			select {
			case <-stop:
				return
			default:
			}
			f.Follow(holder(e, "", authority.Shut))
			f.Release(e + 1)
			f.Follow(holder(e+1, "shop-1", authority.Serves))
			f.State()
		}
	})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for range 60 {
				conn, err := net.DialTimeout("tcp", f.address, patience)
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					_ = conn.SetReadDeadline(time.Now().Add(patience))
					_, _ = io.ReadFull(conn, make([]byte, 5))
				}
				_ = conn.Close()
			}
		})
	}
	clients.Wait()
	close(stop)
	_ = f.server.Close()
	work.Wait()
	f.Follow(holder(1<<30, "shop-0", authority.Shut))
	f.await("everyone has left", func(s State) bool { return s.Held == 0 && s.Relayed == 0 })
}

func TestAClientReadsWhyItIsTurnedAway(t *testing.T) {
	f := open(t, Policy{Mode: Error})
	f.revoke()
	db, err := sql.Open("mysql", "app:x@tcp("+f.address+")/app?timeout=1m")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var refused *mysql.MySQLError
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := db.PingContext(ctx); !errors.As(err, &refused) {
		t.Fatalf("want an error packet, got %v", err)
	}
	if refused.Number != errorNumber || !strings.Contains(refused.Message, "pair shop") {
		t.Errorf("got %d %q", refused.Number, refused.Message)
	}
}

func TestAResetIsAReset(t *testing.T) {
	f := open(t, Policy{Mode: Reset})
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		if errors.Is(err, syscall.ECONNRESET) {
			return
		}
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("want a reset, got %v", err)
	}
}

func TestSilentClientsKeepNobodyOut(t *testing.T) {
	f := open(t, Policy{Mode: Error})
	for range 2 * lingers {
		f.dial()
	}
	f.refused(f.dial())
}
