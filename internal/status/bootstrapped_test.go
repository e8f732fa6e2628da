package status_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/jobapi"
	conditions "github.com/dbpair/dbpair/internal/status"
)

func TestTheConditionBootstrappedSaysHowTheCopyGoes(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(o *failover.Observation, p *failover.Plan, done *conditions.Reconciled)
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		"nothing yet": {
			func(*failover.Observation, *failover.Plan, *conditions.Reconciled) {},
			metav1.ConditionFalse, conditions.ReasonNotBegun, "old.example.com:3307",
		},
		"a Secret is missing": {
			func(_ *failover.Observation, _ *failover.Plan, done *conditions.Reconciled) {
				done.Bootstrap.Reason = conditions.ReasonSecretMissing
				done.Bootstrap.Fact = "there is no Secret"
			},
			metav1.ConditionFalse, conditions.ReasonSecretMissing, "there is no Secret",
		},
		"no such backup": {
			func(_ *failover.Observation, _ *failover.Plan, done *conditions.Reconciled) {
				done.Bootstrap.Spec = &v1alpha1.BootstrapSpec{Backup: &v1alpha1.BackupSource{BackupID: v1alpha1.LatestBackup}}
				done.Bootstrap.Reason = string(jobapi.BackupNotFound)
				done.Bootstrap.Fact = "there is no backup"
			},
			metav1.ConditionFalse, string(jobapi.BackupNotFound), "there is no backup",
		},
		"it has the data of a backup": {
			func(o *failover.Observation, _ *failover.Plan, done *conditions.Reconciled) {
				done.Bootstrap.Spec = &v1alpha1.BootstrapSpec{Backup: &v1alpha1.BackupSource{
					BackupID: v1alpha1.LatestBackup,
					Pair:     v1alpha1.BackedUpPair{Namespace: "ns", Name: "shop"},
				}}
				o.Authority.Record.Epoch = 1
			},
			metav1.ConditionTrue, conditions.ReasonDataCopied, "a copy of the latest backup of pair ns/shop",
		},
		"it has the data of a moment": {
			func(o *failover.Observation, _ *failover.Plan, done *conditions.Reconciled) {
				done.Bootstrap.Spec = &v1alpha1.BootstrapSpec{Backup: &v1alpha1.BackupSource{
					BackupID: v1alpha1.LatestBackup,
					Pair:     v1alpha1.BackedUpPair{Name: "shop"},
					Target:   &v1alpha1.RestoreTarget{BeforeGTID: "a:7"},
				}}
				o.Authority.Record.Epoch = 1
			},
			metav1.ConditionTrue, conditions.ReasonDataCopied, "a copy of a backup of pair shop up to the moment before a:7",
		},
		"it has all that is archived": {
			func(o *failover.Observation, _ *failover.Plan, done *conditions.Reconciled) {
				done.Bootstrap.Spec = &v1alpha1.BootstrapSpec{Backup: &v1alpha1.BackupSource{
					BackupID: "20260102T030405Z-0a1b2c3d",
					Pair:     v1alpha1.BackedUpPair{Name: "shop"},
					Target:   &v1alpha1.RestoreTarget{Time: v1alpha1.LatestMoment},
				}}
				o.Authority.Record.Epoch = 1
			},
			metav1.ConditionTrue, conditions.ReasonDataCopied,
			"a copy of backup 20260102T030405Z-0a1b2c3d of pair shop up to the end of the archive",
		},
		"a wrong password": {
			func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
				o.Members[0].State.Problems = []agentapi.Problem{{Code: agentapi.ProblemDonorDenied, Message: "Access denied"}}
			},
			metav1.ConditionFalse, "DonorDenied", "Access denied; it is tried again",
		},
		"it copies": {
			func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
				o.Members[0].State.Seed = &agentapi.SeedProgress{Stage: "FILE COPY", Bytes: 5, Estimated: 10}
			},
			metav1.ConditionFalse, conditions.ReasonCopying, "shop-0 copies old.example.com:3307: FILE COPY",
		},
		"volumes of an earlier pair": {
			func(_ *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
				*p = failover.Plan{Rule: failover.RuleAuthorityMissing, Kind: failover.Doubts, Fact: "data of an earlier pair"}
			},
			metav1.ConditionFalse, conditions.ReasonVolumesNotEmpty, "nothing is copied: data of an earlier pair",
		},
		"it has data": {
			func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
				o.Authority.Record.Epoch = 1
				o.Members[0].State.Seed = &agentapi.SeedProgress{Stage: "FILE COPY"} // of the other member's later copy
			},
			metav1.ConditionTrue, conditions.ReasonDataCopied, "a copy of old.example.com:3307",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			o.Authority.Record = authority.Record{}
			done.Bootstrap.Spec = &v1alpha1.BootstrapSpec{Donor: &v1alpha1.DonorSource{Host: "old.example.com", Port: 3307}}
			tc.change(&o, &p, &done)
			next := conditions.Render(o, p, done, v1alpha1.DatabasePairStatus{})
			got := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionBootstrapped)
			if got == nil || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) {
				t.Fatalf("condition %+v", got)
			}
			if meaning, known := conditions.MeaningOf(got.Type, got.Status); !known || !meaning.Allows(got.Reason) {
				t.Errorf("docs/conditions.md does not have %s=%s with %s", got.Type, got.Status, got.Reason)
			}
			if (next.Bootstrap == nil) != (tc.status == metav1.ConditionTrue) {
				t.Errorf("status.bootstrap %+v", next.Bootstrap)
			}
			if tc.reason == conditions.ReasonCopying && (next.Bootstrap.Bytes != 5 || next.Bootstrap.TotalBytes != 10) {
				t.Errorf("progress %+v", next.Bootstrap)
			}
			// An authority that cannot be read does not take the data away again.
			if tc.status == metav1.ConditionTrue {
				o.Authority.Reading = failover.Malformed
				again := meta.FindStatusCondition(conditions.Conditions(o, p, done, next.Conditions), v1alpha1.ConditionBootstrapped)
				if again.Status != metav1.ConditionTrue {
					t.Errorf("later %+v", again)
				}
			}
		})
	}
}

