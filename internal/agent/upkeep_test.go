package agent

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// kept is a mysqld whose binary logs and accounts are kept.
type kept struct {
	recorder
	limits mysqlops.PurgeLimits
	purged mysqlops.Purged
	made   []string
	former []mysqlops.FormerPassword
	// holds and unknown answer whether an account has its new password.
	holds   bool
	unknown error
}

func (k *kept) HasPassword(context.Context, mysqlops.Account, mysqlops.Secret) (bool, error) {
	return k.holds, k.unknown
}

func (k *kept) FormerPasswords(context.Context) ([]mysqlops.FormerPassword, error) {
	return k.former, k.failure
}

func (k *kept) RequireTLS(context.Context, mysqlops.Account, bool) (bool, error) { return false, nil }

func (k *kept) PurgeBinlogs(_ context.Context, limits mysqlops.PurgeLimits) (mysqlops.Purged, error) {
	k.limits = limits
	return k.purged, k.failure
}

func (k *kept) EnsureAccounts(context.Context, mysqlops.Passwords, mysqlops.AppAccount) (mysqlops.AccountChanges, error) {
	return mysqlops.AccountChanges{Made: k.made}, k.change("ensure accounts")
}

func (k *kept) SetPassword(_ context.Context, account mysqlops.Account, _ mysqlops.Secret) error {
	return k.change("change " + account.User)
}

func (k *kept) DiscardOldPassword(_ context.Context, account mysqlops.Account) error {
	return k.change("discard the former of " + account.User)
}

// ledgerOf is the view of an open shop-0 whose ledger says this, acted on or not.
func ledgerOf(state authority.LedgerState, acted bool) authority.View {
	record := authority.Record{Ledger: authority.Ledger{Version: 7, State: state, First: "shop-0"}}
	view := authority.View{Serving: authority.Serves, Record: &record}
	if acted {
		view.ActedLedger = 7
	}
	return view
}

// TestBinaryLogsThatAreNotArchivedStayUpToABacklog: without an archive, and on a volume that is
// nearly full, nothing is kept for one.
func TestBinaryLogsThatAreNotArchivedStayUpToABacklog(t *testing.T) {
	server := &kept{}
	config := agentapi.Config{BinlogMaxSize: "100Mi"}
	full := false
	told := &archived{pairUID: "pair-a"}
	p := &purging{
		pairUID:  "pair-a",
		self:     "shop-0",
		peerName: "shop-1",
		root:     t.TempDir(),
		log:      logr.Discard(),
		ops:      server,
		state:    newTestBoard(),
		peer:     heard{},
		archived: told,
		full:     func(string) bool { return full },
		config:   func() agentapi.Config { return config },
	}
	p.purge(t.Context())
	if server.limits.Backlog != 0 {
		t.Errorf("without an archive: %+v", server.limits)
	}
	config.BinlogBacklog = "50Mi"
	const set = ownUUID + ":1-3"
	if _, err := told.order(t.Context(), agentapi.ArchivedCommand{PairUID: "pair-b", GTIDs: set}); err == nil {
		t.Error("the archive of another pair counts")
	}
	if _, err := told.order(t.Context(), agentapi.ArchivedCommand{PairUID: "pair-a", GTIDs: "x"}); err == nil {
		t.Error("a malformed set counts")
	}
	if _, err := told.order(t.Context(), agentapi.ArchivedCommand{PairUID: "pair-a", GTIDs: set}); err != nil {
		t.Fatal(err)
	}
	p.purge(t.Context())
	if got := server.limits; got.Backlog != 50<<20 || got.Archived.String() != set {
		t.Errorf("limits %+v", got)
	}
	full = true
	p.purge(t.Context())
	if server.limits.Backlog != 0 {
		t.Errorf("on a volume that is nearly full: %+v", server.limits)
	}
	if !nearlyFull("/nowhere") {
		t.Error("a volume that cannot be measured has room")
	}
}

