package controllers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
)

// refusals keeps which writes about one pair the API server refuses. It may be lost: a write
// that is still refused is noted again. Safe for concurrent use.
type refusals struct {
	mu     sync.Mutex
	writes failover.Writes
}

// saw notes what became of a write.
func (r *refusals) saw(now time.Time, write failover.Write, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	says, outcome := judgeWrite(err)
	switch outcome {
	case writeRefused:
		r.writes = r.writes.Refused(now, write, says)
	case writeDone:
		r.writes = r.writes.Done(write)
	case writeUnknown:
	}
}

// repeated are the writes that the API server goes on refusing.
func (r *refusals) repeated(now time.Time) []failover.RefusedWrite {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writes.Repeated(now)
}

// writeOutcome is what an answer says about the writes that follow it.
type writeOutcome string

const (
	// writeDone: accepted, or moot since the object is gone or there already.
	writeDone writeOutcome = "Done"
	// writeRefused: the same write will be refused again until its cause is gone.
	writeRefused writeOutcome = "Refused"
	// writeUnknown: neither, as after a conflict or a timeout.
	writeUnknown writeOutcome = "Unknown"
)

// judgeWrite says what became of a write, and quotes the API server when it refuses. A webhook
// chooses the status code of its denial, and one that does not answer is an internal error of
// the API server's; only the message tells both from other errors.
func judgeWrite(err error) (says string, outcome writeOutcome) {
	if err == nil {
		return "", writeDone
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "", writeUnknown
	}
	says = status.Status().Message
	denied := strings.Contains(says, "admission webhook ") && strings.Contains(says, " denied the request")
	switch {
	case denied, strings.Contains(says, "failed calling webhook"):
		return says, writeRefused
	case apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return "", writeDone
	}
	switch status.Status().Code {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return says, writeRefused
	}
	return "", writeUnknown
}

type refusalsKey struct{}

// noting is a context whose writes by a notingClient or notingLeases are noted.
func noting(ctx context.Context, r *refusals) context.Context {
	return context.WithValue(ctx, refusalsKey{}, r)
}

func noteWrite(ctx context.Context, now clock, write failover.Write, err error) {
	if r, ok := ctx.Value(refusalsKey{}).(*refusals); ok {
		r.saw(now(), write, err)
	}
}

// notingClient notes what becomes of each write, for the pair of the context.
type notingClient struct {
	client.Client
	now clock
}

func (c notingClient) note(ctx context.Context, verb string, o client.Object, err error) {
	noteWrite(ctx, c.now, failover.Write{
		Verb: verb,
		Kind: kindOf(o),
		Name: o.GetName(),
	}, err)
}

// Create implements client.Writer.
func (c notingClient) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	err := c.Client.Create(ctx, o, opts...)
	c.note(ctx, "create", o, err)
	return err
}

// Update implements client.Writer.
func (c notingClient) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	err := c.Client.Update(ctx, o, opts...)
	c.note(ctx, "update", o, err)
	return err
}

// Patch implements client.Writer.
func (c notingClient) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	err := c.Client.Patch(ctx, o, p, opts...)
	c.note(ctx, "patch", o, err)
	return err
}

// Delete implements client.Writer.
func (c notingClient) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	err := c.Client.Delete(ctx, o, opts...)
	c.note(ctx, "delete", o, err)
	return err
}

// Apply implements client.Writer.
func (c notingClient) Apply(ctx context.Context, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	err := c.Client.Apply(ctx, o, opts...)
	if named, ok := o.(interface {
		cluster.Configuration
		GetKind() *string
	}); ok && named.GetKind() != nil && named.GetName() != nil {
		noteWrite(ctx, c.now, failover.Write{
			Verb: "apply",
			Kind: *named.GetKind(),
			Name: *named.GetName(),
		}, err)
	}
	return err
}

// Status implements client.StatusClient.
func (c notingClient) Status() client.SubResourceWriter {
	return notingStatus{SubResourceWriter: c.Client.Status(), notes: c}
}

// notingStatus notes what becomes of writes of a status.
type notingStatus struct {
	client.SubResourceWriter
	notes notingClient
}

// Patch implements client.SubResourceWriter.
func (s notingStatus) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	err := s.SubResourceWriter.Patch(ctx, o, p, opts...)
	s.notes.note(ctx, "patch the status of", o, err)
	return err
}

// notingLeases notes what becomes of each write of a Lease.
type notingLeases struct {
	lease.API
	now clock
}

// Create implements lease.API.
func (n notingLeases) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	made, err := n.API.Create(ctx, l, o)
	noteWrite(ctx, n.now, failover.Write{
		Verb: "create",
		Kind: failover.KindLease,
		Name: l.Name,
	}, err)
	return made, err
}

// Update implements lease.API.
func (n notingLeases) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	written, err := n.API.Update(ctx, l, o)
	noteWrite(ctx, n.now, failover.Write{
		Verb: "update",
		Kind: failover.KindLease,
		Name: l.Name,
	}, err)
	return written, err
}

// tellRefused raises an event for each write that has come to be refused again and again. Once
// it was accepted, a new refusal is news again.
func (r *PairReconciler) tellRefused(v *visit, refused []failover.RefusedWrite) {
	named := map[failover.Write]bool{}
	if v.session.news.refused == nil {
		v.session.news.refused = map[failover.Write]bool{}
	}
	for _, w := range refused {
		named[w.Write] = true
		if v.session.news.refused[w.Write] {
			continue
		}
		v.session.news.refused[w.Write] = true
		v.log.Info("the API server refuses a write", "verb", w.Verb, "kind", w.Kind, "name", w.Name, "reason", w.Says)
		// client-go takes events with the same objects, reason and action for one, and drops the
		// notes of the later ones.
		about := &corev1.ObjectReference{
			Kind:      w.Kind,
			Namespace: v.name.Namespace,
			Name:      w.Name,
		}
		r.Events.Eventf(v.pair, about, warning, string(failover.RuleWriteRefused), w.Verb, "%s", w.String())
	}
	for write := range v.session.news.refused {
		if !named[write] {
			delete(v.session.news.refused, write)
			v.log.Info("a write is refused no longer", "verb", write.Verb, "kind", write.Kind, "name", write.Name)
		}
	}
}
