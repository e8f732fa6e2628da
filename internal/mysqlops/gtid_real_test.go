package mysqlops_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// The arithmetic of package gtid against the server's own.
func TestGTIDArithmeticIsTheServers(t *testing.T) {
	db := mysqldtest.Start(t, mysqldtest.Options{}).Root()
	group := rapid.Custom(func(t *rapid.T) string {
		var g strings.Builder
		fmt.Fprintf(&g, "0a0a0a0a-0000-1111-2222-33333333333%d", rapid.IntRange(1, 3).Draw(t, "server"))
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			if rapid.Bool().Draw(t, "tagged") {
				g.WriteString(":" + rapid.SampledFrom([]string{"t", "Tag_2", "_"}).Draw(t, "tag"))
			}
			first := rapid.Int64Range(1, 50).Draw(t, "first")
			fmt.Fprintf(&g, ":%d-%d", first, first+rapid.Int64Range(-3, 9).Draw(t, "length"))
		}
		return strings.ReplaceAll(g.String(), "--", "-")
	})
	rapid.Check(t, func(r *rapid.T) {
		texts := [2]string{}
		sets := [2]gtid.Set{}
		for i := range texts {
			texts[i] = strings.Join(rapid.SliceOfN(group, 0, 4).Draw(r, "set"), ",\n ")
			set, err := gtid.Parse(texts[i])
			if err != nil {
				r.Skip("an interval below 1")
			}
			sets[i] = set
		}
		var less string
		var subset bool
		err := db.QueryRowContext(t.Context(), "SELECT GTID_SUBTRACT(?, ?), GTID_SUBSET(?, ?)", texts[0], texts[1], texts[1], texts[0]).Scan(&less, &subset)
		if err != nil {
			r.Fatalf("the server refuses what we parse: %v: %q", err, texts)
		}
		want, err := gtid.Parse(less)
		if err != nil {
			r.Fatalf("we refuse what the server prints: %v", err)
		}
		if got := sets[0].Subtract(sets[1]); !got.Equal(want) || got.String() != strings.ReplaceAll(less, "\n", "") {
			r.Fatalf("%q: difference %v, the server's %v", texts, got, less)
		}
		if sets[0].Covers(sets[1]) != subset {
			r.Fatalf("%q: covers %t, the server says %t", texts, !subset, subset)
		}
	})
}

// TestAReceiverLeavesOutWhatItsOwnServerWrote: a server that has lost transactions of its own does not
// get them back from a replica that has them, and nothing says so.
func TestAReceiverLeavesOutWhatItsOwnServerWrote(t *testing.T) {
	pair, _ := openPair(t)
	ctx := t.Context()
	former, err := pair.A.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.WaitApplied(ctx, former.Executed, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pair.A.Ops.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := pair.A.Ops.Fence(ctx); err != nil {
		t.Fatal(err)
	}
	// Of the volume that went back the sets of GTIDs are enough.
	mustExec(t, pair.A.Root(), "RESET BINARY LOGS AND GTIDS")
	pair.B.Open(false)
	mustExec(t, pair.B.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false), "INSERT INTO app.t VALUES (2, 2)")
	primary, err := pair.B.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pair.A.Follow(pair.B)
	got := pair.A.AwaitStatus("what the primary wrote is received", func(s mysqlops.Status) bool {
		return s.Received.Covers(primary.Executed.OfServer(primary.ServerUUID))
	})
	if lost := former.Executed.OfServer(former.ServerUUID); lost.IsEmpty() || !got.Received.Intersect(lost).IsEmpty() {
		t.Errorf("received %v, which has some of %v", got.Received, lost)
	}
}
