package catalog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/catalog"
	"github.com/dbpair/dbpair/internal/jobapi"
)

var start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func idOf(n int) string {
	return start.Add(time.Duration(n)*time.Hour).Format("20060102T150405Z") + fmt.Sprintf("-%08x", n)
}

func entryOf(n int) jobapi.CatalogBackup {
	return jobapi.CatalogBackup{
		StoredBackup: v1alpha1.StoredBackup{
			ID:         idOf(n),
			Finished:   metav1.NewTime(start.Add(time.Duration(n) * time.Hour)),
			Size:       3<<20 + 1,
			StoredSize: 1500,
		},
		Started:      metav1.NewTime(start),
		GTIDs:        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77",
		MySQLVersion: "9.7.4",
	}
}

// viewOf is a view of a whole catalog with these backups.
func viewOf(numbers ...int) catalog.View {
	v := catalog.View{
		Namespace: "ns",
		Pair:      "shop",
		UID:       "u1",
		Store:     "s3://b/ns.shop/u1",
		Found:     start.Add(1000 * time.Hour),
	}
	v.Catalog = jobapi.Catalog{Store: v.Store, Total: len(numbers)}
	for _, n := range numbers {
		v.Catalog.Backups = append(v.Catalog.Backups, entryOf(n))
	}
	return v
}

// after are the objects once the changes are made.
func after(objects []v1alpha1.DatabasePairBackup, c catalog.Changes) []v1alpha1.DatabasePairBackup {
	out := slices.Clone(objects)
	for _, u := range c.Update {
		for i := range out {
			if out[i].Name == u.Object.Name {
				out[i].Status = u.Status
			}
		}
	}
	out = slices.DeleteFunc(out, func(b v1alpha1.DatabasePairBackup) bool {
		return slices.ContainsFunc(c.Remove, func(r v1alpha1.DatabasePairBackup) bool { return r.Name == b.Name })
	})
	return append(out, c.Create...)
}

func idsOf(objects []v1alpha1.DatabasePairBackup) []string {
	var out []string
	for i := range objects {
		out = append(out, objects[i].Spec.BackupID)
	}
	slices.Sort(out)
	return out
}

func TestTheObjectOfABackupSaysWhatTheStoreHas(t *testing.T) {
	v := viewOf(1)
	v.Taken = map[string]v1alpha1.BackupResult{idOf(1): {ID: idOf(1), From: "shop-1", Verified: true}}
	made := catalog.Plan(nil, v).Create
	if len(made) != 1 {
		t.Fatalf("made %d objects", len(made))
	}
	b := made[0]
	if b.Name != "shop-20260102t040000z-00000001" || b.Namespace != "ns" || b.Labels[v1alpha1.LabelBackupOf] != "shop" {
		t.Errorf("metadata %+v", b.ObjectMeta)
	}
	if len(b.OwnerReferences) > 0 {
		t.Error("an object that its pair owns would go with the pair")
	}
	if b.Spec.PairRef.Name != "shop" || b.Spec.PairRef.UID != "u1" || b.Spec.BackupID != idOf(1) {
		t.Errorf("spec %+v", b.Spec)
	}
	s := b.Status
	if s.Location != v.Store || s.Size.String() != "4Mi" || s.StoredSize.String() != "2Ki" || s.From != "shop-1" ||
		s.Verified != v1alpha1.BackupReadBack || s.MySQLVersion != "9.7.4" || s.GTIDs == "" || s.StartTime == nil || s.CompletionTime == nil {
		t.Errorf("status %+v", s)
	}
}

func TestWhatNoCatalogSaysIsKept(t *testing.T) {
	v := viewOf(1)
	v.Taken = map[string]v1alpha1.BackupResult{idOf(1): {ID: idOf(1), From: "shop-1", Verified: true}}
	objects := catalog.Plan(nil, v).Create
	v.Taken = nil // the operation was deleted
	if changes := catalog.Plan(objects, v); len(changes.Create)+len(changes.Update)+len(changes.Remove) > 0 {
		t.Errorf("changes %+v", changes)
	}
	proven := metav1.NewTime(start.Add(time.Hour))
	v.Catalog.Backups[0].Proven = &proven
	v.Catalog.Backups[0].Pinned = true
	objects = after(objects, catalog.Plan(objects, v))
	if s := objects[0].Status; s.Verified != v1alpha1.BackupRestored || !s.Pinned || s.From != "shop-1" || !s.ProvenTime.Equal(&proven) {
		t.Errorf("status %+v", s)
	}
	v.Catalog.Backups[0].Pinned = false
	if objects = after(objects, catalog.Plan(objects, v)); objects[0].Status.Pinned {
		t.Error("it was unpinned in the store and is shown as pinned")
	}
}

