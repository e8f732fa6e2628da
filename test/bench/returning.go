package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// returned is what was measured with one size of the data.
type returned struct {
	size string
	// killed is from the kill of a primary under load until it is in sync again as the passive;
	// started from the first line of its next pod, of which own was mysqld's own start and waits
	// what passed before that.
	killed, started, waits, own, beyond series
	// reseed, cp and peers are the three ways to a new copy, without load; clone is the part of reseed
	// in which MySQL copied and synced the files.
	reseed, clone, cp, peers series
	bytes                    int64 // that cp copied
}

// returning measures how long a member takes to come back: a primary that was killed under load,
// and a passive whose data is replaced. BENCH_SIZES are the sizes of the data.
func returning(ctx context.Context, b *bench) error {
	fmt.Printf("\nThe primary is killed under %d writers with a pause of %s each; the copies are made without load.\n\n",
		benchWriters, benchPause)
	for size := range strings.FieldsSeq(cmp.Or(os.Getenv("BENCH_SIZES"), "1Gi")) {
		quantity, err := resource.ParseQuantity(size)
		if err != nil {
			return fmt.Errorf("BENCH_SIZES: %q: want quantities such as 1Gi 5Gi: %w", size, err)
		}
		r := &returned{size: size}
		if err := b.measureReturns(ctx, r, quantity.Value()); err != nil {
			return fmt.Errorf("%s: %w", size, err)
		}
		r.print()
		b.cleanUp()
	}
	return nil
}

func (r *returned) print() {
	names := []string{
		"mysqld of the primary killed → in sync again as the passive",
		"start of its next pod → in sync",
		"of that, until mysqld is started",
		"of that, mysqld's own start",
		"all but mysqld's own start",
		"re-seed, from the operation to in sync",
		"of that, CLONE copies and syncs the files",
		"`cp` of the same files between the same volumes",
		"claim and pod deleted → in sync",
	}
	values := map[string]series{}
	for i, s := range []series{r.killed, r.started, r.waits, r.own, r.beyond, r.reseed, r.clone, r.cp, r.peers} {
		values[names[i]] = s
	}
	fmt.Printf("%s of rows; %d MiB in the files that cp copied:\n\n", r.size, r.bytes>>20)
	printSeries(names, values)
	if cp := r.cp.median(); cp > 0 {
		fmt.Printf("A re-seed takes %.2f times as long as cp, by the medians.\n\n", r.reseed.median().Seconds()/cp.Seconds())
	}
}

func (b *bench) measureReturns(ctx context.Context, r *returned, size int64) error {
	namespace, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	pair := b.Pair(namespace, "shop")
	spec := fmt.Sprintf("storage: {size: %d}", max(4*size, 2<<30))
	if err := pair.Apply(ctx, benchSpec, spec); err != nil {
		return err
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := fill(ctx, pair, size); err != nil {
		return err
	}
	fmt.Printf("%s: filled in %s\n", r.size, time.Since(began).Round(time.Second))
	clients, err := pair.StartClients(ctx)
	if err != nil {
		return err
	}
	for n := range b.runs {
		if err := r.comeBack(ctx, pair, clients); err != nil {
			return fmt.Errorf("return %d: %w", n+1, err)
		}
		last := len(r.started) - 1
		fmt.Printf("%s, return %d: %s after the kill, %s after the pod's start, mysqld's own start %s\n", r.size, n+1,
			rounded(r.killed[last]), rounded(r.started[last]), rounded(r.own[last]))
	}
	for n := range b.runs {
		if err := r.copyAgain(ctx, pair); err != nil {
			return fmt.Errorf("copy %d: %w", n+1, err)
		}
		fmt.Printf("%s, copy %d: re-seed %s, cp %s, claim and pod deleted %s\n", r.size, n+1,
			rounded(r.reseed[n]), rounded(r.cp[n]), rounded(r.peers[n]))
	}
	return nil
}

// fill writes rows of 7 KiB, two to a page, until they take size bytes, and waits until the passive
// has them.
func fill(ctx context.Context, pair *harness.Pair, size int64) error {
	const (
		row   = 7 << 10
		batch = 4096
	)
	primary, err := pair.Primary(ctx)
	if err != nil {
		return err
	}
	statements := "CREATE TABLE app.bench_rows (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARBINARY(8000) NOT NULL)"
	if _, err := pair.SQL(ctx, primary, statements); err != nil {
		return err
	}
	insert := fmt.Sprintf("SET SESSION cte_max_recursion_depth = %d; INSERT INTO app.bench_rows (v) WITH RECURSIVE n (i) AS "+
		"(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT REPEAT(RANDOM_BYTES(16), %d) FROM n", batch, batch, row/16)
	for written := int64(0); written < size; written += batch * row {
		if _, err := pair.SQL(ctx, primary, insert); err != nil {
			return err
		}
	}
	if _, err := caughtUp(ctx, pair, primary); err != nil {
		return err
	}
	return pair.AwaitReady(ctx)
}

// comeBack kills the primary under load and follows its member until it is in sync again. No
// acknowledged write may be lost: a figure of such a run would be worth nothing.
func (r *returned) comeBack(ctx context.Context, pair *harness.Pair, clients *harness.Clients) error {
	if err := pair.AwaitReady(ctx); err != nil {
		return err
	}
	if err := clients.Write(ctx, benchWriters, benchPause); err != nil {
		return err
	}
	if err := clients.AwaitAcks(ctx, harness.Patience, 500); err != nil {
		return err
	}
	former, err := pair.Primary(ctx)
	if err != nil {
		return err
	}
	pod, err := pair.Pod(ctx, former)
	if err != nil {
		return err
	}
	at := time.Now()
	if err := pair.Signal(ctx, former, unix.SIGKILL, harness.RoleMysqld); err != nil {
		return err
	}
	if err := awaitInSync(ctx, pair, pair.Peer(former)); err != nil {
		return err
	}
	inSync := time.Now()
	next, err := pair.Pod(ctx, former)
	if err != nil {
		return err
	}
	if next.UID == pod.UID {
		return fmt.Errorf("%s is in the same pod still", former)
	}
	start, err := readStart(ctx, pair, former)
	if err != nil {
		return err
	}
	r.killed = append(r.killed, inSync.Sub(at))
	r.started = append(r.started, inSync.Sub(start.pod))
	r.waits = append(r.waits, start.begun.Sub(start.pod))
	r.own = append(r.own, start.mysqld)
	r.beyond = append(r.beyond, inSync.Sub(start.pod)-start.mysqld)
	report, err := clients.Stop(ctx)
	if err != nil {
		return err
	}
	rows, err := clients.Rows(ctx)
	if err != nil {
		return err
	}
	if lost := history.Lost(report.Attempts, rows); len(lost) > 0 {
		return fmt.Errorf("%d acknowledged writes are lost, the first: %+v", len(lost), lost[0])
	}
	return nil
}

// awaitInSync waits until this member is the primary and the other one could take over.
func awaitInSync(ctx context.Context, pair *harness.Pair, primary string) error {
	return harness.EventuallyEvery(ctx, 50*time.Millisecond, 3*harness.Patience, "both members in sync", func(ctx context.Context) error {
		object, err := pair.Object(ctx)
		if err != nil {
			return err
		}
		if object.Status.Primary != primary || !meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionFailoverReady) {
			return harness.NotYet("%s", harness.Conditions(object))
		}
		return nil
	})
}
