package agent

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// leaseSays answers every reading of the Lease alike.
type leaseSays struct {
	record  authority.Record
	outcome authority.ReadOutcome
	err     error // of what was not found
}

func (l leaseSays) read(context.Context, bool) (authority.Record, authority.ReadOutcome, error) {
	if l.outcome != authority.ReadFound {
		return authority.Record{}, l.outcome, cmp.Or(l.err, errors.New("no Lease"))
	}
	return l.record, l.outcome, nil
}

// A volume of an earlier pair of the same name has data that someone may want back: it is taken
// up by a newer Lease only.
func TestWhichVolumeIsTaken(t *testing.T) {
	owner := volume.Owner{
		Namespace: "ns",
		Pair:      "shop",
		Member:    "shop-0",
	}
	former := volume.Identity{Owner: owner, PairUID: "former", DataID: "data-0"}
	named := map[pair.MemberName]pair.DataID{"shop-0": "data-0"}
	record := func(epoch pair.Epoch, data map[pair.MemberName]pair.DataID, seeding *authority.Seeding) leaseSays {
		return leaseSays{
			record:  authority.Record{PairUID: "present", Epoch: epoch, Data: data, Seeding: seeding},
			outcome: authority.ReadFound,
		}
	}
	for name, c := range map[string]struct {
		identity volume.Identity
		lease    leaseSays
		phase    agentapi.Phase // empty when it is taken
	}{
		"an empty one":                     {identity: volume.Identity{}},
		"this pair's own":                  {identity: volume.Identity{Owner: owner, PairUID: "present", DataID: "data-0"}},
		"another member's":                 {volume.Identity{Owner: volume.Owner{Namespace: "ns", Pair: "shop", Member: "shop-1"}}, leaseSays{}, agentapi.PhaseForeign},
		"an earlier pair's without data":   {identity: volume.Identity{Owner: owner, PairUID: "former"}},
		"an earlier pair's that is void":   {identity: volume.Identity{Owner: owner, PairUID: "former", DataID: "data-0", Void: true}},
		"an earlier pair's, no Lease":      {former, leaseSays{outcome: authority.ReadFailed}, agentapi.PhaseForeign},
		"an earlier pair's, named":         {former, record(6, named, nil), ""},
		"an earlier pair's, at its epoch":  {former, record(5, named, nil), agentapi.PhaseForeign},
		"an earlier pair's, other data":    {former, record(6, map[pair.MemberName]pair.DataID{"shop-0": "data-1"}, nil), agentapi.PhaseForeign},
		"an earlier pair's, not named":     {former, record(6, nil, nil), agentapi.PhaseForeign},
		"an earlier pair's, to be seeded":  {former, record(6, nil, &authority.Seeding{Member: "shop-0"}), ""},
		"an earlier pair's, peer's seeded": {former, record(6, nil, &authority.Seeding{Member: "shop-1"}), agentapi.PhaseForeign},
	} {
		t.Run(name, func(t *testing.T) {
			vol := volume.Open(t.TempDir(), "")
			if err := vol.Lock(); err != nil {
				t.Fatal(err)
			}
			noted := volume.Memory{Durable: authority.Durable{DataID: c.identity.DataID, Known: 5}}
			if err := errors.Join(vol.WriteIdentity(c.identity), vol.WriteMemory(noted)); err != nil {
				t.Fatal(err)
			}
			taking := &intake{
				env: Environment{
					Namespace: "ns",
					PairName:  "shop",
					PairUID:   "present",
					PodName:   "shop-0",
				},
				log:   logr.Discard(),
				vol:   vol,
				lease: c.lease,
				state: newTestBoard(),
				data:  &dataset{},
			}
			found, taken := taking.look(t.Context())
			if taken != (c.phase == "") {
				t.Fatalf("taken: %t, the state is %+v", taken, taking.state.snapshot())
			}
			if !taken {
				if s := taking.state.snapshot(); s.Phase != c.phase || len(s.Problems) != 1 {
					t.Errorf("phase %s with problems %v, want %s", s.Phase, s.Problems, c.phase)
				}
				return
			}
			written, _, err := vol.ReadIdentity()
			if err != nil || written.PairUID != "present" || written.Owner != owner || taking.data.get() != written || found.identity != written {
				t.Errorf("the volume says %+v (%v), the agent %+v", written, err, taking.data.get())
			}
		})
	}
}

