package agentwatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

var shop = types.NamespacedName{Namespace: "db", Name: "shop"}

func target(uid pair.PodUID) Target {
	return Target{
		Pair:     shop,
		PairUID:  "u1",
		Member:   "shop-0",
		PodUID:   uid,
		IP:       "192.0.2.1",
		Interval: 100 * time.Millisecond,
	}
}

// agent answers with whatever the test puts there.
type agent struct {
	mu    sync.Mutex
	state agentapi.State
	err   error
	asked int
}

func (a *agent) State(context.Context, int64, time.Duration, bool) (agentapi.State, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return a.state, a.err
}

func (a *agent) set(f func(*agent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if ok() {
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
	t.Fatalf("never came true: %s", what)
}

func TestWatcherKeepsTheLastAnswerAndTheBeginningOfSilence(t *testing.T) {
	defer goleak.VerifyNone(t)
	a := &agent{state: agentapi.State{Revision: 1, PairUID: "u1", Member: "shop-0", PodUID: "p1"}}
	told := make(chan types.NamespacedName, 100)
	w := New(func(Target) Stater { return a }, time.Now, func(n types.NamespacedName) { told <- n })
	defer w.Forget(shop)
	w.Sync(t.Context(), shop, []Target{target("p1")})
	if got := <-told; got != shop {
		t.Fatalf("told about %v", got)
	}
	f := w.Facts(shop, "shop-0", "p1")
	if f.Reach != failover.Answered || f.State == nil || f.State.Revision != 1 {
		t.Fatalf("facts = %+v", f)
	}
	a.set(func(a *agent) { a.err = syscall.ECONNREFUSED })
	<-told
	silent := w.Facts(shop, "shop-0", "p1")
	if silent.Reach != failover.Refused || silent.State == nil || silent.SilentSince.Before(f.SilentSince) {
		t.Fatalf("facts after a refusal = %+v", silent)
	}
	eventually(t, "asked again", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.asked > 5 })
	if again := w.Facts(shop, "shop-0", "p1"); !again.SilentSince.Equal(silent.SilentSince) {
		t.Errorf("the beginning of silence moved from %s to %s", silent.SilentSince, again.SilentSince)
	}
	if len(told) != 0 {
		t.Errorf("told %d times about a silence that went on", len(told))
	}
	if other := w.Facts(shop, "shop-0", "p2"); other.Reach != failover.NotTried || other.State != nil {
		t.Errorf("another pod got the facts %+v", other)
	}
}

func TestWatcherStartsAgainForAnotherPod(t *testing.T) {
	defer goleak.VerifyNone(t)
	a := &agent{state: agentapi.State{Revision: 1, PairUID: "u1", Member: "shop-0", PodUID: "p1"}}
	w := New(func(Target) Stater { return a }, time.Now, func(types.NamespacedName) {})
	w.Sync(t.Context(), shop, []Target{target("p1")})
	eventually(t, "heard", func() bool { return w.Facts(shop, "shop-0", "p1").Reach == failover.Answered })
	w.Sync(t.Context(), shop, []Target{target("p2")})
	eventually(t, "the old pod's answer is not the new one's", func() bool {
		return w.Facts(shop, "shop-0", "p2").Reach == failover.BadAnswer
	})
	if f := w.Facts(shop, "shop-0", "p2"); f.State != nil {
		t.Errorf("a stranger's state was kept: %+v", f.State)
	}
	w.Forget(shop)
	if f := w.Facts(shop, "shop-0", "p2"); f.Reach != failover.NotTried {
		t.Errorf("facts after Forget = %+v", f)
	}
}

func TestAnotherRevisionIsToldAndTheSameIsNot(t *testing.T) {
	defer goleak.VerifyNone(t)
	a := &agent{state: agentapi.State{Revision: 1, PairUID: "u1", Member: "shop-0", PodUID: "p1"}}
	told := make(chan types.NamespacedName, 100)
	w := New(func(Target) Stater { return a }, time.Now, func(n types.NamespacedName) { told <- n })
	defer w.Forget(shop)
	w.Sync(t.Context(), shop, []Target{target("p1")})
	<-told
	eventually(t, "asked again", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.asked > 3 })
	if len(told) != 0 {
		t.Fatalf("told %d times about one revision", len(told))
	}
	a.set(func(a *agent) { a.state.Revision = 2 })
	<-told
}

