package controllers

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// What is due at the same minute is made under names of its own: one that is there already counts as made.
func TestWhatIsScheduledForOneTimeHasNamesOfItsOwn(t *testing.T) {
	p := &v1alpha1.DatabasePair{}
	p.Name = "shop"
	p.Spec.Backup = &v1alpha1.BackupSpec{Drill: &v1alpha1.RestoreDrillSpec{}}
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	made := []*v1alpha1.DatabasePairOperation{drillOperation(p, at, "shop-1")}
	for _, timetable := range timetables(p) {
		made = append(made, timetable.operation(p, at))
	}
	types := map[string]v1alpha1.OperationType{}
	for _, op := range made {
		if other, taken := types[op.Name]; taken {
			t.Errorf("%s is a %s and a %s", op.Name, other, op.Spec.Type)
		}
		types[op.Name] = op.Spec.Type
	}
	if len(types) != 4 {
		t.Errorf("%v, want a switchover, a comparison, a backup and a restore drill", types)
	}
}
