package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

// FieldManager owns the fields of child objects.
const FieldManager = "dbpair"

// ErrForeign is wrapped when an object of a needed name belongs to someone else. It is
// never overwritten.
var ErrForeign = errors.New("the name is taken by an object of someone else")

// ErrPairGone is wrapped when a pair has been deleted, and what it owns goes with it.
var ErrPairGone = errors.New("the pair has been deleted")

// StillThere asks the API server whether a pair is there; ErrPairGone if it was deleted. What
// it owned may be gone before a cache knows that the pair is.
func StillThere(ctx context.Context, live client.Reader, p *v1alpha1.DatabasePair) error {
	var now v1alpha1.DatabasePair
	err := live.Get(ctx, client.ObjectKeyFromObject(p), &now)
	switch {
	case apierrors.IsNotFound(err), err == nil && (now.UID != p.UID || now.DeletionTimestamp != nil):
		return fmt.Errorf("pair %s/%s: %w", p.Namespace, p.Name, ErrPairGone)
	case err != nil:
		return fmt.Errorf("read pair %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// Configuration is the desired part of one object.
type Configuration interface {
	runtime.ApplyConfiguration
	GetName() *string
	GetNamespace() *string
}

// Outcome says what Ensure did.
type Outcome string

// The outcomes.
const (
	Unchanged Outcome = "Unchanged"
	Created   Outcome = "Created"
	Updated   Outcome = "Updated"
	// Repaired: what is to be did not change, so someone else changed the object or
	// removed it.
	Repaired Outcome = "Repaired"
)

// Applier applies child objects of pairs. It is safe for concurrent use.
type Applier struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server; asked only when the cache has no such object, since
	// the cache holds only objects with the operator's label.
	Live client.Reader

	mu   sync.Mutex
	seen map[key]known
}

type key struct {
	kind string
	name types.NamespacedName
}

// known is what was last wished of an object, and the version that is known to be so.
type known struct {
	wish [sha256.Size]byte
	// version that was found to be as wished; empty after an apply until it is seen.
	version string
	// replaced is the version that was there before the apply. A cache that still has it
	// has not seen the apply yet.
	replaced string
	// uid of the object when it was last found to be the pair's; empty if it was not found.
	uid types.UID
}

// covers: this version of the object was found to be as wished, or is the one before the apply of
// the same wish. The zero value covers nothing.
func (k known) covers(version string, wish [sha256.Size]byte) bool {
	return k.wish == wish && (k.version == version || k.replaced == version)
}

// Ensure makes the object's fields what the configuration says, by server-side apply,
// and does nothing when they are so already. live is an empty object of the type; it
// holds the object as found. An object that another owner controls is ErrForeign. One that
// was made before and is missing is put back, unless its pair was deleted: ErrPairGone.
func (a *Applier) Ensure(ctx context.Context, p *v1alpha1.DatabasePair, wish Configuration, live client.Object) (Outcome, error) {
	gvk, err := apiutil.GVKForObject(live, a.Client.Scheme())
	if err != nil {
		return "", fmt.Errorf("apply an object of pair %s: %w", p.Name, err)
	}
	k := key{kind: gvk.Kind, name: types.NamespacedName{Namespace: *wish.GetNamespace(), Name: *wish.GetName()}}
	text, err := json.Marshal(wish)
	if err != nil {
		return "", fmt.Errorf("encode %s %s: %w", k.kind, k.name, err)
	}
	found, err := a.Find(ctx, p, k.name, live)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	before, had := a.recall(k)
	if found {
		version := live.GetResourceVersion()
		if before.covers(version, sum) {
			return Unchanged, nil
		}
		same, err := ownsAlready(live, text)
		if err != nil {
			return "", fmt.Errorf("compare %s %s: %w", k.kind, k.name, err)
		}
		if same {
			a.remember(k, known{
				wish:    sum,
				version: version,
				uid:     live.GetUID(),
			})
			return Unchanged, nil
		}
	}
	if !found && had {
		if err := StillThere(ctx, a.Live, p); err != nil {
			return "", err
		}
	}
	if err := a.Client.Apply(ctx, wish, client.FieldOwner(FieldManager), client.ForceOwnership); err != nil {
		return "", fmt.Errorf("apply %s %s: %w", k.kind, k.name, err)
	}
	a.remember(k, known{
		wish:     sum,
		replaced: live.GetResourceVersion(),
		uid:      live.GetUID(),
	})
	return outcomeOf(found, had && before.wish == sum), nil
}

// outcomeOf names an apply. made: this process had applied the same before.
func outcomeOf(found, made bool) Outcome {
	switch {
	case made:
		return Repaired
	case !found:
		return Created
	}
	return Updated
}

// Find reads an object of the pair, from the cache or, when that has none, from the API
// server. An object that another owner controls is ErrForeign.
func (a *Applier) Find(ctx context.Context, p *v1alpha1.DatabasePair, name types.NamespacedName, into client.Object) (bool, error) {
	err := Read(ctx, a.Client, a.Live, name, into)
	gvk, _ := apiutil.GVKForObject(into, a.Client.Scheme())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s: %w", gvk.Kind, name, err)
	}
	if why := a.foreign(p, into, gvk.Kind); why != "" {
		return false, fmt.Errorf("%s %s %s: %w", gvk.Kind, name.Name, why, ErrForeign)
	}
	return true, nil
}

// Remove deletes an object of the pair if it is there.
func (a *Applier) Remove(ctx context.Context, p *v1alpha1.DatabasePair, name types.NamespacedName, into client.Object) error {
	if err := a.Client.Get(ctx, name, into); err != nil {
		return client.IgnoreNotFound(err)
	}
	gvk, _ := apiutil.GVKForObject(into, a.Client.Scheme())
	if a.foreign(p, into, gvk.Kind) != "" || into.GetDeletionTimestamp() != nil {
		return nil
	}
	uid := into.GetUID()
	err := a.Client.Delete(ctx, into, client.Preconditions{UID: &uid})
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// Read reads an object from a cache, and from the API server when the cache has no such
// object or has dropped its content. A cache selects objects by a label, so an object
// without that label is in none, and only the API server knows that an object is not there.
func Read(ctx context.Context, cached, live client.Reader, name types.NamespacedName, into client.Object) error {
	err := cached.Get(ctx, name, into)
	if apierrors.IsNotFound(err) || (err == nil && slimmed(into)) {
		return live.Get(ctx, name, into)
	}
	return err
}

// foreign says whose an object is if it is not the pair's. The pair's are those that it
// controls. An object that nothing controls is the pair's only if it cannot have been
// prepared before there was a pair: this operator has known it as the pair's, or it has the
// pair's label and is no older than the pair. One object outlives its pair so that the next
// pair of the name can use the volumes: the Secret of the certificate authority.
func (a *Applier) foreign(p *v1alpha1.DatabasePair, o client.Object, kind string) string {
	controller := metav1.GetControllerOf(o)
	known, _ := a.recall(key{kind: kind, name: client.ObjectKeyFromObject(o)})
	labeled := o.GetLabels()[resources.LabelPair] == p.Name
	switch {
	case controller != nil && controller.UID == p.UID:
		return ""
	case controller != nil && controller.Kind == resources.KindPair && controller.Name == p.Name:
		return "belongs to a former pair of this name and is still being removed"
	case controller != nil:
		return fmt.Sprintf("belongs to %s %s; give the pair another name", controller.Kind, controller.Name)
	case known.uid != "" && known.uid == o.GetUID():
		return ""
	case !labeled:
		return fmt.Sprintf("does not have the label %s=%s; delete it or give the pair another name", resources.LabelPair, p.Name)
	case kind == "Secret" && o.GetName() == resources.NamesOf(p).CA():
		return ""
	case o.GetCreationTimestamp().Time.Before(p.CreationTimestamp.Time):
		return "is older than the pair and not controlled by it; delete it or give the pair another name"
	}
	return ""
}

func (a *Applier) recall(k key) (known, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.seen[k]
	return v, ok
}

func (a *Applier) remember(k key, v known) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[key]known{}
	}
	a.seen[k] = v
}

// Forget drops what is known of a namespace's pair, when the pair is gone.
func (a *Applier) Forget(pairName types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.seen {
		if k.name.Namespace == pairName.Namespace && (k.name.Name == pairName.Name || hasPrefix(k.name.Name, pairName.Name+"-")) {
			delete(a.seen, k)
		}
	}
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// ownsAlready reports whether the fields that the operator owns in the object are
// exactly those of the desired object. A field that someone else changed is no longer owned.
func ownsAlready(live client.Object, wish []byte) (bool, error) {
	owned, err := extract(live)
	if err != nil {
		return false, err
	}
	text, err := json.Marshal(owned)
	if err != nil {
		return false, err
	}
	left, err := canonical(text)
	if err != nil {
		return false, err
	}
	right, err := canonical(wish)
	return bytes.Equal(left, right), err
}

// canonical orders the keys of a JSON document.
func canonical(text []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
