package sim

import (
	"errors"
	"maps"
	"strconv"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

const pairUID = pair.UID("pair-1")

// apiServer keeps the objects. Everything here happens at one instant each.
type apiServer struct {
	w       *world
	gate    gate // the API server is stopped
	version int
	lease   *authority.Record
	leaseRV string
	pods    [2]*pod
	service failover.Service
	set     failover.StatefulSet
	status  pair.Epoch
	// accepted is the record that the pair's status keeps.
	accepted *authority.Record
	opsList  []*operationObject
	backup   *backup
	ever     bool // a Lease was ever made
	led      *pod // to whose mysqld the Service led last
	// demoted is the pod that the last appointment left as the passive, until the next one; a revocation
	// in between changes nothing about it.
	demoted pair.Holder
	// topEpoch is the highest epoch that an operator wrote.
	topEpoch pair.Epoch
	digested *authority.Record // of which digest is
	digest   string
}

// backup is what an etcd restore brings back.
type backup struct {
	lease   *authority.Record
	service failover.Service
	status  pair.Epoch
	// accepted is the record that the pair's status keeps.
	accepted *authority.Record
	labels   map[*pod]map[string]string
}

func newAPI(w *world) *apiServer {
	return &apiServer{
		w:       w,
		service: failover.Service{Reading: failover.Read, Version: "0", Epoch: -1},
		set:     failover.StatefulSet{Reading: failover.Read, Version: "0", Replicas: 2},
	}
}

func (a *apiServer) bump() string {
	a.version++
	return strconv.Itoa(a.version)
}

var errForbidden = errors.New("there is no such object")

func (a *apiServer) create(r authority.Record) (string, error) {
	if a.lease != nil {
		return "", execute.ErrConflict
	}
	return a.put(r), nil
}

// write is conditional on the version; without one it is not, as with a real API server.
func (a *apiServer) write(r authority.Record, version string) (string, error) {
	if a.lease == nil || (version != "" && a.leaseRV != version) {
		return "", execute.ErrConflict
	}
	back := r.Epoch < a.lease.Epoch || (r.Epoch == a.lease.Epoch && r.Ledger.Version < a.lease.Ledger.Version)
	if back && a.authentic() {
		a.w.violate("epochs", "the Lease went from epoch %d and ledger %d back to %d and %d", a.lease.Epoch, a.lease.Ledger.Version, r.Epoch, r.Ledger.Version)
	}
	return a.put(r), nil
}

func (a *apiServer) put(r authority.Record) string {
	c := r.Clone()
	sign(&c)
	old := a.lease
	a.topEpoch = max(a.topEpoch, c.Epoch)
	defer func() { a.tell(old, r) }()
	a.lease, a.leaseRV, a.ever = &c, a.bump(), true
	a.status = max(a.status, r.Epoch)
	a.w.tracef("Lease: epoch %d holder %q ledger %d %s(%s) %v data %v", r.Epoch, r.Holder, r.Ledger.Version, r.Ledger.State, r.Ledger.First, r.Ledger.Incarnations, r.Data)
	return a.leaseRV
}

// tell has the faults come that wait for this change.
func (a *apiServer) tell(old *authority.Record, r authority.Record) {
	if old == nil {
		return
	}
	if r.Appointed != nil && r.Appointed.Demoted && old.Holder.Nobody() {
		a.w.checkLedger(r)
		a.w.fired["demoted, ledger "+string(r.Ledger.State)]++
	}
	if old.Ledger.State != r.Ledger.State && r.Epoch > 0 {
		a.w.checkLedger(r)
		a.w.checkSolo(*old, r)
		a.w.happens(trigger(r.Ledger.State))
	}
	if !old.Holder.Nobody() && r.Holder.Nobody() {
		a.w.happens(onRevoked)
	}
	if old.Holder.Nobody() && !r.Holder.Nobody() {
		a.demoted = pair.Holder{}
		if r.Appointed != nil && r.Appointed.Demoted && r.LastHolder != nil {
			a.demoted = r.LastHolder.Holder
		}
		a.w.happens(onAppointed)
	}
}

func (a *apiServer) podOf(s fencing.Subject) *pod {
	for _, p := range a.pods {
		if p != nil && p.uid == s.PodUID && p.member.name == s.Member {
			return p
		}
	}
	return nil
}

func (a *apiServer) deletePod(s fencing.Subject) error {
	if p := a.podOf(s); p != nil {
		p.byOperator = true
		a.beginDeletion(p)
	}
	return nil
}

func (a *apiServer) finalizer(s fencing.Subject, on bool) error {
	p := a.podOf(s)
	if p == nil {
		if on {
			return execute.ErrConflict
		}
		return nil
	}
	if on && p.deleting {
		return execute.ErrConflict
	}
	p.fenced = on
	p.byOperator = p.byOperator || !on
	a.collect(p)
	return nil
}

func (a *apiServer) label(s fencing.Subject, set map[string]string, remove []string) error {
	p := a.podOf(s)
	if p == nil {
		return execute.ErrConflict
	}
	p.labels = maps.Clone(p.labels)
	maps.Copy(p.labels, set)
	for _, key := range remove {
		delete(p.labels, key)
	}
	return nil
}

func (a *apiServer) point(p failover.PointService) error {
	if a.service.Version != p.Version {
		return execute.ErrConflict
	}
	if a.service.Detached != "" {
		a.w.fired["attached to the "+string(p.Leads)]++
	}
	a.service = failover.Service{
		Reading:   failover.Read,
		Version:   a.bump(),
		Epoch:     -1,
		Leads:     p.Leads,
		PortLeads: p.Leads,
		Member:    p.Member,
	}
	if p.Leads == failover.LeadsOpen {
		a.service.Epoch = p.Epoch
	}
	a.w.tracef("Service: epoch %d leads to the %s of %s", p.Epoch, p.Leads, p.Member)
	if p.Leads == failover.LeadsOpen {
		if to := a.behind(); to != nil && to.shown[pair.EpochLabel(p.Epoch)] == "" {
			a.w.violate("routing", "the Service leads by a label of %s that nobody has seen yet", to.uid)
		}
		a.w.checkRouting(p)
		a.led = a.endpoint()
	}
	return nil
}

func (a *apiServer) detach(d failover.DetachService) error {
	if a.service.Version != d.Version {
		return execute.ErrConflict
	}
	if p := a.behind(); p != nil && p.uid != d.From.PodUID {
		a.w.violate("routing", "the Service is detached from %s and leads elsewhere", d.From)
	}
	a.service = failover.Service{Reading: failover.Read, Version: a.bump(), Epoch: -1, Detached: d.From.PodUID}
	a.w.fired["detached"]++
	a.w.tracef("Service: detached from %s", d.From)
	return nil
}

// behind is the pod that is behind the Service, by its door or its mysqld.
func (a *apiServer) behind() *pod {
	s := a.service
	for _, p := range a.pods {
		switch {
		case p == nil:
		case s.Detached != "" && p.uid == s.Detached:
			return p
		case s.Detached == "" && p.member.name == s.Member &&
			(s.Leads == failover.LeadsDoor || p.labels[pair.EpochLabel(s.Epoch)] == string(failover.LeadsOpen)):
			return p
		}
	}
	return nil
}

// endpoint is the pod to whose mysqld the Service leads.
func (a *apiServer) endpoint() *pod {
	if a.service.Detached == "" && a.service.Leads != failover.LeadsOpen {
		return nil
	}
	return a.behind()
}
