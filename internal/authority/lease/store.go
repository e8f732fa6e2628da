package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/authority"
)

// ErrMissing is wrapped when the API server says that there is no such Lease.
var ErrMissing = errors.New("the Lease is missing")

// ErrForeign is wrapped when the Lease of this name was not made for the pair. It is no
// authority, whatever it says, and is never written over.
var ErrForeign = errors.New("the Lease is not the pair's")

// ErrConflict is wrapped when the Lease is not the one a write was conditional on.
var ErrConflict = authority.ErrConflict

// API is the part of a typed client for Leases that the store uses. Reads must not come
// from a cache.
type API interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error)
	Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error)
	Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error)
}

// Store keeps the authority of one pair. Safe for concurrent use. It implements
// execute.Authority.
type Store struct {
	API  API
	Name string
	// Labels and Owners are put on a Lease that is made or written. A Lease owned by the
	// pair goes with it.
	Labels map[string]string
	Owners []metav1.OwnerReference
	// Guarded is the key among Labels by which admission knows a Lease that only operators
	// write. Anyone who makes one without it can also write it later, so that such a Lease is
	// ErrForeign.
	Guarded string
	// Keyring signs and verifies the Lease. Without one nothing is signed, and what is read
	// is believed.
	Keyring Keyring
	// AcceptUnsigned reports whether a Lease without any signature counts: that of a pair whose
	// operators did not sign yet. Optional.
	AcceptUnsigned func() bool

	mu        sync.Mutex
	unclaimed bool
	last      *coordinationv1.Lease // as last read or written, so that a write costs one request
}

// Read is an uncached read. Errors wrap ErrMissing, ErrForeign, ErrMalformed or
// authority.ErrNotAuthentic, or are the API server's own or of the Keyring. The version is the
// resourceVersion; it comes with ErrMalformed too.
func (s *Store) Read(ctx context.Context) (r authority.Record, version string, err error) {
	l, err := s.API.Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return authority.Record{}, "", fmt.Errorf("read Lease %s: %w", s.Name, ErrMissing)
	}
	if err != nil {
		return authority.Record{}, "", fmt.Errorf("read Lease %s: %w", s.Name, err)
	}
	s.remember(l)
	if r, err = s.judge(l); err != nil {
		return authority.Record{}, l.ResourceVersion, fmt.Errorf("read Lease %s: %w", s.Name, err)
	}
	return r, l.ResourceVersion, nil
}

// judge is the record of a Lease, or why it is no authority. Labels and owners can be lost
// or made up; a signature cannot be made by others, so that one that is valid is enough.
func (s *Store) judge(l *coordinationv1.Lease) (authority.Record, error) {
	r, err := Parse(l)
	signed := err == nil && r.Signed.Signature != ""
	if err == nil && s.Keyring != nil {
		err = s.authentic(r)
	}
	unsigned := !signed && errors.Is(err, authority.ErrNotAuthentic)
	if unsigned && s.AcceptUnsigned != nil && s.AcceptUnsigned() {
		err = nil
	}
	foreign := s.ours(l)
	verified := s.Keyring != nil && signed && err == nil
	if foreign != nil && !verified {
		err = foreign
	}
	s.mu.Lock()
	s.unclaimed = foreign != nil && err == nil
	s.mu.Unlock()
	return r, err
}

// Unclaimed reports whether the Lease that was read last is the pair's by its signature and
// lacks the labels or the owner that Write puts on it.
func (s *Store) Unclaimed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unclaimed
}

// authentic verifies the signature of a record.
func (s *Store) authentic(r authority.Record) error {
	var unable error
	err := authority.Verify(func(message, signature []byte) bool {
		ok, err := s.Keyring.Verify(message, signature)
		unable = err
		return ok
	}).Authentic(r)
	if unable != nil {
		return unable
	}
	return err
}