// polled holds its answers back until there is news, as an agent does.
type polled struct {
	news  chan int64
	asked chan struct{}
}

func (p polled) State(ctx context.Context, since int64, _ time.Duration, _ bool) (agentapi.State, error) {
	s := agentapi.State{Revision: since, PairUID: "u1", Member: "shop-0", PodUID: "p1"}
	select {
	case p.asked <- struct{}{}:
	case <-ctx.Done():
		return s, ctx.Err()
	}
	select {
	case s.Revision = <-p.news:
	case <-ctx.Done():
		return s, ctx.Err()
	}
	return s, nil
}

// A failover is a row of news, each of which something waits for.
func TestARowOfNewsIsNotHeldUp(t *testing.T) {
	defer goleak.VerifyNone(t)
	p := polled{news: make(chan int64), asked: make(chan struct{})}
	// The pause that an agent gets which does not hold its answers back would end the test.
	slow := target("p1")
	slow.Interval = time.Hour
	w := New(func(Target) Stater { return p }, time.Now, func(types.NamespacedName) {})
	defer w.Forget(shop)
	w.Sync(t.Context(), shop, []Target{slow})
	for n := range int64(quickMost) {
		select {
		case <-p.asked:
		case <-time.After(time.Minute):
			t.Fatalf("after %d news in a row no question came", n)
		}
		p.news <- n + 1
	}
	eventually(t, "the last of the news is heard", func() bool {
		f := w.Facts(shop, "shop-0", "p1")
		return f.State != nil && f.State.Revision == quickMost
	})
}

func TestAnAgentThatHoldsNothingBackIsAskedSlowly(t *testing.T) {
	defer goleak.VerifyNone(t)
	a := &agent{state: agentapi.State{Revision: 1, PairUID: "u1", Member: "shop-0", PodUID: "p1"}}
	slow := target("p1")
	slow.Interval = time.Hour
	began := time.Now() // the watch's clock stands still: no answer takes long
	w := New(func(Target) Stater { return a }, func() time.Time { return began }, func(types.NamespacedName) {})
	defer w.Forget(shop)
	w.Sync(t.Context(), shop, []Target{slow})
	asked := func() int { a.mu.Lock(); defer a.mu.Unlock(); return a.asked }
	eventually(t, "asked until it is too much", func() bool { return asked() > quickMost })
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); runtime.Gosched() {
		if n := asked(); n > quickMost+1 {
			t.Fatalf("asked %d times, the pause should have come after %d", n, quickMost+1)
		}
	}
}

func TestClassify(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want failover.Reach
	}{
		"refused":                {fmt.Errorf("dial: %w", syscall.ECONNREFUSED), failover.Refused},
		"reset":                  {fmt.Errorf("read: %w", syscall.ECONNRESET), failover.Reset},
		"closed in the middle":   {io.ErrUnexpectedEOF, failover.Reset},
		"deadline":               {fmt.Errorf("get: %w", context.DeadlineExceeded), failover.TimedOut},
		"no route":               {syscall.EHOSTUNREACH, failover.TimedOut},
		"the agent said no":      {&agentclient.Refusal{}, failover.BadAnswer},
		"another agent":          {identify(target("p1"), agentapi.State{PairUID: "u2"}), failover.BadAnswer},
		"anything that is not a": {errors.New("garbage"), failover.BadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			if got := classify(tc.err); got != tc.want {
				t.Errorf("classify(%v) = %s, want %s", tc.err, got, tc.want)
			}
		})
	}
}