func TestBinaryLogsThatThePeerLacksGoOnlyWhenThisPrimaryIsAlone(t *testing.T) {
	receives := &agentapi.State{PairUID: "pair-a", Server: &agentapi.Server{GTIDReceived: ownUUID + ":1-3"}}
	receives.Server.Receiver.Running = true
	stopped := &agentapi.State{PairUID: "pair-a", Server: &agentapi.Server{GTIDReceived: ownUUID + ":1-3"}}
	for name, c := range map[string]struct {
		view    authority.View
		peer    heard
		keepAll bool
		without bool
		told    bool
	}{
		"in sync":                              {view: ledgerOf(authority.Both, true), peer: heard{state: receives}},
		"in sync, the peer is away":            {view: ledgerOf(authority.Both, true), peer: heard{}, keepAll: true, told: true},
		"in sync, the peer was there just now": {view: ledgerOf(authority.Both, true), peer: heard{state: stopped}, told: true},
		"alone, the peer receives":             {view: ledgerOf(authority.Solo, true), peer: heard{state: receives}},
		"alone, the peer is away":              {view: ledgerOf(authority.Solo, true), peer: heard{}, without: true, told: true},
		"alone, the peer is long away": {
			view:    ledgerOf(authority.Solo, true),
			peer:    heard{state: receives, silent: time.Hour},
			without: true,
			told:    true,
		},
		"alone by a ledger that is not acted on": {view: ledgerOf(authority.Solo, false), peer: heard{}, keepAll: true, told: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := &kept{purged: mysqlops.Purged{Lacking: 60 << 20}}
			p := &purging{
				pairUID:  "pair-a",
				self:     "shop-0",
				peerName: "shop-1",
				log:      logr.Discard(),
				ops:      server,
				state:    newTestBoard(),
				peer:     c.peer,
				config:   func() agentapi.Config { return agentapi.Config{BinlogMaxSize: "100Mi"} },
			}
			p.state.see(c.view)
			p.purge(t.Context())
			if got := server.limits; got.MaxBytes != 100<<20 || got.KeepAll != c.keepAll || got.WithoutPeer != c.without {
				t.Errorf("limits %+v", got)
			}
			if told := slices.Contains(published(p.state), agentapi.ProblemBinlogsLacking); told != c.told {
				t.Errorf("published: %t", told)
			}
		})
	}
}

func TestTheLimitOfBinaryLogs(t *testing.T) {
	root := t.TempDir()
	for text, want := range map[string]int64{
		"2Gi": 2 << 30,
		"":    0,
		"a%":  0,
		"xyz": 0,
	} {
		if got := binlogLimit(text, root); got != want {
			t.Errorf("%q is %d bytes, want %d", text, got, want)
		}
	}
	half := binlogLimit("50%", root)
	if whole := binlogLimit("100%", root); half <= 0 || whole < 2*half-200 || whole > 2*half+200*4096 {
		t.Errorf("half of the volume is %d bytes, all of it %d", half, whole)
	}
}

// newTestRotation is that of a volume whose accounts have the passwords that the files had, of
// which replication's has changed since.
func newTestRotation(t *testing.T, server *kept, view authority.View, peer heard) *rotation {
	t.Helper()
	passwords := map[string]string{}
	for _, name := range passwordFiles {
		passwords[name] = "first"
	}
	files := &settings{passwords: passwords, revision: "new", config: agentapi.Config{AppUser: mysqlops.UserApp}}
	vol := volume.Open(t.TempDir(), "")
	if err := vol.Lock(); err != nil {
		t.Fatal(err)
	}
	before, _ := files.fingerprints()
	if err := vol.WritePasswords(volume.Passwords{Applied: before}); err != nil {
		t.Fatal(err)
	}
	passwords[agentapi.PasswordFileReplication] = "second"
	state := newTestBoard()
	state.see(view)
	return &rotation{
		log:         logr.Discard(),
		ops:         server,
		vol:         vol,
		settings:    files,
		state:       state,
		peer:        peer,
		worksWith:   func() string { return "new" },
		acceptsRoot: func(context.Context) (bool, error) { return true, nil },
		complete:    true,
	}
}