// A person's field counts for the retention of the next Job, whatever the store says until then.
func TestAPinIsThatOfTheObjectOrOfTheStore(t *testing.T) {
	yes, no := true, false
	for name, tc := range map[string]struct {
		spec  *bool
		store bool
		want  bool
	}{
		"by hand in the store": {nil, true, true},
		"nowhere":              {nil, false, false},
		"in the object":        {&yes, false, true},
		"unpinned":             {&no, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := viewOf(1)
			objects := catalog.Plan(nil, v).Create
			objects[0].Spec.Pinned = tc.spec
			v.Catalog.Backups[0].Pinned = tc.store
			objects = after(objects, catalog.Plan(objects, v))
			if objects[0].Status.Pinned != tc.want {
				t.Errorf("pinned: %v", objects[0].Status.Pinned)
			}
		})
	}
}

func TestObjectsFollowTheStore(t *testing.T) {
	objects := after(nil, catalog.Plan(nil, viewOf(3, 2, 1)))
	for name, tc := range map[string]struct {
		view catalog.View
		want []string
	}{
		"the same":                   {viewOf(3, 2, 1), []string{idOf(1), idOf(2), idOf(3)}},
		"the retention removed one":  {viewOf(3, 2), []string{idOf(2), idOf(3)}},
		"someone else took one":      {viewOf(4, 3, 2, 1), []string{idOf(1), idOf(2), idOf(3), idOf(4)}},
		"the store is empty":         {viewOf(), nil},
		"a catalog of another store": {ofStore(viewOf(4), "s3://other/ns.shop/u1"), []string{idOf(1), idOf(2), idOf(3)}},
		"another destination now":    {movedTo(viewOf(4), "s3://other/ns.shop/u1"), []string{idOf(1), idOf(2), idOf(3), idOf(4)}},
		"a folder that was moved":    {movedTo(viewOf(3, 2, 1), "s3://other/ns.shop/u1"), []string{idOf(1), idOf(2), idOf(3)}},
		"another pair of the name":   {ofPair(viewOf(4), "u2"), []string{idOf(1), idOf(2), idOf(3), idOf(4)}},
		"a catalog of the newest":    {ofTotal(viewOf(3), 3), []string{idOf(1), idOf(2), idOf(3)}},
		"one of the newest is gone":  {ofTotal(viewOf(3, 1), 3), []string{idOf(1), idOf(3)}},
		"nothing but a number":       {ofTotal(viewOf(), 3), []string{idOf(1), idOf(2), idOf(3)}},
		"a name that is none":        {named(viewOf(3, 2, 1), "../../x"), []string{idOf(2), idOf(3)}},
	} {
		t.Run(name, func(t *testing.T) {
			got := after(objects, catalog.Plan(objects, tc.view))
			if !slices.Equal(idsOf(got), tc.want) {
				t.Errorf("got %v, want %v", idsOf(got), tc.want)
			}
			again := catalog.Plan(got, tc.view)
			if len(again.Create)+len(again.Update)+len(again.Remove) > 0 {
				t.Errorf("the second time it changes %+v", again)
			}
		})
	}
}

func ofStore(v catalog.View, store string) catalog.View {
	v.Catalog.Store = store
	return v
}

func movedTo(v catalog.View, store string) catalog.View {
	v.Store = store
	return ofStore(v, store)
}

func ofPair(v catalog.View, uid string) catalog.View {
	v.UID = uid
	return v
}

func ofTotal(v catalog.View, total int) catalog.View {
	v.Catalog.Total = total
	return v
}

// named gives the last backup of a catalog another ID.
func named(v catalog.View, id string) catalog.View {
	v.Catalog.Backups[len(v.Catalog.Backups)-1].ID = id
	return v
}

// What a catalog is older than it does not speak about.
func TestAnObjectThatIsNewerThanTheCatalogStays(t *testing.T) {
	objects := after(nil, catalog.Plan(nil, viewOf(1)))
	v := viewOf()
	objects[0].CreationTimestamp = metav1.NewTime(v.Found.Add(time.Second))
	if gone := catalog.Plan(objects, v).Remove; len(gone) > 0 {
		t.Errorf("removed %v", idsOf(gone))
	}
	objects[0].CreationTimestamp = metav1.NewTime(v.Found.Add(-time.Second))
	if gone := catalog.Plan(objects, v).Remove; len(gone) != 1 {
		t.Errorf("removed %v", idsOf(gone))
	}
}

// A Job is less trusted than the operator: no catalog makes more objects than the limit, or a status that the API refuses.
func TestWhatAJobSaysIsBounded(t *testing.T) {
	var numbers []int
	for n := range jobapi.MaxCatalog + 10 {
		numbers = append(numbers, n)
	}
	v := viewOf(numbers...)
	v.Catalog.Backups[0].GTIDs = strings.Repeat("é", 5000)
	v.Catalog.Backups[0].MySQLVersion = strings.Repeat("9", 5000)
	v.Catalog.Backups[0].Size = -1
	v.Catalog.Backups = append(v.Catalog.Backups, v.Catalog.Backups[0])
	made := catalog.Plan(nil, v).Create
	if len(made) != jobapi.MaxCatalog {
		t.Errorf("%d objects", len(made))
	}
	if s := made[0].Status; len(s.GTIDs) > 256 || len(s.MySQLVersion) > 256 || s.Size.String() != "0" {
		t.Errorf("%d bytes of GTIDs, %d of a version, size %s", len(s.GTIDs), len(s.MySQLVersion), s.Size)
	}
}
