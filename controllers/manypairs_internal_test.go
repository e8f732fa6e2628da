//go:build !race

// A hundred pairs take the race detector minutes, and each reconcile has tests of its own under it.

package controllers

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	fakeclientset "k8s.io/client-go/kubernetes/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// The addresses of the pods: nothing answers at lostAddress, as on a node that is gone.
const (
	lostAddress = "127.0.0.1"
	goodAddress = "127.0.0.2"
)

// lostNode is a node that is gone with the primaries of many pairs, whose passives are well, in
// the clock of a synctest bubble.
type lostNode struct {
	*testing.T
	r     *PairReconciler
	ca    *pki.Authority
	begun time.Time
	ended chan struct{}
	conns chan net.Conn

	mu      sync.Mutex
	visits  map[types.NamespacedName]*visit
	fenced  map[types.NamespacedName]pair.Epoch
	decided map[types.NamespacedName]time.Duration
	all     chan struct{}
}

// loseNode returns after which time each of n pairs had its passive appointed, worked on by
// the operator's queue with so many workers.
func loseNode(t *testing.T, n, workers int) (slowest time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newLostNode(t, n)
		ctx, cancel := context.WithCancel(t.Context())
		heard := make(chan event.TypedGenericEvent[types.NamespacedName], heardBuffer)
		s.r.prepare(func(name types.NamespacedName) {
			select {
			case heard <- event.TypedGenericEvent[types.NamespacedName]{Object: name}:
			case <-ctx.Done():
			}
		})
		s.r.Agents.dial = s.dial
		options := visitOptions(workers)
		options.Reconciler = reconcile.Func(s.reconcile)
		options.SkipNameValidation = ptr.To(true)
		c, err := controller.NewUnmanaged("lost-node", options)
		s.must(err)
		s.must(c.Watch(source.TypedChannel(heard, handler.TypedFuncs[types.NamespacedName, reconcile.Request]{GenericFunc: enqueueHeard})))
		for i := range n {
			s.add(ctx, types.NamespacedName{Namespace: fmt.Sprintf("n%d", i), Name: "shop"})
		}
		done := make(chan error, 1)
		go func() { done <- c.Start(ctx) }()
		select {
		case <-s.all:
		case <-time.After(5 * time.Minute):
			t.Errorf("%d of %d pairs are decided after five minutes", len(s.decided), n)
		}
		for _, after := range s.decided {
			slowest = max(slowest, after)
		}
		cancel()
		s.must(<-done)
		s.r.Agents.watcher.Close()
		close(s.ended)
		for name := range s.visits {
			s.r.Agents.forget(name)
		}
		time.Sleep(time.Minute) // what waits beside the reconciles ends by itself
	})
	return slowest
}

func newLostNode(t *testing.T, n int) *lostNode {
	t.Helper()
	s := &lostNode{
		T:       t,
		begun:   time.Now(),
		ended:   make(chan struct{}),
		conns:   make(chan net.Conn),
		visits:  map[types.NamespacedName]*visit{},
		fenced:  map[types.NamespacedName]pair.Epoch{},
		decided: make(map[types.NamespacedName]time.Duration, n),
		all:     make(chan struct{}),
	}
	scheme := runtime.NewScheme()
	s.must(errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	objects := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.DatabasePairOperation{}).
		WithInterceptorFuncs(interceptor.Funcs{
			// Budgets are no part of this, and server-side apply takes the fake the most time by far.
			Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
				return nil
			},
		}).Build()
	s.r = &PairReconciler{
		Client: objects,
		Live:   objects,
		Leases: fakeclientset.NewClientset(), // for their type: a visit makes its store of it
		Events: silent{},
		Now:    time.Now,
	}
	var err error
	s.ca, err = pki.NewAuthority("shop", time.Now())
	s.must(err)
	var hosts []string
	for i := range n {
		hosts = append(hosts, "shop-1."+resources.Names{Pair: "shop", Namespace: fmt.Sprintf("n%d", i)}.Domain())
	}
	leaf, err := s.ca.Issue(pki.Member(resources.Names{Pair: "shop", Namespace: "n0"}, 1, hosts...), time.Now())
	s.must(err)
	cert, err := leaf.KeyPair()
	s.must(err)
	server := &http.Server{
		Handler:   http.HandlerFunc(s.serve),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}},
	}
	go func() { _ = server.ServeTLS(s, "", "") }()
	return s
}

func (s *lostNode) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// add makes a pair whose primary was open until now.
func (s *lostNode) add(ctx context.Context, name types.NamespacedName) {
	s.Helper()
	p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Namespace: name.Namespace,
		Name:      name.Name,
		UID:       "pair-uid",
	}}
	p.Spec.Failover.HeartbeatInterval.Duration = time.Second
	v := s.r.visit(ctx, p)
	v.name = name
	v.log = logr.Discard()
	for i, address := range []string{lostAddress, goodAddress} {
		v.pods[i] = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: fmt.Sprintf("shop-%d", i), UID: types.UID(fmt.Sprintf("pod-%d", i))},
			Status:     corev1.PodStatus{PodIP: address},
		}
	}
	for _, o := range []client.Object{
		v.pods[0].DeepCopy(),
		v.pods[1].DeepCopy(),
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}},
	} {
		s.must(s.r.Client.Create(ctx, o))
	}
	_, err := v.session.keyring.trust(s.ca, s.ca.CertPEM, nil, time.Now())
	s.must(err)
	v.session.store.API = leasesIn{s.r.Client, name.Namespace}
	_, err = v.session.store.Create(ctx, (&drillStage{now: time.Now()}).fit().Authority.Record)
	s.must(err)
	s.visits[name] = v
	s.r.Agents.watch(ctx, v)
}

