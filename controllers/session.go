package controllers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/signing"
)

// session is what this process remembers of one pair between two looks. All of it may be
// lost: it shortens waits, and no safety rests on it.
type session struct {
	uid   types.UID
	store *lease.Store
	book  *fencing.Book
	// records are written down in their order beside the reconcile.
	records cluster.Later
	// budgets are the disruption budgets of looks, in their order too.
	budgets cluster.Later

	// The fields below belong to the reconcile of this pair, of which there is one at a
	// time.
	history failover.History
	// problems of members with their counts, and events that were raised once: what has
	// been told already.
	problems map[string]int
	told     map[string]string
	// writes notes the writes that the API server refuses; toldRefused are those for which an
	// event was raised.
	writes      *refusals
	toldRefused map[failover.Write]bool
	spoke       failover.RuleName
	// refusals in a row of one step.
	refusals    int
	refusedStep failover.StepName
	acted       acted
	// surrounded is the generation whose surroundings were made, and when; childrenOverdue
	// is when a look first left them out since, zero for never.
	surrounded      int64
	surroundedAt    time.Time
	childrenOverdue time.Time
	// surroundedOnce: the first attempt was made, after which surroundings follow the steps.
	surroundedOnce bool
	childErr       error
	throttle       throttle
	// judged is about the newest generation whose settings were compared to the members'.
	judged judged
	// notGrown says which volume cannot get the size of the spec, and why; empty when all can.
	notGrown string
	// trial is under way about a newer generation; nil for none.
	trial *trial
	// settledSince is since when the pair has been in order with both members heard; zero
	// while it is not.
	settledSince time.Time
	// Bookkeeping that may fail, each kind apart.
	children attempts
	labels   attempts
	reports  attempts
	pruning  attempts
	signing  attempts
	drilling attempts
	// drills are those that are due or were skipped.
	drills drills
	// goneSince is when the pair was first seen gone; stopRequested are the pods that were
	// told so.
	goneSince     time.Time
	stopRequested map[pair.PodUID]bool
	// absences are about the members that have no pod.
	absences [2]absence
	// refusedPods is what the cluster's events say about a member's pod that is not made or
	// does not begin; eventsReadAt is when they were last read.
	refusedPods  map[pair.MemberName]string
	eventsReadAt time.Time
	events       attempts
	// wokenAt is when the StatefulSet was last touched for a missing pod.
	wokenAt time.Time
	// lastStatus is when the status was last written, statusOwed when a look first left it
	// out since, zero for never.
	lastStatus time.Time
	statusOwed time.Time

	// containers is read by proofs, which run beside each other.
	mu         sync.Mutex
	containers map[pair.PodUID]cluster.Seen
	credential credential
	// unsigned: the pair's operators did not sign the Lease yet, so that one without a
	// signature counts, until one with a signature was read.
	unsigned bool
	signed   bool
}

// acted is a step that was done, for a rule, over one version of the authority.
type acted struct {
	rule    failover.RuleName
	step    failover.StepName
	version string
}

// credential is what the operator shows the agents of this pair, and whom it trusts.
type credential struct {
	cert   tls.Certificate
	leaf   pki.Leaf
	roots  *x509.CertPool
	bundle string
	// authority signs the Lease; signers are those whose signature on it counts.
	authority *pki.Authority
	signers   *signing.Trusted
	// former signs instead for as long as members may not trust authority yet.
	former *pki.Authority
	// since is when the authority became this one, for this process.
	since time.Time
}

func newSession(uid types.UID, store *lease.Store, now time.Time) *session {
	s := &session{
		uid:         uid,
		store:       store,
		book:        fencing.NewBook(),
		history:     failover.History{StartedAt: now, Errant: map[pair.MemberName]failover.Errant{}},
		problems:    map[string]int{},
		told:        map[string]string{},
		containers:  map[pair.PodUID]cluster.Seen{},
		refusedPods: map[pair.MemberName]string{},
		writes:      &refusals{},
		toldRefused: map[failover.Write]bool{},
	}
	store.Keyring = s
	store.AcceptUnsigned = s.unsignedCounts
	return s
}