func TestTheConditionBootstrappedSaysHowALoadGoes(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(o *failover.Observation, done *conditions.Reconciled)
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		"a claim is missing": {
			func(_ *failover.Observation, done *conditions.Reconciled) {
				done.Bootstrap.Reason = conditions.ReasonClaimMissing
				done.Bootstrap.Fact = "there is no claim"
			},
			metav1.ConditionFalse, conditions.ReasonClaimMissing, "there is no claim",
		},
		"it is cut off": {
			func(o *failover.Observation, _ *conditions.Reconciled) {
				o.Members[0].State.Problems = []agentapi.Problem{{Code: agentapi.ProblemDumpCutOff, Message: "the dump is cut off"}}
			},
			metav1.ConditionFalse, "DumpCutOff", "the dump is cut off; it is tried again",
		},
		"it is loaded": {
			func(o *failover.Observation, _ *conditions.Reconciled) {
				o.Members[0].State.Seed = &agentapi.SeedProgress{
					Stage:     "load",
					Bytes:     5,
					Estimated: 10,
				}
			},
			metav1.ConditionFalse, conditions.ReasonCopying, "shop-0 loads app.sql of PersistentVolumeClaim dumps: load",
		},
		"it has data": {
			func(o *failover.Observation, _ *conditions.Reconciled) { o.Authority.Record.Epoch = 1 },
			metav1.ConditionTrue, conditions.ReasonDataCopied, "began with the dump app.sql of PersistentVolumeClaim dumps",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			o.Authority.Record = authority.Record{}
			done.Bootstrap.Spec = &v1alpha1.BootstrapSpec{Dump: &v1alpha1.DumpSource{ClaimName: "dumps", Path: "app.sql"}}
			tc.change(&o, &done)
			next := conditions.Render(o, p, done, v1alpha1.DatabasePairStatus{})
			got := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionBootstrapped)
			if got == nil || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) {
				t.Fatalf("condition %+v", got)
			}
			if meaning, known := conditions.MeaningOf(got.Type, got.Status); !known || !meaning.Allows(got.Reason) {
				t.Errorf("docs/conditions.md does not have %s=%s with %s", got.Type, got.Status, got.Reason)
			}
		})
	}
}
