package clients

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/pair"
)

// BenchmarkRefusedClients measures how long each program takes to report that the agent's door
// turned it away, at a steady rate of attempts. Each iteration is a second. It prints figures of
// docs/clients.md.
func BenchmarkRefusedClients(b *testing.B) {
	requireRootfs(b)
	address, listeners := listen(b, pair.PortMySQL)
	closed := door.New(door.Config{
		Self:    "shop-0",
		Message: "no member of pair db/shop accepts writes here at the moment, try again",
		Now:     process.Now,
	})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = closed.Serve(listeners[0])
	}()
	b.Cleanup(func() {
		_ = listeners[0].Close()
		<-served
		closed.Close()
	})
	secret := mountSecret(b, "shop", hostilePassword, newCA(b))
	for _, p := range programs(b, hostsAt(address)) {
		if p.ConnectOnly {
			continue
		}
		client, _ := p.start(b, secret)
		for _, rate := range []int{5, 50, 200} {
			b.Run(fmt.Sprintf("%s/%d per second", p.Name, rate), func(b *testing.B) { client.refusals(b, rate) })
		}
		client.End()
	}
}

// refusals makes so many attempts a second, for b.N seconds, and reports how long the program took
// for its error.
func (s *session) refusals(b *testing.B, rate int) {
	var took []time.Duration
	began := time.Now()
	for i := range rate * b.N {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		attempt := time.Now()
		got := s.ask("connect")
		took = append(took, time.Since(attempt))
		if got.OK {
			b.Fatal("the door let it in")
		}
	}
	slices.Sort(took)
	milliseconds := func(percent int) float64 {
		rank := (len(took)*percent + 99) / 100
		return float64(took[rank-1].Microseconds()) / 1000
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(50), "p50-ms")
	b.ReportMetric(milliseconds(99), "p99-ms")
	b.ReportMetric(milliseconds(100), "max-ms")
	b.ReportMetric(float64(len(took))/time.Since(began).Seconds(), "attempts/s")
}
