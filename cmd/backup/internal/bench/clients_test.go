//go:build bench

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// clients write to the primary, one small transaction after the other each.
type clients struct {
	count int
	// pause is between two transactions of a client. With rate, all clients together begin that many a second
	// at equal intervals instead.
	pause time.Duration
	rate  int
	// limit is how many transactions there are in all; 0 for no limit.
	limit int
}

// course is what clients did.
type course struct {
	length time.Duration
	// took is how long each transaction was, sorted.
	took []time.Duration
}

func (c course) perSecond() float64 { return float64(len(c.took)) / c.length.Seconds() }

// during has clients write while something happens, or until they come to their limit.
func (b *bench) during(c clients, happens func()) course {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	took := make([][]time.Duration, c.count)
	var group sync.WaitGroup
	began := time.Now()
	for i := range c.count {
		conn, err := b.onPrimary.Conn(ctx)
		if err != nil {
			b.Fatal(err)
		}
		group.Go(func() {
			defer conn.Close()
			took[i] = b.write(ctx, conn, c, i)
		})
	}
	if happens == nil {
		group.Wait()
	} else {
		happens()
	}
	length := time.Since(began)
	cancel()
	group.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		b.Fatal("nothing was written")
	}
	return course{
		length: length,
		took:   all,
	}
}

// write is one client.
func (b *bench) write(ctx context.Context, conn *sql.Conn, c clients, number int) (took []time.Duration) {
	random := rand.New(rand.NewPCG(uint64(number), 1))
	due := time.Now()
	for n := 0; ctx.Err() == nil && (c.limit == 0 || n < c.limit/c.count); n++ {
		row := 1 + random.IntN(hotRows)
		statement := fmt.Sprintf("UPDATE bench.hot SET n = n + 1, s = 'changed by client %d for the %dth time' WHERE id = %d", number, n, row)
		if n%2 == 0 {
			statement = fmt.Sprintf("INSERT INTO bench.journal (account, s) VALUES (%d, 'entry %d of client %d, as an example')", row, n, number)
		}
		began := time.Now()
		// One that has begun is not ended: it would be in doubt.
		if _, err := conn.ExecContext(context.WithoutCancel(ctx), statement); err != nil {
			b.Errorf("%.60s: %v", statement, err)
			return took
		}
		took = append(took, time.Since(began))
		if c.rate > 0 {
			due = due.Add(time.Duration(c.count) * time.Second / time.Duration(c.rate))
			time.Sleep(time.Until(due))
		} else {
			time.Sleep(c.pause)
		}
	}
	return took
}

// pulse measures how far the passive is behind while something happens: sorted delays between a write on the
// primary and when it is seen on the passive.
func (b *bench) pulse(happens func()) []time.Duration {
	b.Helper()
	const every = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var group sync.WaitGroup
	var lags []time.Duration
	group.Go(func() {
		for ctx.Err() == nil {
			write := fmt.Sprintf("UPDATE bench.pulse SET at = %d WHERE id = 1", time.Now().UnixNano())
			if _, err := b.onPrimary.ExecContext(context.WithoutCancel(ctx), write); err != nil {
				b.Error(err)
				return
			}
			time.Sleep(every)
		}
	})
	began := time.Now()
	group.Go(func() {
		for ctx.Err() == nil {
			var nanoseconds int64
			if err := b.onPassive.QueryRow("SELECT at FROM bench.pulse WHERE id = 1").Scan(&nanoseconds); err != nil {
				b.Error(err)
				return
			}
			if at := time.Unix(0, nanoseconds); at.After(began) {
				lags = append(lags, time.Since(at))
			}
			time.Sleep(every)
		}
	})
	happens()
	cancel()
	group.Wait()
	slices.Sort(lags)
	if len(lags) == 0 {
		b.Fatal("the passive did not follow at all")
	}
	return lags
}
