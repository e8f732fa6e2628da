package execute_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

var (
	t0      = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	primary = fencing.Subject{Member: "shop-0", PodUID: "p0"}
	passive = fencing.Subject{Member: "shop-1", PodUID: "p1"}
	errDown = errors.New("connection refused")
)

const (
	uuidA = "00000000-0000-0000-0000-00000000000a"
	uuidB = "00000000-0000-0000-0000-00000000000b"
)

// cluster records what was done to it, in order, and answers what a test wants.
type cluster struct {
	did      []string
	commands []agentapi.Command
	conflict bool
	silent   bool
	wrote    *authority.Record
	snapshot agentapi.SnapshotReply
	covers   []agentapi.CoversReply
	reply    func(agentapi.Command, fencing.Subject) agentapi.FenceReply
	pod      fencing.PodFacts
	refuses  error // what Detach ends in
	away     error // what ReadLease ends in
}

func (c *cluster) do(what string) { c.did = append(c.did, what) }

func (c *cluster) Create(_ context.Context, r authority.Record) (string, error) {
	c.do("create")
	return c.keep(r)
}

func (c *cluster) Write(_ context.Context, r authority.Record, version string) (string, error) {
	c.do("write over " + version)
	return c.keep(r)
}

func (c *cluster) keep(r authority.Record) (string, error) {
	if c.conflict {
		return "", execute.ErrConflict
	}
	c.wrote = &r
	return "next", nil
}

func (c *cluster) fence(what string, to fencing.Subject, cmd agentapi.Command) (agentapi.FenceReply, error) {
	c.do(what + " " + string(to.Member))
	c.commands = append(c.commands, cmd)
	if c.silent {
		return agentapi.FenceReply{}, errDown
	}
	return c.reply(cmd, to), nil
}

func (c *cluster) Cease(_ context.Context, to fencing.Subject, cmd agentapi.Command) (agentapi.FenceReply, error) {
	return c.fence("cease", to, cmd)
}

func (c *cluster) Fence(_ context.Context, to fencing.Subject, cmd agentapi.Command) (agentapi.FenceReply, error) {
	return c.fence("fence", to, cmd)
}

func (c *cluster) AckFence(_ context.Context, to fencing.Subject, cmd agentapi.AckFenceCommand) (agentapi.FenceReply, error) {
	return c.fence("ack fence", to, cmd.Command)
}

func (c *cluster) Drain(_ context.Context, to fencing.Subject, cmd agentapi.DrainCommand) error {
	c.do("drain " + string(to.Member) + " for " + cmd.Operation)
	return c.away
}

func (c *cluster) ReadLease(_ context.Context, to fencing.Subject, _ agentapi.Command) error {
	c.do("look " + string(to.Member))
	return c.away
}

func (c *cluster) Hold(_ context.Context, to fencing.Subject, cmd agentapi.HoldCommand) error {
	c.do(fmt.Sprintf("hold at %s, epoch %d, canceled %t", to.Member, cmd.Epoch, cmd.Cancel))
	return c.away
}

func (c *cluster) ReleaseHeld(_ context.Context, to fencing.Subject, cmd agentapi.Command) error {
	c.do(fmt.Sprintf("release held at %s, epoch %d", to.Member, cmd.Epoch))
	return c.away
}

func (c *cluster) Initialize(_ context.Context, to fencing.Subject, _ agentapi.InitializeCommand) error {
	c.do("initialize " + string(to.Member))
	return nil
}

func (c *cluster) Seed(_ context.Context, to fencing.Subject, cmd agentapi.SeedCommand) error {
	c.do("seed " + string(to.Member) + " from " + cmd.DonorHost)
	return nil
}

func (c *cluster) Rewind(_ context.Context, to fencing.Subject, cmd agentapi.RewindCommand) error {
	c.do("rewind " + string(to.Member) + " to " + cmd.HolderGTIDs)
	return nil
}

func (c *cluster) Discard(_ context.Context, to fencing.Subject, cmd agentapi.DiscardCommand) error {
	c.do("discard of " + string(to.Member) + " for " + cmd.Operation)
	return c.away
}

func (c *cluster) Snapshot(_ context.Context, to fencing.Subject, _ agentapi.Command) (agentapi.SnapshotReply, error) {
	c.do("snapshot " + string(to.Member))
	return c.snapshot, nil
}

