package lease_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/dbpair/dbpair/internal/authority/lease"
)

// Leases outlive the operator that wrote them, and agents of another version read them: what a
// record is written as stays as it is.
func TestAnnotationsStayAsTheyWere(t *testing.T) {
	var l coordinationv1.Lease
	if err := lease.Render(full(), &l); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"dbpair.io/pair-uid":    `"u-1"`,
		"dbpair.io/ledger":      `{"version":9,"state":"both","incarnations":{"shop-0":"i0","shop-1":"i1"}}`,
		"dbpair.io/data":        `{"shop-0":"d0","shop-1":"d1"}`,
		"dbpair.io/last-holder": `{"holder":"shop-0/p-0","data":"d0","epoch":5,"ended":"PodTerminated","endedBy":"r9"}`,
		"dbpair.io/appointed": `{"holder":"shop-1/p-1","epoch":7,"proofs":[{"subject":"shop-0/p-0","kind":"PodTerminated","request":"r9"}],` +
			`"operation":"shop-failover-6","rule":"HolderExited"}`,
		"dbpair.io/left":      `{"member":"shop-0","data":"d0","epoch":5,"clean":true,"proof":"Demoted"}`,
		"dbpair.io/intent":    `{"operation":"shop-f-6","target":"shop-1","rule":"HolderExited"}`,
		"dbpair.io/seeding":   `{"member":"shop-0","data":"d8"}`,
		"dbpair.io/bootstrap": `{"member":"shop-0","data":"d9"}`,
	}
	if diff := cmp.Diff(want, l.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}