func TestAPasswordIsChangedWhereAndWhenNothingHangs(t *testing.T) {
	for name, c := range map[string]struct {
		view     authority.View
		semiSync mysqlops.SemiSync
		changes  []string
		revision string
	}{
		"a primary":                      {openAt(3), mysqlops.SemiSync{}, []string{"change " + mysqlops.UserReplication}, "new"},
		"a primary whose commits wait":   {openAt(3), mysqlops.SemiSync{SourceEnabled: true, Clients: 1, WaitSessions: 1}, nil, ""},
		"a primary whose peer is away":   {openAt(3), mysqlops.SemiSync{SourceEnabled: true}, nil, ""},
		"a passive whose channel has it": {authority.View{Serving: authority.Shut}, mysqlops.SemiSync{}, nil, "new"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &kept{recorder: recorder{status: mysqlops.Status{SemiSync: c.semiSync}}}
			r := newTestRotation(t, server, c.view, heard{})
			r.tend(t.Context())
			if done := server.done(); !slices.Equal(done, c.changes) {
				t.Errorf("did %q, want %q", done, c.changes)
			}
			if got := r.state.passwords(); got != c.revision {
				t.Errorf("published revision %q, want %q", got, c.revision)
			}
		})
	}
}

// A password that mysqld's rules refuse is published until another one is in use, or the member is no primary any more.
func TestARefusedPasswordIsPublished(t *testing.T) {
	server := &kept{recorder: recorder{failure: fmt.Errorf("set password: %w (MySQL error 1819)", mysqlops.ErrPasswordPolicy)}}
	r := newTestRotation(t, server, openAt(3), heard{})
	r.tend(t.Context())
	if got := published(r.state); !slices.Contains(got, agentapi.ProblemPasswordRefused) {
		t.Errorf("published %v, want PasswordRefused", got)
	}
	if got := r.state.passwords(); got != "" {
		t.Errorf("it works with revision %q, though a password was refused", got)
	}
	server.failure = nil
	r.tend(t.Context())
	if got := published(r.state); slices.Contains(got, agentapi.ProblemPasswordRefused) {
		t.Errorf("published %v after another password was taken", got)
	}
}

func TestAFormerPasswordStaysUntilItIsNotNeeded(t *testing.T) {
	const own = "discard the former of " + mysqlops.UserReplication
	const app = "discard the former of " + mysqlops.UserApp
	changed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		peer    string
		age     time.Duration
		overlap time.Duration
		gone    []string
		until   time.Time
	}{
		"just changed":              {"new", time.Second, 0, nil, changed.Add(formerFor)},
		"the peer works with it":    {"old", time.Hour, 2 * time.Hour, nil, changed.Add(2 * time.Hour)},
		"nobody works with it":      {"new", time.Hour, time.Hour, []string{own, app}, time.Time{}},
		"an application may yet":    {"new", time.Hour, 2 * time.Hour, []string{own}, changed.Add(2 * time.Hour)},
		"the peer is an older one":  {"old", time.Hour, 0, []string{app}, time.Time{}},
		"the overlap was cut short": {"new", 2 * time.Minute, 0, []string{own, app}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			server := &kept{former: []mysqlops.FormerPassword{
				{Account: mysqlops.Account{User: mysqlops.UserReplication, Host: "%"}, ChangedAt: changed, Age: c.age},
				{Account: mysqlops.Account{User: mysqlops.UserApp, Host: "%"}, ChangedAt: changed, Age: c.age},
				{Account: mysqlops.Account{User: "someone", Host: "%"}, ChangedAt: changed, Age: 1000 * time.Hour},
			}}
			r := newTestRotation(t, server, openAt(3), heard{state: &agentapi.State{Server: &agentapi.Server{PasswordsRevision: c.peer}}})
			r.settings.config.AppPasswordOverlap = c.overlap
			r.tend(t.Context())
			if done := server.done()[1:]; !slices.Equal(done, c.gone) {
				t.Errorf("did %q, want %q", done, c.gone)
			}
			if got := r.state.formerAppUntil; !got.Equal(c.until) {
				t.Errorf("the application's is valid until %s, want %s", got, c.until)
			}
		})
	}
}

