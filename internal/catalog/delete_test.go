package catalog_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/catalog"
)

// drawSurroundings are up to six objects of two pairs and two stores, of which some are being deleted.
func drawSurroundings(t *rapid.T) catalog.Surroundings {
	s := catalog.Surroundings{
		NamespaceEnding: rapid.IntRange(0, 4).Draw(t, "namespace ends") == 4,
		PairUID:         rapid.SampledFrom([]string{"u1", "u1", "u1", "u1", "u2", ""}).Draw(t, "uid of the pair"),
		Store:           rapid.SampledFrom([]string{"s1", "s1", "s1", "s2", ""}).Draw(t, "store of the pair"),
		Now:             start,
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "objects") {
		b := v1alpha1.DatabasePairBackup{}
		b.Name = catalog.Name("shop", idOf(i))
		b.Spec.BackupID = idOf(i)
		b.Spec.PairRef.Name = "shop"
		b.Spec.PairRef.UID = rapid.SampledFrom([]string{"u1", "u1", "u1", "u2"}).Draw(t, "uid")
		b.Spec.DeletionPolicy = rapid.SampledFrom([]v1alpha1.BackupDeletionPolicy{"Delete", "Delete", "Delete", "Retain", ""}).Draw(t, "policy")
		b.Status.Location = rapid.SampledFrom([]string{"s1", "s1", "s1", "s2", ""}).Draw(t, "location")
		b.Status.Pinned = rapid.IntRange(0, 4).Draw(t, "pinned") == 4
		if rapid.Bool().Draw(t, "deleted") {
			at := metav1.NewTime(start.Add(-time.Duration(rapid.SampledFrom([]int{20, 20, 20, 30, 5}).Draw(t, "seconds ago")) * time.Second))
			b.DeletionTimestamp = &at
		}
		if rapid.IntRange(0, 4).Draw(t, "forced") == 4 {
			b.Annotations = map[string]string{v1alpha1.AnnotationForceRemoval: "true"}
		}
		s.Objects = append(s.Objects, b)
	}
	return s
}

// No deletion of an object leads to the removal of a backup unless a person set the policy Delete and deleted the object, while
// its pair and its namespace stay.
func TestABackupIsRemovedOnlyBecauseItsObjectWasDeleted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSurroundings(t)
		deleted := map[string]int{}
		removed := map[string]int{}
		all := map[string]int{}
		for i := range s.Objects {
			b := &s.Objects[i]
			forced := b.Annotations[v1alpha1.AnnotationForceRemoval] == "true"
			group := b.Spec.PairRef.UID + "/" + b.Status.Location
			all[group]++
			if b.DeletionTimestamp != nil {
				deleted[group]++
			}
			verdict, why := catalog.Judge(b, s)
			if verdict != catalog.Remove {
				continue
			}
			asked := b.DeletionTimestamp != nil && b.Spec.DeletionPolicy == v1alpha1.DeleteBackup
			reached := !s.NamespaceEnding && s.PairUID != "" && s.PairUID == b.Spec.PairRef.UID && s.Store != "" && s.Store == b.Status.Location
			protected := b.Status.Pinned && !forced
			if !asked || !reached || protected || why != "" {
				t.Fatalf("%+v is removed in %+v", b, s)
			}
			if !forced {
				removed[group]++
			}
		}
		for group, n := range removed {
			if n > 1 && deleted[group]*2 > all[group] {
				t.Fatalf("%d of %d were deleted at once, and %d backups are removed", deleted[group], all[group], n)
			}
		}
	})
}

func TestADeletionIsJudgedWithTheOthers(t *testing.T) {
	objects := catalog.Plan(nil, viewOf(5, 4, 3, 2, 1)).Create
	ago := func(seconds int) *metav1.Time {
		at := metav1.NewTime(start.Add(-time.Duration(seconds) * time.Second))
		return &at
	}
	for i := range objects {
		objects[i].Spec.DeletionPolicy = v1alpha1.DeleteBackup
	}
	s := catalog.Surroundings{
		Objects: objects,
		PairUID: "u1",
		Store:   viewOf().Store,
		Now:     start,
	}
	for name, tc := range map[string]struct {
		deleted []int
		want    catalog.Verdict
		says    string
	}{
		"one a moment ago":               {[]int{5}, catalog.Wait, ""},
		"one":                            {[]int{20}, catalog.Remove, ""},
		"two":                            {[]int{20, 30}, catalog.Remove, ""},
		"two, the second a moment ago":   {[]int{20, 5}, catalog.Wait, ""},
		"three of five":                  {[]int{20, 20, 20}, catalog.Keep, "3 of 5 backups"},
		"a long list, the last just now": {[]int{60, 50, 40, 30, 1}, catalog.Wait, ""},
		"all":                            {[]int{60, 50, 40, 30, 20}, catalog.Keep, "5 of 5 backups"},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range objects {
				objects[i].DeletionTimestamp = nil
				if i < len(tc.deleted) {
					objects[i].DeletionTimestamp = ago(tc.deleted[i])
				}
			}
			verdict, why := catalog.Judge(&objects[0], s)
			if verdict != tc.want || !strings.Contains(why, tc.says) {
				t.Errorf("%s %q, want %s %q", verdict, why, tc.want, tc.says)
			}
		})
	}
}
