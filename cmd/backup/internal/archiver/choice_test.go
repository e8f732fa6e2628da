package archiver

import (
	"errors"
	"testing"

	"github.com/dbpair/dbpair/internal/gtid"
)

const (
	one = "00000000-0000-4000-8000-000000000001"
	two = "00000000-0000-4000-8000-000000000002"
)

func set(t *testing.T, text string) gtid.Set {
	t.Helper()
	parsed, err := gtid.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// seen is a member with 100 transactions, of which it has removed the first 10.
func seen(t *testing.T) state {
	t.Helper()
	return state{
		uuid:     one,
		executed: set(t, one+":1-100"),
		purged:   set(t, one+":1-10"),
	}
}

func seenPassive(t *testing.T) sight {
	t.Helper()
	s := seen(t)
	s.replica = true
	s.receiving = true
	return sight{state: s}
}

func seenPrimary(t *testing.T, free bool) sight {
	t.Helper()
	s := seen(t)
	s.open = true
	return sight{state: s, free: free}
}

func TestWhichMemberMayBeRead(t *testing.T) {
	closed := seenPrimary(t, true)
	closed.open = false
	opened := seenPassive(t)
	opened.open = true
	single := seenPassive(t)
	single.replica = false
	silent := seenPassive(t)
	silent.receiving = false
	leftover := seenPrimary(t, true)
	leftover.replica = true
	for name, c := range map[string]struct {
		seen sight
		want error
	}{
		"a passive":                                         {seenPassive(t), nil},
		"a passive that has lost its source":                {silent, nil},
		"a primary whose commits wait":                      {seenPrimary(t, false), errOpen},
		"a primary whose commits wait for nobody":           {seenPrimary(t, true), nil},
		"such a primary with a channel of an earlier role":  {leftover, nil},
		"such a primary that was closed":                    {closed, errNotOpen},
		"a passive that was opened while it was read":       {opened, errOpen},
		"a closed member that replicates from no other one": {single, errNoReplica},
	} {
		if got := c.seen.fit(); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestThePrimaryIsReadWhileItIsAlone(t *testing.T) {
	const nobody = -1
	waits := seenPrimary(t, false)
	alone := seenPrimary(t, true)
	passive := seenPassive(t)
	behind := seenPassive(t)
	behind.executed = set(t, one+":1-50")
	behind.receiving = false
	copied := seenPassive(t)
	copied.purged = copied.executed
	purged := seenPrimary(t, true)
	purged.purged = set(t, one+":1-90")
	promoted := seenPrimary(t, true)
	promoted.executed = set(t, one+":1-50,"+two+":1")
	behindAndWhole := behind
	behindAndWhole.purged = gtid.Set{}
	for name, c := range map[string]struct {
		seen     []sight
		archived string
		fresh    bool
		want     int
	}{
		"nobody answers": {nil, one + ":1-60", false, nobody},
		"a passive, and a primary that waits for it":       {[]sight{waits, passive}, one + ":1-60", false, 1},
		"a primary that waits, without a passive":          {[]sight{waits}, one + ":1-60", false, nobody},
		"a primary that is alone":                          {[]sight{alone}, one + ":1-60", false, 0},
		"a primary that is alone, and a passive behind it": {[]sight{behind, alone}, one + ":1-40", false, 1},
		"the passive lacks what is archived":               {[]sight{behind, alone}, one + ":1-60", false, 1},
		"the passive was copied":                           {[]sight{alone, copied}, one + ":1-60", false, 0},
		"the primary has removed what the passive has":     {[]sight{purged, passive}, one + ":1-60", false, 1},
		"the passive has it and lacks what is archived":    {[]sight{purged, behindAndWhole}, one + ":1-60", false, 0},
		"both have removed it":                             {[]sight{purged, copied}, one + ":1-60", false, 0},
		"the archive begins":                               {[]sight{purged, passive}, "", true, 0},
		"the primary has given up what is archived":        {[]sight{promoted, passive}, one + ":1-60", false, 0},
		"only a passive that lacks what is archived":       {[]sight{behind}, one + ":1-60", false, 0},
	} {
		if got := pick(c.seen, set(t, c.archived), c.fresh); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A moment at which nothing is missing is known while a primary that is alone is read, whatever is
// left of a channel, and not from a passive that has lost its source.
func TestWhenWhatAMemberHasIsAllThereIs(t *testing.T) {
	leftover := seenPrimary(t, true)
	leftover.replica = true
	silent := seenPassive(t)
	silent.receiving = false
	for name, c := range map[string]struct {
		seen sight
		want bool
	}{
		"a passive":                          {seenPassive(t), true},
		"a passive that has lost its source": {silent, false},
		"a primary":                          {seenPrimary(t, true), true},
		"a primary with a channel":           {leftover, true},
	} {
		if got := c.seen.current(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
