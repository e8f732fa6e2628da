package catalog

import (
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// Settle is how long no object of a pair must have been deleted before any of their backups is removed: all that were deleted
// at once are judged together.
const Settle = 10 * time.Second

// Verdict is what becomes of the backup of an object that is being deleted.
type Verdict string

// The verdicts.
const (
	// Wait: others may be deleted with it.
	Wait Verdict = "Wait"
	// Keep: the object goes, and the backup stays.
	Keep Verdict = "Keep"
	// Remove: an operation removes the backup, and then the object goes.
	Remove Verdict = "Remove"
)

// Surroundings are what an object that is being deleted is judged by.
type Surroundings struct {
	// Objects are those of all pairs that have had the pair's name.
	Objects []v1alpha1.DatabasePairBackup
	// NamespaceEnding: the namespace is being deleted.
	NamespaceEnding bool
	// PairUID is that of the pair of the object's name; empty when there is none, or it is being deleted.
	PairUID string
	// Store is the URL of that pair's folder; empty without spec.backup.
	Store string
	Now   time.Time
}

// Judge decides about an object that is being deleted. A backup is removed only because its object was deleted after a person had set
// the policy Delete: never with its pair or its namespace, nor with most of the others. why is empty where nobody has to be told.
func Judge(o *v1alpha1.DatabasePairBackup, s Surroundings) (verdict Verdict, why string) {
	switch {
	case o.DeletionTimestamp == nil || o.Spec.DeletionPolicy != v1alpha1.DeleteBackup:
		return Keep, ""
	case s.NamespaceEnding:
		return Keep, "its namespace is being deleted"
	case s.PairUID != o.Spec.PairRef.UID:
		return Keep, "its pair is gone"
	case s.Store == "":
		return Keep, "its pair has no spec.backup any more"
	case s.Store != o.Status.Location:
		return Keep, "spec.backup of its pair names another store"
	case o.Annotations[v1alpha1.AnnotationForceRemoval] == "true":
		return Remove, ""
	case !s.settled(o):
		return Wait, ""
	case ptr.Deref(o.Spec.Pinned, o.Status.Pinned):
		return Keep, "it is pinned: set spec.pinned to false before"
	}
	deleted, all := s.count(o)
	if deleted > 1 && deleted*2 > all {
		return Keep, fmt.Sprintf("%d of %d backups of the pair were deleted at once: delete them a few at a time", deleted, all)
	}
	return Remove, ""
}

// settled: no object of the same pair was deleted within the last moment.
func (s Surroundings) settled(o *v1alpha1.DatabasePairBackup) bool {
	for i := range s.Objects {
		other := &s.Objects[i]
		same := other.Spec.PairRef.UID == o.Spec.PairRef.UID
		if same && other.DeletionTimestamp != nil && s.Now.Sub(other.DeletionTimestamp.Time) < Settle {
			return false
		}
	}
	return true
}

// count is how many objects of the same pair there are whose backups are in the same store, and how many of them are
// being deleted.
func (s Surroundings) count(o *v1alpha1.DatabasePairBackup) (deleted, all int) {
	for i := range s.Objects {
		other := &s.Objects[i]
		if other.Spec.PairRef.UID != o.Spec.PairRef.UID || other.Status.Location != o.Status.Location {
			continue
		}
		all++
		if other.DeletionTimestamp != nil {
			deleted++
		}
	}
	return deleted, all
}
