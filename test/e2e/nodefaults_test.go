//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// TestNodeFaults: what happens to the primary's node, to the links and to the API
// server. Nothing else runs beside it.
func TestNodeFaults(t *testing.T) {
	runFaults(t, "node", []fault{
		{name: "node cut off the network", want: failsOver, inject: disconnect},
		{name: "node killed", want: failsOver, inject: killNode},
		{name: "node frozen", want: failsOver, inject: pauseNode},
		{
			name:   "primary cut off the passive",
			want:   undisturbed,
			inject: cutPeer(true),
			hold:   threeLeases,
			maxGap: 15 * time.Second,
		},
		{
			name:   "passive does not hear the primary",
			want:   undisturbed,
			inject: cutPeer(false),
			hold:   threeLeases,
			maxGap: 15 * time.Second,
			long:   true,
		},
		{
			name:   "primary's node cut off the API server",
			want:   undisturbed,
			inject: cutAPI,
			hold:   threeLeases,
			maxGap: leaseDuration,
		},
		{
			name:   "API server away for three leases",
			want:   undisturbed,
			inject: stopAPI(threeLeases),
			maxGap: leaseDuration,
		},
		{
			name:   "API server away for three minutes",
			want:   undisturbed,
			inject: stopAPI(3 * time.Minute),
			maxGap: leaseDuration,
			long:   true,
		},
	})
}

func disconnect(st *stage) (func(context.Context) error, error) {
	node := st.nodes[st.primary]
	heal := func(ctx context.Context) error {
		if err := node.Reconnect(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx)
	}
	return heal, node.Disconnect(st.ctx)
}

func killNode(st *stage) (func(context.Context) error, error) {
	node := st.nodes[st.primary]
	heal := func(ctx context.Context) error {
		if err := node.Start(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx)
	}
	return heal, node.Kill(st.ctx)
}

func pauseNode(st *stage) (func(context.Context) error, error) {
	node := st.nodes[st.primary]
	member := st.primary
	from := harness.Now()
	heal := func(ctx context.Context) error {
		st.run.Frozen = append(st.run.Frozen, history.Frozen{
			Member: member,
			From:   from,
			To:     harness.Now(),
			Grace:  deadmanGrace,
		})
		if err := node.Unpause(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx)
	}
	return heal, node.Pause(st.ctx)
}

// cutPeer drops what the primary sends to the passive, and what comes back if bothWays.
func cutPeer(bothWays bool) injection {
	return func(st *stage) (func(context.Context) error, error) {
		from, err := st.pair.Pod(st.ctx, st.primary)
		if err != nil {
			return nil, err
		}
		to, err := st.pair.Pod(st.ctx, st.passive)
		if err != nil {
			return nil, err
		}
		cut, err := harness.CutTraffic(st.ctx, []string{from.Status.PodIP}, []string{to.Status.PodIP}, bothWays)
		if err != nil {
			return nil, err
		}
		return cut.Heal, nil
	}
}

// cutAPI takes the API server away from the primary's node, and from nothing else.
func cutAPI(st *stage) (func(context.Context) error, error) {
	control, err := cluster.ControlPlane(st.ctx)
	if err != nil {
		return nil, err
	}
	sources, err := st.nodes[st.primary].Addresses(st.ctx)
	if err != nil {
		return nil, err
	}
	targets, err := control.Addresses(st.ctx)
	if err != nil {
		return nil, err
	}
	cut, err := harness.CutTraffic(st.ctx, sources, targets[:1], false, "-p", "tcp", "--dport", "6443")
	if err != nil {
		return nil, err
	}
	return cut.Heal, nil
}

// stopAPI takes the API server away for a while in which writes must go on: longer than
// any authority lasts, so that nothing but the members' word for each other carries them.
func stopAPI(away time.Duration) injection {
	return func(st *stage) (func(context.Context) error, error) {
		control, err := cluster.ControlPlane(st.ctx)
		if err != nil {
			return nil, err
		}
		if err := control.StopAPI(st.ctx); err != nil {
			return control.StartAPI, err
		}
		from := harness.Now()
		timer := time.NewTimer(away)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-st.ctx.Done():
			return control.StartAPI, fmt.Errorf("stop the API server: %w", st.ctx.Err())
		}
		to := harness.Now()
		if err := control.StartAPI(st.ctx); err != nil {
			return control.StartAPI, err
		}
		st.Logf("the API server was away for %s", to.Sub(from).Round(time.Second))
		return nil, nil
	}
}
