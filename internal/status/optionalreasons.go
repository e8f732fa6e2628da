package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// optionalMeanings are those of conditions that a pair has only with the part of its spec that they
// are about.
var optionalMeanings = []Meaning{
	{
		Type:    v1alpha1.ConditionBackedUp,
		Status:  metav1.ConditionTrue,
		Means:   "there is a [backup](backup.md); only a pair with `spec.backup` has this condition",
		Reasons: []Reason{{ReasonBackupCurrent, "the last one is as young as the schedule promises, if there is a schedule"}},
	},
	{
		Type:   v1alpha1.ConditionBackedUp,
		Status: metav1.ConditionFalse,
		Means:  "there is no backup, or none that is young enough",
		Reasons: []Reason{
			{ReasonBackupTooOld, "the last one is older than twice the time between two of the schedule"},
			{ReasonBackupFailed, "none was made yet, and the last attempt failed"},
		},
	},
	{
		Type:    v1alpha1.ConditionBackedUp,
		Status:  metav1.ConditionUnknown,
		Means:   "no backup was tried yet",
		Reasons: []Reason{{ReasonNeverBackedUp, "none was asked for, or the schedule's first is still to come"}},
	},
	{
		Type:   v1alpha1.ConditionRestorable,
		Status: metav1.ConditionTrue,
		Means: "a [restore drill](backup.md#prove-that-backups-can-be-restored) has restored the newest backup of its time; only a pair with " +
			"`spec.backup` has this condition, and `Ready` does not depend on it",
		Reasons: []Reason{{ReasonProven, "the last drill came to its end; the message and `status.backup.restoreDrill` say what it proved"}},
	},
	{
		Type:    v1alpha1.ConditionRestorable,
		Status:  metav1.ConditionFalse,
		Means:   "the newest backup could not be restored",
		Reasons: []Reason{{ReasonDrillFailed, "the last drill failed; the message names the step, and the object if one is damaged"}},
	},
	{
		Type:   v1alpha1.ConditionRestorable,
		Status: metav1.ConditionUnknown,
		Means:  "nobody knows whether the backups can be restored",
		Reasons: []Reason{
			{ReasonNeverDrilled, "there was no drill yet, or none to its end"},
			{ReasonDrillTooOld, "the last proof is older than twice the time between two of the schedule"},
			{string(v1alpha1.RestoreDrillNoBackup), "there was nothing to restore"},
			{string(v1alpha1.RestoreDrillNoRoom), "the data was larger than the volume of the drill"},
		},
	},
	{
		Type:   v1alpha1.ConditionArchiving,
		Status: metav1.ConditionTrue,
		Means: "binary logs are in the [archive](backup.md#archive-binary-logs) soon after they are written; only a pair with " +
			"`spec.backup.binlog.enabled` has this condition",
		Reasons: []Reason{{ReasonArchiveCurrent, "the store had everything at a moment that is younger than a minute, or three flush intervals"}},
	},
	{
		Type:   v1alpha1.ConditionArchiving,
		Status: metav1.ConditionFalse,
		Means: "what is written now may not be in the archive, or no restore leads across a gap; " +
			"`status.archive` has the moment up to which nothing is missing",
		Reasons: []Reason{
			{ReasonArchiveGap, "transactions were removed from the members before they were archived, and no backup began since"},
			{ReasonArchiveBehind, "the archive is behind, and its program does not say why"},
			{ReasonArchiverNotRunning, "the pod of the Deployment `<pair>-archive` does not run"},
			{ReasonSecretMissing, "a Secret, ConfigMap, ServiceAccount or PersistentVolumeClaim that the spec names, or its key, is not there"},
			{ReasonBackupsOff, "the operator was installed without `features.backup`"},
			{string(jobapi.NoMemberToRead), "no member is a passive or a primary that is alone, or none can be reached"},
			{string(jobapi.ArchiveForked), "the archive has transactions that no member has"},
			{string(jobapi.ArchiveForeign), "another process writes to the same archive"},
			{string(jobapi.StoreDenied), "the store refuses the credentials"},
			{string(jobapi.BucketNotFound), "there is no such bucket"},
			{string(jobapi.StoreSkewed), "the clocks of the node and of the store differ too much"},
			{string(jobapi.StoreUntrusted), "the store's certificate is of another authority"},
			{string(jobapi.StoreUnreachable), "the store does not answer"},
			{string(jobapi.StoreFull), "the store has no room"},
			{string(jobapi.ArchiveFailed), "another reason, which the message has"},
		},
	},
	{
		Type:   v1alpha1.ConditionArchiving,
		Status: metav1.ConditionUnknown,
		Means:  "nothing was archived yet, or nothing can be",
		Reasons: []Reason{
			{ReasonArchiveStarting, "the archiver has not reported yet"},
			{string(failover.RuleHibernated), "`spec.hibernate` is set, and both members are ended"},
		},
	},
	{
		Type:   v1alpha1.ConditionBootstrapped,
		Status: metav1.ConditionTrue,
		Means: "the data that the pair was to [begin with](import.md#begin-with-the-data-of-another-server) is there; " +
			"only a pair with `spec.bootstrap` has this condition",
		Reasons: []Reason{{ReasonDataCopied, "the copy is the pair's first data"}},
	},
	{
		Type:   v1alpha1.ConditionBootstrapped,
		Status: metav1.ConditionFalse,
		Means:  "it is not there yet; what failed is tried again",
		Reasons: []Reason{
			{ReasonNotBegun, "the members do not run yet"},
			{ReasonCopying, "a member copies or loads it; `status.bootstrap` has the bytes"},
			{ReasonVolumesNotEmpty, "the volumes hold data, which a copy never replaces"},
			{ReasonSecretMissing, "a Secret, ConfigMap, ServiceAccount or PersistentVolumeClaim that the spec names, or its key, is not there"},
			{ReasonBackupsOff, "the operator was installed without `features.backup`"},
			{ReasonJobsOff, "the operator was installed without any feature that needs Jobs, and a Job brings the dump"},
			{ReasonVaultStarting, "the pod that serves the backup does not answer yet"},
			{string(jobapi.BackupNotFound), "the store has no such backup, or none of the pair"},
			{string(jobapi.BackupAmbiguous), "several pairs of the name have left backups, and the spec names no UID"},
			{string(jobapi.BackupDamaged), "an object of the backup is missing or is not what was written; the message names the next older backup"},
			{string(jobapi.ArchiveNotFound), "the spec has a target, and the pair has left no archive of binary logs"},
			{string(jobapi.ArchiveDamaged), "an object of the archive is missing or is not what was written"},
			{string(jobapi.TargetInvalid), "the target is no time with an offset, or no GTIDs"},
			{string(jobapi.TargetUnreachable), "no backup and archive lead to the target: it is outside of what is archived, in a gap or " +
				"in the future; the message has the times that can be restored"},
			{string(jobapi.IdentityMissing), "the backup is encrypted, and the spec names no identity"},
			{string(jobapi.IdentityWrong), "the identity is of no recipient of the backup"},
			{string(jobapi.StoreDenied), "the store refuses the credentials"},
			{string(jobapi.BucketNotFound), "there is no such bucket"},
			{string(jobapi.StoreSkewed), "the clocks of the node and of the store differ too much"},
			{string(jobapi.StoreUntrusted), "the certificate of the store is of no authority that is trusted"},
			{string(jobapi.StoreUnreachable), "the store does not answer"},
			{string(jobapi.VaultFailed), "the backup cannot be served for another reason, which the message has"},
			{ReasonNameConflict, "an object that is not the pair's has the name `<pair>-vault` or `<pair>-dump`"},
			{ReasonClaimMissing, "the claim with the dump is not there, or is the volume of a member"},
			{string(agentapi.ProblemDonorUnreachable), "nobody answers at the donor's address"},
			{string(agentapi.ProblemDonorDenied), "the donor refuses the user: a wrong password, another host, or no right `BACKUP_ADMIN`"},
			{string(agentapi.ProblemDonorCertificate), "the donor has no TLS, or a certificate of another authority"},
			{string(agentapi.ProblemDonorSeries), "the donor is of another series of MySQL"},
			{string(agentapi.ProblemDonorPlugin), "the plugin clone of the donor is not active"},
			{string(agentapi.ProblemDonorEngines), "the donor has tables that are not InnoDB's"},
			{string(agentapi.ProblemDonorSettings), "a setting that counts when data is made differs"},
			{string(agentapi.ProblemDumpAbsent), "the Job that brings the dump did not come: its pod does not run"},
			{string(agentapi.ProblemDumpUnreadable), "there is no such file, the user 65532 may not read it, or it is damaged"},
			{string(agentapi.ProblemDumpCutOff), "the dump ends in its middle; nothing was loaded"},
			{string(agentapi.ProblemDumpRefused), "the dump has statements that a pair does not take, which the message names; nothing was loaded"},
			{string(agentapi.ProblemDumpInterrupted), "the Job or its connection ended in the middle; it begins again with an empty server"},
			{string(agentapi.ProblemDumpFailed), "mysqld does not take a statement of the dump"},
			{string(agentapi.ProblemConfigInvalid), "mysqld does not take `spec.mysql.config`"},
			{string(agentapi.ProblemVolumeFull), "the volume is too small"},
			{string(agentapi.ProblemSeedFailed), "the copy failed for another reason, which the message has"},
		},
	},
	{
		Type:   v1alpha1.ConditionRouterReady,
		Status: metav1.ConditionTrue,
		Means: "the [router](clients.md#the-router) serves; only a pair with `spec.router.enabled` has this condition, " +
			"and `Ready` does not depend on it",
		Reasons: []Reason{{ReasonRouterPodsReady, "its pods are ready, and the agents tell them who is the primary"}},
	},
	{
		Type:   v1alpha1.ConditionRouterReady,
		Status: metav1.ConditionFalse,
		Means:  "the router, or one of its pods, does not serve, or not as it should; the pair's own Services do",
		Reasons: []Reason{
			{ReasonObjectsPending, "an object of the router cannot be made; the message says why"},
			{ReasonRouterPodsNotReady, "a pod is not ready, or has a former configuration"},
			{string(failover.RuleAgentOutdated), "an agent is too old to tell the router about its role"},
		},
	},
	{
		Type:    v1alpha1.ConditionRouterReady,
		Status:  metav1.ConditionUnknown,
		Means:   "the operator has not looked at it",
		Reasons: []Reason{{ReasonObjectsPending, "it has just begun to, or the pair is paused"}},
	},
}