// A member whose binary logs are lost goes on as one whose data is void, and its volume does not say
// so, since they may come back. What is not this pair's present data is not taken up at all.
func TestAVolumeIsTakenWithItsBinlogs(t *testing.T) {
	owner := volume.Owner{
		Namespace: "ns",
		Pair:      "shop",
		Member:    "shop-0",
	}
	present := volume.Identity{
		Owner:           owner,
		PairUID:         "present",
		DataID:          "data-0",
		SeparateBinlogs: true,
	}
	former := present
	former.PairUID = "former"
	together := present
	together.SeparateBinlogs = false
	void := present
	void.Void = true
	foreign := `{"namespace":"ns","pair":"shop","member":"shop-1","dataID":"data-0"}`
	for name, c := range map[string]struct {
		identity volume.Identity
		logs     string         // the identity of the binary logs; empty for an empty volume
		phase    agentapi.Phase // empty when it is taken
		void     bool
		problem  agentapi.ProblemCode
	}{
		"an empty volume of logs":                 {present, "", "", true, agentapi.ProblemBinlogsLost},
		"logs of other data":                      {present, `{"namespace":"ns","pair":"shop","member":"shop-0","dataID":"data-9"}`, "", true, agentapi.ProblemBinlogsLost},
		"another member's logs":                   {present, foreign, agentapi.PhaseForeign, false, agentapi.ProblemForeignVolume},
		"another member's logs beside no data":    {volume.Identity{}, foreign, agentapi.PhaseForeign, false, agentapi.ProblemForeignVolume},
		"an identity that cannot be read":         {present, "{", agentapi.PhaseVolumeLost, false, agentapi.ProblemVolumeUnreadable},
		"data that had its logs beside it":        {together, "", agentapi.PhaseVolumeLost, false, agentapi.ProblemBinlogsLost},
		"an earlier pair's data without its logs": {former, "", agentapi.PhaseForeign, false, agentapi.ProblemBinlogsLost},
		"data that is void already":               {void, "", "", true, ""},
		"two empty volumes":                       {volume.Identity{}, "", "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			vol := volume.Open(t.TempDir(), t.TempDir())
			err := vol.Lock()
			if c.identity != (volume.Identity{}) {
				err = errors.Join(err, vol.WriteIdentity(c.identity))
			}
			if c.logs != "" {
				err = errors.Join(err, os.WriteFile(filepath.Join(vol.BinlogRoot(), "dbpair", "identity.json"), []byte(c.logs), 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			taking := &intake{
				env: Environment{
					Namespace: "ns",
					PairName:  "shop",
					PairUID:   "present",
					PodName:   "shop-0",
				},
				log:   logr.Discard(),
				vol:   vol,
				lease: leaseSays{outcome: authority.ReadFailed},
				state: newTestBoard(),
				data:  &dataset{},
			}
			found, taken := taking.look(t.Context())
			s := taking.state.snapshot()
			if taken != (c.phase == "") || (!taken && s.Phase != c.phase) || found.identity.Void != c.void && taken {
				t.Fatalf("taken: %t with %+v, the state is %+v", taken, found.identity, s)
			}
			if c.problem == "" && len(s.Problems) > 0 || c.problem != "" && (len(s.Problems) != 1 || s.Problems[0].Code != c.problem) {
				t.Errorf("problems %+v, want %q", s.Problems, c.problem)
			}
			if f := s.Found; f != nil && c.identity == former && !f.Void {
				t.Errorf("it may be taken up as the pair's data: %+v", f)
			}
			if written, _, err := vol.ReadIdentity(); err != nil || written.Void != c.identity.Void {
				t.Errorf("the volume says %+v, %v", written, err)
			}
		})
	}
}

func TestDataIsReplacedOnceAtATime(t *testing.T) {
	over := 0
	d := &dataset{over: func() { over++ }}
	fine := func() error { return nil }
	if err := d.occupy(agentapi.PhaseSeeding, "data-1", fine); err != nil {
		t.Fatal(err)
	}
	if err := d.occupy(agentapi.PhaseSeeding, "data-1", fine); !errors.Is(err, errSame) {
		t.Errorf("the same again: %v", err)
	}
	if err := d.occupy(agentapi.PhaseHeld, "", fine); !errors.Is(err, errBusy) {
		t.Errorf("another one: %v", err)
	}
	d.vacate()
	no := errors.New("no")
	if err := d.occupy(agentapi.PhaseHeld, "", func() error { return no }); !errors.Is(err, no) {
		t.Errorf("one that may not be: %v", err)
	}
	if _, busy := d.now(); busy != nil || over != 2 {
		t.Errorf("under way is %+v after %d ends", busy, over)
	}
	d.set(volume.Identity{DataID: "data-1"})
	if err := d.occupy(agentapi.PhaseSeeding, "data-1", fine); !errors.Is(err, errSame) || d.id() != "data-1" {
		t.Errorf("one that is done: %v", err)
	}
	d.set(volume.Identity{DataID: "data-1", Void: true})
	if err := d.occupy(agentapi.PhaseSeeding, "data-1", fine); err != nil || d.id() != "" {
		t.Errorf("data that was given up since: %v", err)
	}
}
