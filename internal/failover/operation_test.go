package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestOperationOfAFormerPair(t *testing.T) {
	for name, c := range map[string]struct {
		uid     pair.UID
		created time.Time
		want    string // part of the reason
	}{
		"names no pair by its UID":                          {"", t0.Add(time.Minute), ""},
		"names this one":                                    {"pair-1", t0.Add(time.Minute), ""},
		"was made in the same second":                       {"pair-1", t0, ""},
		"names another one":                                 {"pair-0", t0.Add(time.Minute), "spec.pairRef.uid is pair-0"},
		"is older than this one":                            {"", t0.Add(-time.Second), "older than this pair"},
		"names this one and is older, as no API server has": {"pair-1", t0.Add(-time.Second), "older than this pair"},
	} {
		why := failover.Operation{PairUID: c.uid, CreatedAt: c.created}.OfFormerPair("pair-1", t0)
		if (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
			t.Errorf("an operation that %s: %q, want %q", name, why, c.want)
		}
	}
}