// ours says why a Lease is not this pair's. One with the pair's label and another owner, or
// none, is of a former pair or from a backup: the label shows that an operator made it, and
// a person can have it adopted.
func (s *Store) ours(l *coordinationv1.Lease) error {
	if key := s.Guarded; key != "" && l.Labels[key] != s.Labels[key] {
		return fmt.Errorf("%w: Lease %s lacks the label %s=%s, so that no operator made it; "+
			"find out who did, and delete it with 'kubectl -n %s delete lease %s'",
			ErrForeign, s.Name, key, s.Labels[key], l.Namespace, s.Name)
	}
	for _, owner := range s.Owners {
		owned := slices.ContainsFunc(l.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == owner.UID })
		if !owned {
			return fmt.Errorf("%w: Lease %s has no owner reference to %s %s with UID %s", ErrMalformed, s.Name, owner.Kind, owner.Name, owner.UID)
		}
	}
	return nil
}

// claim puts the labels and owners of the pair on the Lease. Another controller is
// replaced: there can be one.
func (s *Store) claim(l *coordinationv1.Lease) {
	if l.Labels == nil {
		l.Labels = map[string]string{}
	}
	maps.Copy(l.Labels, s.Labels)
	for _, owner := range s.Owners {
		l.OwnerReferences = slices.DeleteFunc(l.OwnerReferences, func(o metav1.OwnerReference) bool {
			controls := o.Controller != nil && *o.Controller
			return o.UID == owner.UID || controls
		})
		l.OwnerReferences = append(l.OwnerReferences, owner)
	}
}

func (s *Store) remember(l *coordinationv1.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = l
}

// at is the Lease as it was at this version: what others wrote into it is kept.
func (s *Store) at(ctx context.Context, version string) (*coordinationv1.Lease, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last != nil && last.ResourceVersion == version {
		return last.DeepCopy(), nil
	}
	return s.API.Get(ctx, s.Name, metav1.GetOptions{})
}

// render writes the record into the Lease and signs it.
func (s *Store) render(r authority.Record, l *coordinationv1.Lease) error {
	if err := Render(r, l); err != nil {
		return err
	}
	delete(l.Annotations, AnnotationSignature)
	if s.Keyring == nil {
		return nil
	}
	return Sign(r, l, s.Keyring.Sign)
}

// Create makes the Lease; it must not exist.
func (s *Store) Create(ctx context.Context, r authority.Record) (string, error) {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: s.Name}}
	s.claim(l)
	if err := s.render(r, l); err != nil {
		return "", err
	}
	made, err := s.API.Create(ctx, l, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("create Lease %s: %w", s.Name, ErrConflict)
	}
	if err != nil {
		return "", fmt.Errorf("create Lease %s: %w", s.Name, err)
	}
	s.remember(made)
	return made.ResourceVersion, nil
}

// Write replaces the Lease if its resourceVersion still is version. A Lease that
// vanished is a conflict too: it is never made again here.
func (s *Store) Write(ctx context.Context, r authority.Record, version string) (string, error) {
	if version == "" {
		return "", fmt.Errorf("write Lease %s: no version was read", s.Name)
	}
	l, err := s.at(ctx, version)
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("write Lease %s: %w: it is gone", s.Name, ErrConflict)
	}
	if err != nil {
		return "", fmt.Errorf("write Lease %s: %w", s.Name, err)
	}
	if l.ResourceVersion != version {
		return "", fmt.Errorf("write Lease %s: %w", s.Name, ErrConflict)
	}
	if _, err := s.judge(l); errors.Is(err, ErrForeign) {
		return "", fmt.Errorf("write Lease %s: %w", s.Name, err)
	}
	s.claim(l)
	if err := s.render(r, l); err != nil {
		return "", err
	}
	written, err := s.API.Update(ctx, l, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return "", fmt.Errorf("write Lease %s: %w", s.Name, ErrConflict)
	}
	if err != nil {
		return "", fmt.Errorf("write Lease %s: %w", s.Name, err)
	}
	s.remember(written)
	return written.ResourceVersion, nil
}