// silent raises no events.
type silent struct{}

// Eventf implements recorder.EventRecorder.
func (silent) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// AnnotatedEventf implements recorder.EventRecorder.
func (silent) AnnotatedEventf(runtime.Object, runtime.Object, map[string]string, string, string, string, string, ...any) {
}

// leasesIn has Leases with versions, which the fake of the typed client lacks.
type leasesIn struct {
	client.Client
	namespace string
}

// Get implements lease.API.
func (a leasesIn) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	l := &coordinationv1.Lease{}
	return l, a.Client.Get(ctx, types.NamespacedName{Namespace: a.namespace, Name: name}, l)
}

// Create implements lease.API.
func (a leasesIn) Create(ctx context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	l = l.DeepCopy()
	l.Namespace = a.namespace
	return l, a.Client.Create(ctx, l)
}

// Update implements lease.API.
func (a leasesIn) Update(ctx context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	l = l.DeepCopy()
	return l, a.Client.Update(ctx, l)
}

// dial connects to the server of the passives' agents, or to nobody.
func (s *lostNode) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if strings.HasPrefix(address, lostAddress+":") {
		select {
		case <-ctx.Done():
		case <-s.ended:
		}
		return nil, context.DeadlineExceeded
	}
	ours, theirs := net.Pipe()
	select {
	case s.conns <- theirs:
		return ours, nil
	case <-s.ended:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (s *lostNode) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *lostNode) Close() error { return nil }

// Addr implements net.Listener.
func (s *lostNode) Addr() net.Addr { return &net.TCPAddr{} }

// serve answers for the agent of the passive whose name the client asked for.
func (s *lostNode) serve(w http.ResponseWriter, r *http.Request) {
	name := types.NamespacedName{Namespace: strings.Split(r.TLS.ServerName, ".")[2], Name: "shop"}
	var answer any
	switch r.URL.Path {
	case agentapi.PathState:
		wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
		select {
		case <-time.After(wait):
		case <-s.ended:
		}
		answer = s.state(name)
	case agentapi.PathAckFence, agentapi.PathCease:
		var c agentapi.Command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			s.Error(err)
		}
		s.mu.Lock()
		s.fenced[name] = c.Epoch
		s.mu.Unlock()
		answer = agentapi.FenceReply{
			RequestID:       c.RequestID,
			Member:          "shop-1",
			PodUID:          "pod-1",
			Epoch:           c.Epoch,
			Ceased:          true,
			Demoted:         true,
			ReceiverStopped: true,
		}
	default:
		answer = agentapi.Done{}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.Log(err)
	}
}

// state is what the passive's agent says.
func (s *lostNode) state(name types.NamespacedName) agentapi.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := *(&drillStage{now: time.Now()}).fit().Members[1].State
	state.PeerSilentFor = time.Since(s.begun)
	state.Revision = 1 + min(int64(state.PeerSilentFor/time.Second), 6)
	if epoch := s.fenced[name]; epoch > 0 {
		state.Revision += 10
		state.KnownEpoch = epoch
		state.ReceiverStoppedAt = epoch
		state.AppliedAll = true
	}
	return state
}

// reconcile decides from what the agents are heard to say and from the Lease, and acts.
func (s *lostNode) reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	s.mu.Lock()
	v := s.visits[req.NamespacedName]
	s.mu.Unlock()
	o := (&drillStage{now: time.Now()}).fit()
	o.Settings.Namespace = req.Namespace
	o.Evidence = v.session.book
	var service corev1.Service
	if err := s.r.Client.Get(ctx, req.NamespacedName, &service); err != nil {
		return reconcile.Result{}, err
	}
	o.Service = cluster.ObserveService(&service)
	for i := range o.Members {
		m := &o.Members[i]
		facts := s.r.Agents.facts(v.name, m.Name, m.Pod.UID)
		m.Reach = facts.Reach
		m.State = facts.State
		m.HeardAt = facts.HeardAt
		m.SilentSince = facts.SilentSince
		var pod corev1.Pod
		if err := s.r.Client.Get(ctx, types.NamespacedName{Namespace: req.Namespace, Name: string(m.Name)}, &pod); err != nil {
			return reconcile.Result{}, err
		}
		m.Pod.Fenced = hasFinalizer(&pod)
	}
	o.Authority, _ = s.r.observeAuthority(ctx, v)
	rec := o.Authority.Record
	if rec.Holder.Member == "shop-1" {
		s.appointed(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	v.session.book.SawEpoch(rec.Epoch, o.Now)
	v.session.history = v.session.history.Next(o)
	o.History = v.session.history
	again, err := s.r.act(ctx, v, o, failover.Decide(o))
	if err != nil {
		s.Errorf("%s: %v", req, err)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

func (s *lostNode) appointed(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decided[name] != 0 {
		return
	}
	s.decided[name] = time.Since(s.begun)
	if len(s.decided) == len(s.visits) {
		close(s.all)
	}
}

// A node that dies takes the primaries of many pairs with it. Each of their agents is waited
// for, for as long as an agent is that does not answer, and no pair may wait for all the others.
func TestAHundredPairsDoNotWaitForEachOthersAgents(t *testing.T) {
	const patience = time.Second // what an agent is given that does not answer the watch either
	alone := loseNode(t, 1, DefaultConcurrent)
	among := loseNode(t, 100, DefaultConcurrent)
	t.Logf("one pair: %s; the last of a hundred: %s", alone, among)
	if late := among - alone; late > 3*patience {
		t.Errorf("the last of a hundred pairs is decided %s later than a pair alone, want at most %s", late, 3*patience)
	}
}