func (c *cluster) Covers(_ context.Context, to fencing.Subject, _ agentapi.CoversRequest) (agentapi.CoversReply, error) {
	c.do("covers " + string(to.Member))
	r := c.covers[0]
	c.covers = c.covers[1:]
	return r, nil
}

func (c *cluster) Delete(_ context.Context, s fencing.Subject) error {
	c.do("delete " + s.String())
	return nil
}

func (c *cluster) AddFinalizer(_ context.Context, s fencing.Subject) error {
	c.do("finalizer on " + s.String())
	return nil
}

func (c *cluster) RemoveFinalizer(_ context.Context, s fencing.Subject) error {
	c.do("finalizer off " + s.String())
	return nil
}

func (c *cluster) Label(_ context.Context, s fencing.Subject, _ map[string]string, _ []string) error {
	c.do("label " + s.String())
	return nil
}

func (c *cluster) ScaleDown(_ context.Context, version string) error {
	c.do("scale down at " + version)
	return nil
}

func (c *cluster) Pod(context.Context, fencing.Subject) (fencing.PodFacts, error) {
	c.do("read pod")
	return c.pod, nil
}

func (c *cluster) Node(_ context.Context, name string) (fencing.NodeFacts, error) {
	c.do("read node")
	return fencing.NodeFacts{Name: name}, nil
}

func (c *cluster) Point(context.Context, failover.PointService) error {
	c.do("point")
	return nil
}

func (c *cluster) Detach(_ context.Context, d failover.DetachService) error {
	c.do("detach from " + d.From.String())
	return c.refuses
}

func (c *cluster) Operation(_ context.Context, n failover.OperationNote) error {
	c.do("note " + n.Name)
	return nil
}

func (c *cluster) Timeline(_ context.Context, _ string, e execute.TimelineEntry) error {
	c.do("timeline " + string(e.Step))
	return nil
}

type stopped struct{}

func (stopped) Now() time.Time { return t0 }

func setup(c *cluster) (*execute.Runner, failover.Observation) {
	rec := authority.Record{
		PairUID: "u", Epoch: 4, Holder: pair.Holder(primary), LeaseDuration: 6 * time.Second,
		Ledger: authority.Ledger{Version: 7, State: authority.Joining, First: primary.Member},
		Data:   map[pair.MemberName]pair.DataID{"shop-0": "d0", "shop-1": "d1"},
	}
	book := fencing.NewBook()
	book.SawEpoch(4, t0)
	r := &execute.Runner{
		Effects: execute.Effects{
			Authority: c, Fencers: c, Doors: c, Drainers: c, Copiers: c, Comparers: c, Pods: c, Witnesses: c, Services: c, Recorder: c,
			DonorHost: func(m pair.MemberName) string { return string(m) + ".host" },
		},
		Clock: stopped{}, Book: book, NewID: func() string { return "r1" }, Log: logr.Discard(),
	}
	o := failover.Observation{
		Settings: failover.Settings{Name: "shop", UID: "u"}, Evidence: book,
		Authority: failover.Authority{Reading: failover.Read, Record: rec, Version: "10"},
	}
	o.Members[0] = failover.Member{Name: "shop-0", Pod: failover.Pod{UID: "p0"}}
	o.Members[1] = failover.Member{Name: "shop-1", Pod: failover.Pod{UID: "p1"}}
	return r, o
}

func demoted(c agentapi.Command, s fencing.Subject) agentapi.FenceReply {
	return agentapi.FenceReply{
		RequestID: c.RequestID,
		Member:    s.Member,
		PodUID:    s.PodUID,
		Epoch:     c.Epoch,
		Ceased:    true,
		Demoted:   true,
	}
}