// sessions are those of all pairs.
type sessions struct {
	mu  sync.Mutex
	all map[types.NamespacedName]*session
}

// of is the session of the pair with this UID; a pair made again under its name gets a
// new one.
func (s *sessions) of(name types.NamespacedName, uid types.UID, make func() *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.all[name]; have != nil && have.uid == uid {
		return have
	}
	if s.all == nil {
		s.all = map[types.NamespacedName]*session{}
	}
	s.all[name] = make()
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

// statusDue: this look reports. In the middle of a failover, which is when there is hurry,
// the next step is worth more than a report of the last; for requeueSoon, and no longer.
func (s *session) statusDue(hurry bool, now time.Time) bool {
	if hurry && s.statusOwed.IsZero() {
		s.statusOwed = now
	}
	if hurry && now.Sub(s.statusOwed) < requeueSoon {
		return false
	}
	s.statusOwed = time.Time{}
	return true
}

// remember keeps what later observations and proofs need to know of this one.
func (s *session) remember(o failover.Observation, seen view) {
	s.absences = seen.absences
	s.history = o.History
	if o.Authority.Reading == failover.Read {
		s.book.SawEpoch(o.Authority.Record.Epoch, o.Now)
		s.sawRecord(o.Authority.Record)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers = map[pair.PodUID]cluster.Seen{}
	for i, pod := range seen.pods {
		if pod != nil {
			s.containers[pair.PodUID(pod.UID)] = seen.containers[i]
		}
	}
}

func (s *session) seenOf(uid pair.PodUID) cluster.Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.containers[uid]
}

// errNoCredential is returned until the pair's certificates are made.
var errNoCredential = errors.New("the certificates of the pair are not made yet")

// trust renews the operator's own certificate for this pair when it is due, and what it
// trusts when that changed. It reports whether connections have to be made again.
func (s *session) trust(a *pki.Authority, bundle []byte, key *pki.Key, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.credential.since) >= trustSpreads {
		s.credential.former = nil
	}
	why := a.Due(s.credential.leaf, pki.Operator(), now)
	if why == "" && s.credential.bundle == string(bundle) {
		return false, nil
	}
	signers, err := signing.Trust(bundle)
	if err != nil {
		return false, fmt.Errorf("the pair's certificate authority: %w", err)
	}
	since := s.credential.since
	former := s.credential.former
	if present := s.credential.authority; present == nil || !present.Cert.Equal(a.Cert) {
		since = now
		if former == nil {
			former = present
		}
	}
	leaf, err := operatorLeaf(a, key, now)
	if err != nil {
		return false, fmt.Errorf("the operator's certificate: %w", err)
	}
	cert, err := leaf.KeyPair()
	if err != nil {
		return false, fmt.Errorf("the operator's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	s.credential = credential{
		cert:      cert,
		leaf:      leaf,
		roots:     roots,
		bundle:    string(bundle),
		authority: a,
		signers:   signers,
		former:    former,
		since:     since,
	}
	return true, nil
}

// operatorLeaf is a certificate of the operator for its key, or for one of its own without.
func operatorLeaf(a *pki.Authority, key *pki.Key, now time.Time) (pki.Leaf, error) {
	if key == nil {
		return a.Issue(pki.Operator(), now)
	}
	return a.IssueFor(pki.Operator(), key, now)
}

// clientTLS is how the operator speaks to the agent at this address.
func (s *session) clientTLS(serverName string) (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential.roots == nil {
		return nil, errNoCredential
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   serverName,
		RootCAs:      s.credential.roots,
		Certificates: []tls.Certificate{s.credential.cert},
	}, nil
}

// refusedAgain is how long to wait after a refusal of a step: longer with each in a row.
func (s *session) refusedAgain(step failover.StepName) time.Duration {
	if s.refusedStep != step {
		s.refusedStep = step
		s.refusals = 0
	}
	s.refusals = min(s.refusals+1, 8)
	return 20 * time.Millisecond << s.refusals
}
