package controllers

import (
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// session is what this process remembers of one pair between two reconciles. All of it may be
// lost: it shortens waits, and no safety rests on it.
type session struct {
	uid   types.UID
	store *lease.Store
	book  *fencing.Book
	// records are written down in their order beside the reconcile.
	records cluster.Later
	// budgets are the disruption budgets of reconciles, in their order too.
	budgets cluster.Later
	// writes notes the writes that the API server refuses.
	writes *refusals

	keyring    keyring
	containers containers
	warned     warnings
	settled    settledSpell
	reports    reports
	// held: the Lease that was read last names a primary.
	held      atomic.Bool
	revisions revisions

	// children belongs to the reconcile of the objects around this pair.
	children childrenMemory

	// The values below belong to the reconcile of this pair, of which there is one at a time.
	history   failover.History
	absences  [2]absence
	podEvents podEvents
	// taken is what the mysqld of each member's pod was last known to have taken over.
	taken    [2]takenOver
	repeated repetition
	news     news
	throttle throttle
	reported reportTimes
	drills   drills
	farewell farewell
	// bootstrap is what spec.bootstrap waits for.
	bootstrap awaited
	// archivedTold are the last reports of what is archived, by member.
	archivedTold [2]archivedTold
	// vaultGone: nothing is left of what served a backup.
	vaultGone bool
	// reseed is the backup that is served for a re-seed.
	reseed reseedVault
	tries  tries
}

func newSession(uid types.UID, store *lease.Store, now time.Time) *session {
	s := &session{
		uid:     uid,
		store:   store,
		book:    fencing.NewBook(),
		history: failover.History{StartedAt: now, Errant: map[pair.MemberName]failover.Errant{}},
		writes:  &refusals{},
	}
	store.Keyring = &s.keyring
	store.AcceptUnsigned = s.keyring.unsignedCounts
	return s
}

// remember keeps what later observations and proofs need to know of this one.
func (s *session) remember(o failover.Observation, seen view) {
	s.absences = seen.absences
	s.history = o.History
	if o.Authority.Reading == failover.Read {
		s.book.SawEpoch(o.Authority.Record.Epoch, o.Now)
		s.held.Store(!o.Authority.Record.Holder.Nobody())
		s.keyring.sawRecord(o.Authority.Record)
	}
	s.containers.keep(seen)
	s.revisions.saw(o)
}

// knowsPod reports whether this pod was seen with the labels of a member before, or is the
// holder of the authority.
func (s *session) knowsPod(uid pair.PodUID) bool {
	accepted := s.history.Accepted
	return s.containers.know(uid) || (accepted != nil && uid != "" && accepted.Holder.PodUID == uid)
}

// sessions are those of all pairs.
type sessions struct {
	mu  sync.Mutex
	all map[types.NamespacedName]*session
	// begin makes a session.
	begin func(*v1alpha1.DatabasePair) *session
}

// of is the session of this very pair; a pair made again under its name gets a new one.
func (s *sessions) of(p *v1alpha1.DatabasePair) *session {
	name := client.ObjectKeyFromObject(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.all[name]; have != nil && have.uid == p.UID {
		return have
	}
	if s.all == nil {
		s.all = map[types.NamespacedName]*session{}
	}
	s.all[name] = s.begin(p)
	return s.all[name]
}

func (s *sessions) find(name types.NamespacedName) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[name]
}

func (s *sessions) forget(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, name)
}
