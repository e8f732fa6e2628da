package sim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

const pairUID = pair.UID("pair-1")

// pod is a pod object, and the container the kubelet keeps for it.
type pod struct {
	uid       pair.PodUID
	member    *memberSim
	created   time.Duration
	deleting  bool
	asked     time.Duration
	fenced    bool
	labels    map[string]string
	shown     map[string]string // the labels as they were read last
	running   bool              // the kubelet reports a running container
	container string
	ran       string // the newest container that was seen running
	ended     bool
	finished  time.Duration
	byKubelet bool
	agent     *agentSim // the container's process; nil when none runs
	noted     bool      // the kubelet knows of the deletion
}

// operationObject is a DatabasePairOperation.
type operationObject struct {
	failover.OperationNote
	target    pair.MemberName
	confirmed pair.Epoch
	operator  bool
	finished  time.Duration
}

// apiServer keeps the objects. Everything here happens at one instant each.
type apiServer struct {
	w       *world
	gate    gate // the API server is stopped
	version int
	lease   *authority.Record
	leaseRV string
	pods    [2]*pod
	service failover.Service
	status  pair.Epoch
	opsList []*operationObject
	backup  *backup
	ever    bool // a Lease was ever made
	led     *pod // to whose mysqld the Service led last
}

// backup is what an etcd restore brings back.
type backup struct {
	lease   *authority.Record
	service failover.Service
	status  pair.Epoch
	labels  map[*pod]map[string]string
}

func newAPI(w *world) *apiServer {
	return &apiServer{w: w, service: failover.Service{Reading: failover.Read, Version: "0", Epoch: -1}}
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
	if a.lease == nil || version != "" && a.leaseRV != version {
		return "", execute.ErrConflict
	}
	if r.Epoch < a.lease.Epoch || r.Epoch == a.lease.Epoch && r.Ledger.Version < a.lease.Ledger.Version {
		a.w.violate("epochs", "the Lease went from epoch %d and ledger %d back to %d and %d", a.lease.Epoch, a.lease.Ledger.Version, r.Epoch, r.Ledger.Version)
	}
	return a.put(r), nil
}