// The primary before this one has changed it already: to do so again would end the former one.
func TestAnApplicationsPasswordThatMysqldHasIsNotChangedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		has     bool
		failure error
		changes bool
		done    bool
	}{
		"mysqld has the former":    {changes: true, done: true},
		"mysqld has it":            {has: true, done: true},
		"the account is not there": {failure: mysqlops.ErrNoSuchObject, done: true},
		"mysqld does not answer":   {failure: mysqlops.ErrTooManyConnections},
	} {
		t.Run(name, func(t *testing.T) {
			server := &kept{holds: c.has, unknown: c.failure}
			r := newTestRotation(t, server, openAt(3), heard{})
			r.settings.passwords[agentapi.PasswordFileApp] = "second"
			r.tend(t.Context())
			if got := server.has("change " + mysqlops.UserApp); got != c.changes {
				t.Errorf("changed: %t", got)
			}
			if got := r.state.passwords() == "new"; got != c.done {
				t.Errorf("published as changed: %t", got)
			}
		})
	}
}

func TestAPassiveWhoseRootIsTheFormerOneDoesNotWorkWithTheNewPasswords(t *testing.T) {
	r := newTestRotation(t, &kept{}, authority.View{Serving: authority.Shut}, heard{})
	arrived := false
	r.acceptsRoot = func(context.Context) (bool, error) { return arrived, nil }
	for _, want := range []string{"", "new"} {
		r.tend(t.Context())
		if got := r.state.passwords(); got != want {
			t.Errorf("root's new password is there: %t; published revision %q", arrived, got)
		}
		arrived = true
	}
}

func TestAnAccountThatWasMissingHasTheNewPassword(t *testing.T) {
	server := &kept{made: []string{mysqlops.UserReplication}}
	r := newTestRotation(t, server, openAt(3), heard{})
	r.complete = false
	r.tend(t.Context())
	if done := server.done(); !slices.Equal(done, []string{"ensure accounts"}) {
		t.Errorf("did %q", done)
	}
}

func TestWhatOnlyThePeerHasIsNamedWhileItIsAway(t *testing.T) {
	has := &agentapi.State{PairUID: "pair-a", DataID: "data-1", Server: &agentapi.Server{
		GTIDExecuted: peersUUID + ":1-9",
		PurgedGTIDs:  peersUUID + ":1-4",
	}}
	mine := mysqlops.Status{ServerUUID: ownUUID, Received: gtid.MustParse(peersUUID + ":1-3")}
	l := &lacking{
		pairUID: "pair-a",
		log:     logr.Discard(),
		state:   newTestBoard(),
		data:    &dataset{},
	}
	for _, step := range []struct {
		what    string
		peer    *agentapi.State
		serving authority.Serving
		lacks   string
	}{
		{"nothing was heard", nil, authority.Shut, ""},
		{"another pair has purged them", &agentapi.State{PairUID: "pair-b", DataID: "d", Server: has.Server}, authority.Shut, ""},
		{"the peer has purged one", has, authority.Shut, peersUUID + ":4"},
		{"the peer is away", nil, authority.Shut, peersUUID + ":4"},
		{"this member opens", nil, authority.Opening, peersUUID + ":4"},
		{"it is the primary", nil, authority.Serves, ""},
	} {
		l.look(step.peer, mine, step.serving)
		got := ""
		if found := l.state.snapshot().Lacks; found != nil {
			got = found.GTIDs
		}
		if got != step.lacks {
			t.Errorf("%s: lacks %q, want %q", step.what, got, step.lacks)
		}
	}
}
