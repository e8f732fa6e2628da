package agent

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// promising is a waiting that the ledger of version 4 asks for.
func promising(t *testing.T) (w *waiting, server *recorder, published *int) {
	t.Helper()
	server = &recorder{status: mysqlops.Status{SemiSync: mysqlops.SemiSync{Interruptions: 2}}}
	published = new(int)
	w = &waiting{
		log:   logr.Discard(),
		ops:   server,
		state: newTestBoard(),
		post: func(e authority.Event) {
			if _, ok := e.(authority.SemiSyncLost); ok {
				*published++
			}
		},
		lost:       func() {},
		endReaders: func(context.Context) error { return server.change("end readers") },
	}
	if err := w.change(t.Context(), true, 4, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if done := server.done(); !slices.Equal(done, []string{"end readers"}) {
		t.Errorf("before commits wait: %q", done)
	}
	return w, server, published
}

func TestAnInterruptionOfTheWaitingIsPublished(t *testing.T) {
	waits := mysqlops.SemiSync{
		SourceEnabled: true,
		SourceActive:  true,
		SourceStrict:  true,
		Interruptions: 2,
	}
	for name, c := range map[string]struct {
		change    func(*mysqlops.SemiSync)
		published int
	}{
		"none":                     {func(*mysqlops.SemiSync) {}, 0},
		"one that is over":         {func(s *mysqlops.SemiSync) { s.Interruptions = 3 }, 1},
		"one that goes on":         {func(s *mysqlops.SemiSync) { s.SourceEnabled = false }, 1},
		"a time limit":             {func(s *mysqlops.SemiSync) { s.SourceStrict = false }, 1},
		"status counters reset":    {func(s *mysqlops.SemiSync) { s.Interruptions = 0 }, 0},
		"it waits for nobody here": {func(s *mysqlops.SemiSync) { s.SourceActive = false }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w, server, published := promising(t)
			seen := waits
			c.change(&seen)
			if got := w.judge(t.Context(), seen, w.changed()); got != (c.published > 0) || *published != c.published {
				t.Errorf("judged %t, published %d times, want %d", got, *published, c.published)
			}
			if server.has("start waiting") != (c.published > 0) {
				t.Errorf("changes of mysqld: %v", server.done())
			}
			if got := w.state.snapshot().SemiSyncLostAt; (got == 4) != (c.published > 0) {
				t.Errorf("the state says it was lost at version %d", got)
			}
		})
	}
}

func TestWhatWasReadAcrossAChangeIsNotJudged(t *testing.T) {
	w, server, published := promising(t)
	before := w.changed()
	if err := w.change(t.Context(), true, 5, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if w.judge(t.Context(), mysqlops.SemiSync{}, before) || *published != 0 || len(server.done()) != 0 {
		t.Error("an answer from before a change was judged by what holds after it")
	}
}

// What a reader acknowledged may be ahead of the binary logs: mysqld forgets it when its source side
// is switched off, which is done as soon as the ledger does not rely on it any more.
func TestWhatAReaderAcknowledgedIsForgottenAtTheNextVersion(t *testing.T) {
	w, server, published := promising(t)
	w.foreign()
	for _, step := range []struct {
		version pair.LedgerVersion
		want    []string
	}{
		{4, []string{"start waiting"}},
		{5, []string{"stop waiting", "end readers", "start waiting"}},
		{6, []string{"start waiting"}},
	} {
		w.follow(t.Context(), authority.SetSemiSync{Waiting: true, Version: step.version})
		if done := server.done(); !slices.Equal(done, step.want) {
			t.Errorf("at version %d: %q, want %q", step.version, done, step.want)
		}
	}
	if *published != 1 || !w.on {
		t.Errorf("published %d times, on: %t", *published, w.on)
	}
}

func TestCommitsDoNotWaitWhileReadersStay(t *testing.T) {
	w, server, _ := promising(t)
	w.forget()
	server.failure = errReadersStay
	err := w.change(t.Context(), true, 5, func() error { return server.change("start waiting") })
	if !errors.Is(err, errReadersStay) || w.on || server.has("start waiting") {
		t.Errorf("%v, on: %t, did %q", err, w.on, server.done())
	}
}

func TestAPrimaryThatIsAloneDoesNotWait(t *testing.T) {
	w, server, published := promising(t)
	if err := w.change(t.Context(), false, 5, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if !w.judge(t.Context(), mysqlops.SemiSync{SourceEnabled: true}, w.changed()) || !server.has("stop waiting") || *published != 0 {
		t.Errorf("changes %v, published %d times", server.done(), *published)
	}
	w.foreign()
	if *published != 0 {
		t.Error("a foreign acknowledgement of commits that need none was published")
	}
}

// What the ledger no longer promises is given up before mysqld is asked, what it newly promises
// counts once mysqld has done it.
func TestAChangeThatFails(t *testing.T) {
	w, _, published := promising(t)
	no := errors.New("no")
	if err := w.change(t.Context(), false, 5, func() error { return no }); !errors.Is(err, no) || w.on {
		t.Errorf("%v, on: %t", err, w.on)
	}
	if err := w.change(t.Context(), true, 6, func() error { return no }); !errors.Is(err, no) || w.on {
		t.Errorf("%v, on: %t", err, w.on)
	}
	w.foreign()
	if *published != 0 || w.changed()%2 != 0 {
		t.Errorf("published %d times after %d changes", *published, w.changed())
	}
}

func TestWhatCannotBeSetRightIsAProblem(t *testing.T) {
	w, server, published := promising(t)
	server.failure = errors.New("no")
	if !w.judge(t.Context(), mysqlops.SemiSync{Interruptions: 2}, w.changed()) || *published != 1 {
		t.Errorf("published %d times", *published)
	}
	p := w.state.snapshot().Problems
	if len(p) != 1 || p[0].Code != agentapi.ProblemOwnedVariable {
		t.Errorf("problems %+v", p)
	}
}
