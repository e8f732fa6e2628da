package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/failover"
)

func TestOnlyWritesThatAreRefusedAgainAndAgainAreNamed(t *testing.T) {
	patch := failover.Write{Verb: "patch", Kind: failover.KindPod, Name: "shop-0"}
	remove := failover.Write{Verb: "delete", Kind: failover.KindPod, Name: "shop-0"}
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }
	refusal := func(write failover.Write, says string, seconds ...int) func(failover.Writes) failover.Writes {
		return func(w failover.Writes) failover.Writes {
			for _, s := range seconds {
				w = w.Refused(at(s), write, says)
			}
			return w
		}
	}
	done := func(write failover.Write) func(failover.Writes) failover.Writes {
		return func(w failover.Writes) failover.Writes { return w.Done(write) }
	}
	type events = []func(failover.Writes) failover.Writes
	named := func(write failover.Write, says string, since int) []failover.RefusedWrite {
		return []failover.RefusedWrite{{Write: write, Says: says, Since: at(since)}}
	}
	for name, c := range map[string]struct {
		events events
		now    int
		want   []failover.RefusedWrite
	}{
		"one refusal can be chance":               {events{refusal(patch, "no", 0)}, 30, nil},
		"two within an instant can be a restart":  {events{refusal(patch, "no", 0, 0)}, 0, nil},
		"two, and a second later it still stands": {events{refusal(patch, "no", 0, 0)}, 1, named(patch, "no", 0)},
		"since the first of them":                 {events{refusal(patch, "no", 0, 15, 30, 45)}, 50, named(patch, "no", 0)},
		"a success ends it":                       {events{refusal(patch, "no", 0, 15), done(patch)}, 16, nil},
		"after a success the count begins again":  {events{refusal(patch, "no", 0, 15), done(patch), refusal(patch, "no", 16)}, 30, nil},
		"another write's success does not":        {events{refusal(patch, "no", 0, 15), done(remove)}, 16, named(patch, "no", 0)},
		"one that is not tried any more ends":     {events{refusal(patch, "no", 0, 15)}, 76, nil},
		"the newest words count":                  {events{refusal(patch, "no", 0), refusal(patch, "quota", 9)}, 9, named(patch, "quota", 0)},
		"other figures are no other words": {
			events{refusal(patch, "read tcp 10.0.0.1:4711: reset", 0), refusal(patch, "read tcp 10.0.0.1:4712: reset", 9)}, 9,
			named(patch, "read tcp 10.0.0.1:4711: reset", 0),
		},
		"they come in one order": {
			events{refusal(patch, "no", 0, 9), refusal(remove, "no", 1, 8)}, 9,
			[]failover.RefusedWrite{{Write: remove, Says: "no", Since: at(1)}, {Write: patch, Says: "no", Since: at(0)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w failover.Writes
			for _, event := range c.events {
				w = event(w)
			}
			if diff := cmp.Diff(c.want, w.Repeated(at(c.now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWritesIsAValue(t *testing.T) {
	patch := failover.Write{Verb: "patch", Kind: failover.KindPod, Name: "shop-0"}
	one := failover.Writes{}.Refused(t0, patch, "no").Refused(t0, patch, "no")
	one.Done(patch)
	one.Refused(t0.Add(time.Second), patch, "other")
	now := t0.Add(time.Second)
	if got := one.Repeated(now); len(got) != 1 || got[0].Says != "no" {
		t.Errorf("a later value changed this one: %v", got)
	}
}

func TestTheWordsOfTheAPIServerAreOneBoundedLine(t *testing.T) {
	patch := failover.Write{Verb: "patch", Kind: failover.KindPod, Name: "shop-0"}
	says := "denied:\n\tno " + strings.Repeat("ä", 1000)
	got := failover.Writes{}.Refused(t0, patch, says).Refused(t0, patch, says).Repeated(t0.Add(time.Second))
	if len(got) != 1 || len(got[0].Says) > 500 || !strings.HasPrefix(got[0].Says, "denied: no ä") || !strings.HasSuffix(got[0].Says, "...") {
		t.Errorf("said %q", got)
	}
}