func (a *apiServer) put(r authority.Record) string {
	c := r.Clone()
	old := a.lease
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
	if old.Ledger.State != r.Ledger.State && r.Epoch > 0 {
		a.w.checkLedger(r)
		a.w.happens(trigger(r.Ledger.State))
	}
	if !old.Holder.Nobody() && r.Holder.Nobody() {
		a.w.happens(onRevoked)
	}
	if old.Holder.Nobody() && !r.Holder.Nobody() {
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
	p := a.podOf(s)
	if p == nil {
		return nil
	}
	if !p.deleting {
		p.deleting, p.asked = true, a.w.now
		a.w.tracef("pod %s: deletion accepted", s)
		p.member.kubelet()
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
	a.service = failover.Service{Reading: failover.Read, Version: a.bump(), Epoch: -1, Leads: p.Leads, PortLeads: p.Leads, Member: p.Member}
	if p.Leads == failover.LeadsOpen {
		a.service.Epoch = p.Epoch
	}
	a.w.tracef("Service: epoch %d leads to the %s of %s", p.Epoch, p.Leads, p.Member)
	if p.Leads == failover.LeadsOpen {
		if to := a.behind(); to != nil && to.shown[failover.EpochLabel(p.Epoch)] == "" {
			a.w.violate("routing", "the Service leads by a label of %s that nobody has seen yet", to.uid)
		}
		a.w.checkRouting(p)
		a.led = a.endpoint()
	}
	return nil
}

// collect removes a pod that is deleted, ended and free of finalizers.
func (a *apiServer) collect(p *pod) {
	if p.deleting && p.ended && !p.fenced {
		a.remove(p)
	}
}

func (a *apiServer) remove(p *pod) {
	for i := range a.pods {
		if a.pods[i] == p {
			a.pods[i] = nil
			a.w.tracef("pod %s/%s is gone", p.member.name, p.uid)
			m := p.member
			a.w.after(a.w.between(200*time.Millisecond, 2*time.Second), m.makePod)
		}
	}
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
			(s.Leads == failover.LeadsDoor || p.labels[failover.EpochLabel(s.Epoch)] == string(failover.LeadsOpen)):
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

func (a *apiServer) podView(m *memberSim) failover.Pod {
	p := a.pods[m.index]
	if p == nil {
		return failover.Pod{Reading: failover.Missing}
	}
	facts := fencing.PodFacts{
		UID: p.uid, Deleting: p.deleting, DeletionAsked: a.w.wall(p.asked), ContainerID: p.container, Terminated: p.ended && !p.running, LastRunning: p.ran,
		FinishedAt: a.w.wall(p.finished), KubeletEnded: p.byKubelet && p.ended,
	}
	ip := ""
	if p.agent != nil || p.running {
		ip = "10.0.0." + string(p.uid)
	}
	p.shown = maps.Clone(p.labels)
	return failover.Pod{
		Reading: failover.Read, UID: p.uid, Node: m.node.name, IP: ip, CreatedAt: a.w.wall(p.created), Deleting: p.deleting, Fenced: p.fenced,
		Labels: maps.Clone(p.labels), Ended: facts, NodeOutOfService: failover.Known(m.node.outOfService), NodeGone: failover.No,
	}
}

func (a *apiServer) operation(n failover.OperationNote) {
	for _, o := range a.opsList {
		if o.Name == n.Name {
			if o.Phase != failover.OperationRunning && o.Phase != "" {
				return
			}
			o.Phase, o.Message, o.Proof = n.Phase, n.Message, cmp.Or(n.Proof, o.Proof)
			if o.Epoch == 0 {
				o.Epoch, o.From = n.Epoch, n.From
			}
			if n.Phase != failover.OperationRunning {
				o.finished = a.w.now
			}
			return
		}
	}
}

// operationMade makes the object of an operation; what it says follows.
func (a *apiServer) operationMade(n failover.OperationNote) {
	if slices.ContainsFunc(a.opsList, func(o *operationObject) bool { return o.Name == n.Name }) {
		return
	}
	empty := failover.OperationNote{Name: n.Name, Verb: n.Verb}
	a.opsList = append(a.opsList, &operationObject{OperationNote: empty, operator: true, confirmed: -1, finished: a.w.now})
}

// failovers are the ends of those that the operator made by itself.
func (a *apiServer) failovers() []time.Time {
	var out []time.Time
	for _, o := range a.opsList {
		if o.operator && o.Verb == failover.VerbFailover && o.Phase == failover.OperationSucceeded {
			out = append(out, a.w.wall(o.finished))
		}
	}
	return out
}

// recorded are the names of the operations that say something.
func (a *apiServer) recorded() []string {
	var out []string
	for _, o := range a.opsList {
		if o.Phase != "" {
			out = append(out, o.Name)
		}
	}
	return out
}

func (a *apiServer) unfinished() []failover.Operation {
	var out []failover.Operation
	for _, o := range a.opsList {
		if o.Phase != "" && o.Phase != failover.OperationRunning {
			continue
		}
		out = append(out, failover.Operation{
			Name: o.Name, Verb: o.Verb, Target: o.target, Confirmed: o.confirmed, ConfirmedPair: "shop",
			Running: o.Phase == failover.OperationRunning, ByOperator: o.operator, Epoch: o.Epoch, From: o.From,
		})
	}
	return out
}

// wall is a true instant as a time.
func (w *world) wall(d time.Duration) time.Time { return epochOfTime.Add(d) }

var epochOfTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// node is a machine.
type node struct {
	name         string
	gate         gate
	up           bool
	outOfService bool
	booted       time.Duration
	lost         time.Duration // time that BOOTTIME did not count: a hypervisor stopped it
	rate         float64
}

// memberSim is a member: its node, volume, and whatever processes run there.
type memberSim struct {
	w     *world
	index int
	site  site
	name  pair.MemberName
	node  *node
	vol   *volume
	boxes []*agentSim // running containers; two after a forced deletion
	made  int
	// thawed is when its machine was resumed last; forced: a person chose this member.
	thawed time.Duration
	knows  *pod
	forced bool
	// fileAsync: the file that its agent mounts says durability.mode Async.
	fileAsync bool
}

func newMember(w *world, i int) *memberSim {
	m := &memberSim{
		w: w, index: i, site: site(i), name: pair.MemberName(fmt.Sprintf("shop-%d", i)),
		node: &node{name: fmt.Sprintf("node-%d", i), up: true, rate: 1 + (w.rng.Float64()-0.5)*2*w.set.drift}, vol: &volume{},
	}
	return m
}

// running is the mysqld that runs on this member's volume.
func (m *memberSim) running() *mysqld {
	for _, a := range m.boxes {
		if a.mysqld != nil && !a.mysqld.dead {
			return a.mysqld
		}
	}
	return nil
}

// makePod is the StatefulSet controller.
func (m *memberSim) makePod() {
	a := m.w.api
	if a.pods[m.index] != nil {
		return
	}
	m.made++
	p := &pod{uid: pair.PodUID(fmt.Sprintf("%d%c", m.index, 'a'+m.made-1)), member: m, created: m.w.now, labels: map[string]string{}}
	a.pods[m.index] = p
	m.w.tracef("pod %s/%s is made", m.name, p.uid)
	m.kubelet()
}

// kubelet looks at the member's pod soon. Without a way to the API server it does not.
func (m *memberSim) kubelet() {
	m.w.after(m.w.between(20*time.Millisecond, 400*time.Millisecond), m.sync)
}

func (m *memberSim) sync() {
	w := m.w
	if !m.node.up {
		return
	}
	if w.cut[m.site][siteAPI] > 0 || w.cut[siteAPI][m.site] > 0 || w.api.gate.stopped > 0 || m.node.gate.stopped > 0 {
		// A kubelet restarts what it knows without asking anybody.
		if p := m.knows; p != nil && p.agent == nil && !p.noted && !p.ended && m.node.gate.stopped == 0 && p == w.api.pods[m.index] && !p.deleting {
			startAgent(m, p)
		}
		w.after(500*time.Millisecond, m.sync)
		return
	}
	m.knows = w.api.pods[m.index]
	p := w.api.pods[m.index]
	m.killForgotten(p)
	switch {
	case p == nil:
	case p.deleting && p.agent != nil && !p.noted:
		p.noted = true
		p.agent.terminate(10 * time.Second)
	case p.deleting && p.agent == nil && !p.ended:
		p.ended, p.running, p.byKubelet = true, false, true
		p.finished = max(p.finished, w.now)
		if p.container == "" {
			p.container = w.id("c")
		}
		w.tracef("pod %s/%s: terminated", m.name, p.uid)
		w.api.collect(p)
	case !p.deleting && p.agent == nil:
		p.container, p.running, p.ended = w.id("c"), true, false
		p.ran = p.container
		startAgent(m, p)
	}
}

// killForgotten ends containers whose pod object is gone.
func (m *memberSim) killForgotten(p *pod) {
	for _, a := range slices.Clone(m.boxes) {
		if a.pod != p && !a.condemned {
			a.condemned = true
			m.w.after(m.w.between(0, 5*time.Second), func() { a.terminate(5 * time.Second) })
		}
	}
}

// boxEnded is called when a container's processes are gone.
func (m *memberSim) boxEnded(a *agentSim) {
	m.boxes = slices.DeleteFunc(m.boxes, func(o *agentSim) bool { return o == a })
	if a.pod.agent == a {
		a.pod.agent = nil
		a.pod.finished = m.w.now
	}
	m.w.after(m.w.between(100*time.Millisecond, time.Second), m.sync)
}

// crash takes the machine away at once; unsynced relay log may be lost.
func (m *memberSim) crash(down time.Duration) {
	w := m.w
	w.tracef("node %s crashes for %s", m.node.name, down)
	m.node.up = false
	for _, a := range slices.Clone(m.boxes) {
		a.vanish()
	}
	m.node.gate.held = nil
	if d := m.vol.data; d != nil && len(d.relay) > 0 && w.chance(w.set.relayLost) {
		d.relay = d.relay[:w.rng.IntN(len(d.relay))]
	}
	w.after(down, func() {
		m.node.up, m.node.booted, m.node.lost = true, w.now, 0
		w.tracef("node %s is back", m.node.name)
		m.kubelet()
	})
}

// volume is a member's volume.
type volume struct {
	gate       gate // hung
	data       *dataset
	id         pair.DataID
	void       bool
	durable    authority.Durable
	remembered bool
	lock       *agentSim
}