func TestAChangeThatLostTheRaceDoesNothing(t *testing.T) {
	c := &cluster{conflict: true}
	r, o := setup(c)
	step := failover.ChangeAuthority{From: o.Authority.Record, Version: "10", Change: authority.EnterSolo{Member: "shop-0"}}
	res, err := r.Run(t.Context(), o, failover.Plan{}, step)
	if !errors.Is(err, execute.ErrConflict) || res.Changed || res.Wrote != nil {
		t.Errorf("%+v, %v", res, err)
	}
	if diff := cmp.Diff([]string{"write over 10"}, c.did); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestAFenceIsAskedAtThePresentEpochAndKeptAsAProof(t *testing.T) {
	c := &cluster{reply: demoted}
	r, o := setup(c)
	if _, err := r.Run(t.Context(), o, failover.Plan{}, failover.Fence{Subject: passive}); err != nil {
		t.Fatal(err)
	}
	if got := c.commands[0]; got.Epoch != 4 || got.LedgerVersion != 7 || got.PairUID != "u" || got.RequestID != "r1" {
		t.Errorf("command %+v", got)
	}
	if p := r.Book.Proofs(passive, 4); len(p) != 1 || p[0].Kind() != fencing.Demoted {
		t.Errorf("proofs %v", p)
	}
}

func TestAnAgentThatDoesNotAnswerProvesNothing(t *testing.T) {
	c := &cluster{silent: true}
	r, o := setup(c)
	res, err := r.Run(t.Context(), o, failover.Plan{}, failover.Fence{Subject: passive})
	if err != nil || res.Pending == "" || res.Changed || len(r.Book.Proofs(passive, 4)) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	c.silent = false
	c.reply = func(cmd agentapi.Command, s fencing.Subject) agentapi.FenceReply {
		answer := demoted(cmd, s)
		answer.RequestID = "r0"
		return answer
	}
	if res, err = r.Run(t.Context(), o, failover.Plan{}, failover.Fence{Subject: passive}); err != nil || res.Pending == "" || len(r.Book.Proofs(passive, 4)) != 0 {
		t.Errorf("an answer to another request: %+v, %v", res, err)
	}
}

// alone is the record with the primary alone in the ledger.
func alone(r authority.Record) authority.Record {
	r.Ledger = authority.Ledger{Version: 7, State: authority.Solo, First: primary.Member}
	return r
}

func TestDataIsGivenUpOnlyWhenNothingOfItIsErrant(t *testing.T) {
	for name, errant := range map[string]string{"nothing is": uuidA + ":1-5", "a transaction is": uuidA + ":1-6"} {
		t.Run(name, func(t *testing.T) {
			c := joined()
			c.covers[0].Errant = errant
			r, o := setup(c)
			res, err := r.Run(t.Context(), o, failover.Plan{}, failover.GiveUpData{
				From:    alone(o.Authority.Record),
				Version: "10",
				Primary: primary,
				Passive: passive,
				NewData: "copy",
			})
			if err != nil {
				t.Fatal(err)
			}
			if gone := res.Wrote != nil && res.Wrote.Data["shop-1"] == ""; gone != (errant == uuidA+":1-5") {
				t.Errorf("given up: %v (%s)", gone, res.Pending)
			}
			if want := map[bool]string{true: uuidA + ":6"}[res.Wrote == nil]; res.Errant["shop-1"].GTIDs != want {
				t.Errorf("errant %q, want %q", res.Errant["shop-1"].GTIDs, want)
			}
		})
	}
}

func joined() *cluster {
	return &cluster{
		snapshot: agentapi.SnapshotReply{
			LedgerVersion:   7,
			Incarnation:     "ia",
			Waiting:         true,
			SemiSyncClients: 1,
			BinlogGTIDs:     uuidA + ":1-5",
		},
		covers: []agentapi.CoversReply{{Incarnation: "ib"}, {Incarnation: "ib", Covers: true}},
	}
}

func TestBothIsWrittenOnlyAfterTheWholeCheck(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*cluster)
		both  bool
	}{
		"all is well":                         {func(*cluster) {}, true},
		"the primary acts on an older ledger": {func(c *cluster) { c.snapshot.LedgerVersion = 6 }, false},
		"the primary does not wait":           {func(c *cluster) { c.snapshot.Waiting = false }, false},
		"a third replica acknowledges":        {func(c *cluster) { c.snapshot.SemiSyncClients = 2 }, false},
		"nobody acknowledges":                 {func(c *cluster) { c.snapshot.SemiSyncClients = 0 }, false},
		"the passive lacks something":         {func(c *cluster) { c.covers[1].Covers = false }, false},
		"the passive was restarted between":   {func(c *cluster) { c.covers[1].Incarnation = "ic" }, false},
	} {
		world := joined()
		c.spoil(world)
		r, o := setup(world)
		step := failover.ConcludeJoining{From: o.Authority.Record, Version: "10", Primary: primary, Passive: passive}
		res, err := r.Run(t.Context(), o, failover.Plan{}, step)
		if err != nil || (world.wrote != nil) != c.both || (res.Pending == "") != c.both {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		if c.both && (world.wrote.Ledger.State != authority.Both || world.wrote.Ledger.Incarnations["shop-1"] != "ib") {
			t.Errorf("%s: wrote %+v", name, world.wrote.Ledger)
		}
	}
}

