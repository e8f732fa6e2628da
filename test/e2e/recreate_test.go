//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestRecreatedAtOnce: a pair is deleted and made again before its former pods are gone,
// as kubectl replace --force and many deployment tools do. It takes up both volumes, with
// everything that is on them.
func TestRecreatedAtOnce(t *testing.T) {
	t.Parallel()
	rounds := 3
	if os.Getenv("E2E_LONG") != "" {
		rounds = 20
	}
	s := newScene(t, "recreated")
	p := s.readyPair("shop")
	s.sql(p, s.primary(p), "CREATE TABLE app.kept (n INT PRIMARY KEY)")
	for round := range rounds {
		s.sql(p, s.primary(p), fmt.Sprintf("INSERT INTO app.kept VALUES (%d)", round))
		s.must(p.Remove(s.ctx))
		// How long after the deletion the pair is made again is what is varied here.
		pause := time.NewTimer(time.Duration(round*1700%5000) * time.Millisecond)
		select {
		case <-pause.C:
		case <-s.ctx.Done():
			t.Fatal(s.ctx.Err())
		}
		s.must(harness.Eventually(s.ctx, harness.Patience, "the pair to be made again", func(ctx context.Context) error {
			return p.Apply(ctx)
		}))
		s.must(p.AwaitReady(s.ctx))
		for _, member := range p.Members() {
			if got := s.sql(p, member, "SELECT COUNT(*) FROM app.kept"); got != fmt.Sprint(round+1) {
				t.Fatalf("round %d: %s has %s rows, want %d", round+1, member, got, round+1)
			}
		}
	}
}
