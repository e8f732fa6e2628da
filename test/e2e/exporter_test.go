//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestMysqldExporter: the exporter is switched on for a running pair, which is rolled out, and serves the counters of both
// members' mysqlds.
func TestMysqldExporter(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "exporter")
	p := s.readyPair("shop")
	s.must(p.PatchSpec(s.ctx, "monitoring: {mysqldExporter: {enabled: true}}"))
	for _, member := range p.Members() {
		s.must(harness.Eventually(s.ctx, harness.Patience, "counters of "+member, func(ctx context.Context) error {
			text, err := cluster.Shell(ctx, fmt.Sprintf("kubectl get --raw /api/v1/namespaces/%s/pods/%s:9104/proxy/metrics", s.namespace, member))
			if err != nil {
				return harness.NotYet("%v", err)
			}
			if !strings.Contains(text, "\nmysql_up 1\n") || !strings.Contains(text, "\nmysql_global_status_threads_connected ") {
				return harness.NotYet("mysqld is not read")
			}
			return nil
		}))
	}
	s.must(p.AwaitReady(s.ctx))
}