func TestJoiningComparesThePassiveFirst(t *testing.T) {
	c := joined()
	c.covers = []agentapi.CoversReply{{Incarnation: "ib", Errant: uuidA + ":1-3," + uuidB + ":1"}}
	r, o := setup(c)
	o.Authority.Record.Ledger.State = authority.Solo
	step := failover.BeginJoining{From: o.Authority.Record, Version: "10", Primary: primary, Passive: passive}
	res, err := r.Run(t.Context(), o, failover.Plan{}, step)
	if err != nil || c.wrote != nil {
		t.Fatalf("an errant passive joined: %v", err)
	}
	want := map[pair.MemberName]failover.Errant{"shop-1": {GTIDs: uuidB + ":1", DataID: "d1", Incarnation: "ib"}}
	if diff := cmp.Diff(want, res.Errant); diff != "" {
		t.Errorf("errant (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"covers shop-1", "snapshot shop-0"}, c.did); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// A member that has not discarded yet is asked again; that is no failure.
func TestADiscardThatTakesLongIsPending(t *testing.T) {
	for name, away := range map[string]error{"it has": nil, "it has not": errDown} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{away: away}
			r, o := setup(c)
			res, err := r.Run(t.Context(), o, failover.Plan{}, failover.Discard{Subject: passive, Operation: "op-1", Target: "d1"})
			if err != nil || (res.Pending == "") != (away == nil) || res.Changed != (away == nil) {
				t.Errorf("%+v, %v", res, err)
			}
			if diff := cmp.Diff([]string{"discard of shop-1 for op-1"}, c.did); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsInOrderEndsWithTheFirstThatFails(t *testing.T) {
	for name, tc := range map[string]struct {
		refuses error
		want    []string
	}{
		"all of it":          {nil, []string{"detach from shop-0/p0", "delete shop-0/p0"}},
		"nothing more of it": {execute.ErrConflict, []string{"detach from shop-0/p0"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{refuses: tc.refuses}
			r, o := setup(c)
			step := failover.Together{Steps: []failover.Step{failover.InOrder{Steps: []failover.Step{
				failover.DetachService{From: primary}, failover.DeletePod{Subject: primary},
			}}}}
			res, err := r.Run(t.Context(), o, failover.Plan{}, step)
			if !errors.Is(err, tc.refuses) {
				t.Fatalf("error %v, want %v", err, tc.refuses)
			}
			if diff := cmp.Diff(tc.want, c.did); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			if len(res.Parts) != len(tc.want) && tc.refuses == nil {
				t.Errorf("the report has %d parts", len(res.Parts))
			}
		})
	}
}

// What fails beside a change of the authority does not hide that it was made: the next look
// knows of it, and so does the report.
func TestAChangeIsKnownWhateverFailsBesideIt(t *testing.T) {
	for name, tc := range map[string]struct {
		refuses error
		away    error
	}{
		"all is well":                     {},
		"another write is refused":        {refuses: execute.ErrConflict},
		"the agent that is asked is away": {away: errDown},
		"the agent that is asked refuses": {away: execute.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{refuses: tc.refuses, away: tc.away}
			r, o := setup(c)
			step := failover.Together{Steps: []failover.Step{
				failover.InOrder{Steps: []failover.Step{
					failover.ChangeAuthority{From: o.Authority.Record, Version: "10", Change: authority.EnterSolo{Member: "shop-0"}},
					failover.ReadLease{Member: "shop-0"},
				}},
				failover.DetachService{From: primary},
			}}
			res, err := r.Run(t.Context(), o, failover.Plan{Operation: &failover.OperationNote{Name: "op"}}, step)
			if !errors.Is(err, tc.refuses) {
				t.Errorf("error %v, want %v", err, tc.refuses)
			}
			if res.Wrote == nil || res.WroteVersion != "next" || !res.Changed {
				t.Errorf("the change is not known: %+v", res)
			}
			if (res.Pending != "") != (tc.away != nil) {
				t.Errorf("pending %q", res.Pending)
			}
			want := []string{"write over 10", "look shop-0", "detach from shop-0/p0", "note op", "timeline EnterSolo", "timeline ReadLease", "timeline DetachService"}
			if diff := cmp.Diff(want, c.did); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
		})
	}
}

// stepTypes are the names of the types that are steps, as package failover declares them.
func stepTypes(t *testing.T) []failover.StepName {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../failover/steps.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []failover.StepName
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "Name" {
			out = append(out, failover.StepName(f.Recv.List[0].Type.(*ast.Ident).Name))
		}
	}
	if len(out) == 0 {
		t.Fatal("no step is declared")
	}
	return out
}

// Every step of the closed set runs, and has a failpoint before and after it; a crash
// there lets nothing of what follows happen.
func TestEveryStepHasItsFailpoints(t *testing.T) {
	all := map[failover.StepName]failover.Step{}
	_, o := setup(&cluster{})
	for _, s := range []failover.Step{
		failover.CreateAuthority{Record: authority.Fresh("u", time.Second)},
		failover.ChangeAuthority{From: o.Authority.Record, Change: authority.EnterSolo{Member: "shop-0"}},
		failover.Initialize{Member: "shop-0"}, failover.Seed{Member: "shop-1", Donor: "shop-0"},
		failover.Rewind{Member: "shop-1", Holder: "shop-0"}, failover.ReadLease{Member: "shop-0"},
		failover.Fence{Subject: passive}, failover.Cease{Subject: passive}, failover.AckFence{Subject: passive}, failover.Discard{Subject: passive},
		failover.Drain{Subject: primary, Operation: "op-1"},
		failover.ProvePod{Subject: passive}, failover.ProveNode{Subject: passive}, failover.AdminConfirmation{Subject: passive},
		failover.BeginJoining{From: o.Authority.Record, Primary: primary, Passive: passive},
		failover.ConcludeJoining{From: o.Authority.Record, Primary: primary, Passive: passive},
		failover.GiveUpData{From: alone(o.Authority.Record), Primary: primary, Passive: passive, NewData: "copy"},
		failover.DeletePod{Subject: primary}, failover.AddFinalizer{Subject: primary}, failover.RemoveFinalizer{Subject: primary},
		failover.LabelPod{Subject: primary}, failover.ScaleDown{Version: "1"}, failover.PointService{Member: "shop-0"},
		failover.NoteOperation{Note: failover.OperationNote{Name: "op"}},
		failover.Together{Steps: []failover.Step{failover.DeletePod{Subject: primary}}},
		failover.DetachService{From: primary}, failover.Hold{Subject: passive}, failover.ReleaseHeld{Subject: passive},
		failover.InOrder{Steps: []failover.Step{failover.DetachService{From: primary}, failover.DeletePod{Subject: primary}}},
	} {
		all[s.Name()] = s
	}
	for _, name := range stepTypes(t) {
		step, ok := all[name]
		if !ok {
			t.Errorf("step %s has no type, or this test does not know it", name)
			continue
		}
		c := joined()
		c.reply = demoted
		r, o := setup(c)
		var points []string
		r.Failpoint = func(p string) error { points = append(points, p); return nil }
		if _, err := r.Run(t.Context(), o, failover.Plan{}, step); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if points[0] != "Before"+string(name) || !slices.Contains(points, "After"+string(name)) {
			t.Errorf("%s has failpoints %v", name, points)
		}
		t.Logf("%s: %v", name, points)
		for _, at := range points {
			crashAt(t, step, at)
		}
	}
}

func crashAt(t *testing.T, step failover.Step, at string) {
	t.Helper()
	c := joined()
	c.reply = demoted
	r, o := setup(c)
	crashed := 0
	r.Failpoint = func(p string) error {
		if p == at {
			crashed = len(c.did)
			return execute.ErrCrash
		}
		return nil
	}
	_, err := r.Run(t.Context(), o, failover.Plan{}, step)
	if !errors.Is(err, execute.ErrCrash) {
		t.Errorf("%s: a crash at %s ended as %v", step.Name(), at, err)
	}
	if len(c.did) != crashed {
		t.Errorf("%s: after the crash at %s: %v", step.Name(), at, c.did[crashed:])
	}
}

func TestTheReportComesAfterTheEffect(t *testing.T) {
	c := &cluster{}
	r, o := setup(c)
	plan := failover.Plan{Operation: &failover.OperationNote{Name: "op"}}
	step := failover.ChangeAuthority{From: o.Authority.Record, Version: "10", Change: authority.EnterSolo{Member: "shop-0"}}
	if _, err := r.Run(t.Context(), o, plan, step); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"write over 10", "note op", "timeline EnterSolo"}, c.did); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
