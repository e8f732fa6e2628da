package catalog

import (
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// View is what is known of the backups of one pair.
type View struct {
	Namespace string
	Pair      string
	UID       string
	// Store is the URL of the pair's folder, by its spec.
	Store string
	// Catalog is what was found there last.
	Catalog jobapi.Catalog
	// Found is when. An object that was made later is about a backup that the Catalog cannot know.
	Found time.Time
	// Taken are the results of backup operations, by the ID of the backup.
	Taken map[string]v1alpha1.BackupResult
}

// Changes are what makes the objects those of a View.
type Changes struct {
	// Create carry the status that they are to have.
	Create []v1alpha1.DatabasePairBackup
	Update []Update
	Remove []v1alpha1.DatabasePairBackup
}

// Update is an object whose status has to change.
type Update struct {
	Object v1alpha1.DatabasePairBackup
	Status v1alpha1.StoredBackupStatus
}

var idPattern = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$`)

// Name is that of the object for a backup.
func Name(pair, id string) string { return pair + "-" + strings.ToLower(id) }

// Plan decides what to change. objects are those of all pairs that have had this pair's name; those of
// another UID, and those in another store, stay as they are: nothing is known of them.
func Plan(objects []v1alpha1.DatabasePairBackup, v View) Changes {
	var out Changes
	if v.Catalog.Store != v.Store {
		return out // it is about another folder: the spec was changed since
	}
	byName := map[string]*v1alpha1.DatabasePairBackup{}
	for i := range objects {
		byName[objects[i].Name] = &objects[i]
	}
	listed := map[string]bool{}
	for _, entry := range v.Catalog.Backups {
		if !believable(entry) || listed[entry.ID] || len(listed) == jobapi.MaxCatalog {
			continue
		}
		listed[entry.ID] = true
		object, ok := byName[Name(v.Pair, entry.ID)]
		switch {
		case !ok:
			out.Create = append(out.Create, newObject(v, entry))
		case object.Spec.PairRef.UID == v.UID && object.DeletionTimestamp == nil:
			want := statusOf(v, entry, object)
			if !equality.Semantic.DeepEqual(want, object.Status) {
				out.Update = append(out.Update, Update{
					Object: *object.DeepCopy(),
					Status: want,
				})
			}
		}
	}
	for i := range objects {
		if o := &objects[i]; isGone(o, v, listed) {
			out.Remove = append(out.Remove, *o.DeepCopy())
		}
	}
	return out
}

// believable is false for what cannot be an entry. A Job is less trusted than the operator.
func believable(entry jobapi.CatalogBackup) bool {
	return idPattern.MatchString(entry.ID) && !entry.Finished.IsZero()
}

// isGone: the store that the object is about has no such backup any more.
func isGone(o *v1alpha1.DatabasePairBackup, v View, listed map[string]bool) bool {
	elsewhere := o.Status.Location != "" && o.Status.Location != v.Store
	unknown := o.Spec.PairRef.UID != v.UID || elsewhere || o.CreationTimestamp.After(v.Found)
	if unknown || o.DeletionTimestamp != nil {
		return false
	}
	return !listed[o.Spec.BackupID] && !notShown(v.Catalog, o.Spec.BackupID)
}

// notShown: the catalog has the newest backups only, and this one is older than they are. IDs begin with the
// time at which a backup began.
func notShown(c jobapi.Catalog, id string) bool {
	if len(c.Backups) >= c.Total {
		return false
	}
	oldest := ""
	for _, entry := range c.Backups {
		if oldest == "" || entry.ID < oldest {
			oldest = entry.ID
		}
	}
	return oldest == "" || id < oldest
}

func newObject(v View, entry jobapi.CatalogBackup) v1alpha1.DatabasePairBackup {
	out := v1alpha1.DatabasePairBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name:      Name(v.Pair, entry.ID),
			Namespace: v.Namespace,
			Labels:    map[string]string{v1alpha1.LabelBackupOf: v.Pair},
		},
		Spec: v1alpha1.StoredBackupSpec{
			PairRef: v1alpha1.BackupPairReference{
				Name: v.Pair,
				UID:  v.UID,
			},
			BackupID:       entry.ID,
			DeletionPolicy: v1alpha1.RetainBackup,
		},
	}
	out.Status = statusOf(v, entry, &out)
	return out
}

// statusOf keeps of the object's status what no catalog says: from where the backup was taken, and that it was read back.
func statusOf(v View, entry jobapi.CatalogBackup, object *v1alpha1.DatabasePairBackup) v1alpha1.StoredBackupStatus {
	out := *object.Status.DeepCopy()
	readBack := out.Verified == v1alpha1.BackupReadBack
	out.Location = v.Store
	out.CompletionTime = entry.Finished.DeepCopy()
	if !entry.Started.IsZero() {
		out.StartTime = entry.Started.DeepCopy()
	}
	out.Size = sizeOf(entry.Size)
	out.StoredSize = sizeOf(entry.StoredSize)
	if entry.MySQLVersion != "" {
		out.MySQLVersion = shortened(entry.MySQLVersion)
	}
	if entry.GTIDs != "" {
		out.GTIDs = shortened(entry.GTIDs)
	}
	out.Encrypted = entry.Encrypted
	out.Pinned = ptr.Deref(object.Spec.Pinned, entry.Pinned)
	out.ProvenTime = entry.Proven.DeepCopy()
	if taken, ok := v.Taken[entry.ID]; ok {
		out.From = shortened(taken.From)
		readBack = readBack || taken.Verified
	}
	switch {
	case entry.Proven != nil:
		out.Verified = v1alpha1.BackupRestored
	case readBack:
		out.Verified = v1alpha1.BackupReadBack
	default:
		out.Verified = v1alpha1.BackupUnverified
	}
	return out
}

// sizeOf is a number of bytes as people read it, rounded up to mebibytes, or kibibytes below one.
func sizeOf(bytes int64) *resource.Quantity {
	const kibi, mebi = 1 << 10, 1 << 20
	unit := int64(mebi)
	if bytes < mebi {
		unit = kibi
	}
	return resource.NewQuantity((max(bytes, 0)+unit-1)/unit*unit, resource.BinarySI)
}

func shortened(text string) string {
	if len(text) <= jobapi.MaxCatalogText {
		return text
	}
	return strings.ToValidUTF8(text[:jobapi.MaxCatalogText], "") + "…"
}
