package agent

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
)

// TestAMaintenanceOrderedAgainIsNotRefused: the data directory has its final name before
// the identity names it; an order that is repeated in between is about the same data.
func TestAMaintenanceOrderedAgainIsNotRefused(t *testing.T) {
	making := volume.Identity{Initializing: "data-0"}
	cases := map[string]struct {
		identity volume.Identity
		busy     *maintenance
		fine     bool
	}{
		"the very same is under way":       {making, &maintenance{agentapi.PhaseInitializing, "data-0"}, true},
		"the very same is done":            {volume.Identity{DataID: "data-0"}, nil, true},
		"other data is being made":         {volume.Identity{Initializing: "data-1"}, &maintenance{agentapi.PhaseInitializing, "data-1"}, false},
		"another maintenance is under way": {making, &maintenance{agentapi.PhaseSeeding, "data-0"}, false},
		"data of no name is there":         {volume.Identity{}, nil, false},
		"other data is there":              {volume.Identity{DataID: "data-1"}, nil, false},
		"void data is there":               {volume.Identity{DataID: "data-0", Void: true}, nil, false},
	}
	record := authority.Fresh("pair-a", 5*time.Second)
	record.Bootstrap = &authority.Bootstrap{Member: "shop-0", DataID: "data-0"}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var l coordinationv1.Lease
		l.Name = "shop"
		l.Namespace = "ns"
		sign := func([]byte) ([]byte, error) { return []byte("by the operator"), nil }
		if err := errors.Join(lease.Render(record, &l), lease.Sign(record, &l, sign)); err != nil {
			t.Errorf("render lease: %v", err)
		}
		_ = json.NewEncoder(w).Encode(l)
	}))
	defer api.Close()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			state := newTestBoard()
			data := &dataset{busy: c.busy, identity: c.identity}
			verify := func(_, signature []byte) bool { return string(signature) == "by the operator" }
			i := &initializing{
				gate: dataGate{
					gate:  gate{pairUID: "pair-a", state: state},
					self:  "shop-0",
					lease: &leaseReader{url: api.URL, local: true, verify: verify},
					data:  data,
				},
				log:   logr.Discard(),
				vol:   volume.Open(t.TempDir(), ""),
				data:  data,
				state: state,
			}
			file := filepath.Join(i.vol.DataDir(), "ibdata1")
			if err := errors.Join(os.MkdirAll(i.vol.DataDir(), 0o750), os.WriteFile(file, nil, 0o640)); err != nil {
				t.Fatal(err)
			}
			command := agentapi.InitializeCommand{
				Command: agentapi.Command{PairUID: "pair-a", Epoch: record.Epoch, LedgerVersion: record.Ledger.Version},
				DataID:  "data-0",
			}
			if _, err := i.order(t.Context(), command); (err == nil) != c.fine {
				t.Errorf("initialize: %v", err)
			}
			if data.busy != c.busy {
				t.Errorf("what is under way became %+v", data.busy)
			}
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		})
	}
}
