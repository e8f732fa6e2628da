package status

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// Reasons of conditions that are not the name of a rule.
const (
	ReasonMembersReady   = "MembersReady"
	ReasonSpecRefused    = "SpecRefused"
	ReasonNameConflict   = "NameConflict"
	ReasonObjectsPending = "ObjectsPending"
	ReasonAcceptsWrites  = "AcceptsWrites"
	ReasonNoPrimary      = "NoPrimary"
	ReasonApplierStopped = "ApplierStopped"
	ReasonNothingPending = "NothingPending"
	ReasonNoDoubt        = "NoDoubt"
	ReasonNotStalled     = "NotStalled"
	ReasonAgentsCurrent  = "AgentsCurrent"
	ReasonAgentsSilent   = "AgentsSilent"
	ReasonBackupCurrent  = "BackupCurrent"
	ReasonBackupTooOld   = "BackupTooOld"
	ReasonBackupFailed   = "BackupFailed"
	ReasonNeverBackedUp  = "NeverBackedUp"

	ReasonArchiveCurrent     = "ArchiveCurrent"
	ReasonArchiveBehind      = "ArchiveBehind"
	ReasonArchiveGap         = "ArchiveGap"
	ReasonArchiveStarting    = "ArchiveStarting"
	ReasonArchiverNotRunning = "ArchiverNotRunning"
	ReasonRouterPodsReady    = "RouterPodsReady"
	ReasonRouterPodsNotReady = "RouterPodsNotReady"

	ReasonDataCopied      = "DataCopied"
	ReasonCopying         = "Copying"
	ReasonNotBegun        = "NotBegun"
	ReasonSecretMissing   = "SecretMissing"
	ReasonBackupsOff      = "BackupsOff"
	ReasonJobsOff         = "JobsOff"
	ReasonVaultStarting   = "VaultStarting"
	ReasonClaimMissing    = "ClaimMissing"
	ReasonVolumesNotEmpty = "VolumesNotEmpty"
)

// Reason is one reason of a condition.
type Reason struct {
	Name string
	// Says is when the condition has it, as half a sentence.
	Says string
}

// Meaning is one status of a condition: what it means and which reasons it can have.
type Meaning struct {
	Type   string
	Status metav1.ConditionStatus
	Means  string
	// Reasons of this status. Rules that are listed here too are those that it has most.
	Reasons []Reason
	// Rules may be the reason as well; nil for none.
	Rules []failover.RuleName
}

// Meanings are all statuses of all conditions, in the order of the documentation,
// docs/conditions.md.
var Meanings = slices.Concat(readyMeanings, roleMeanings, otherMeanings)

var readyMeanings = []Meaning{
	{
		Type:   v1alpha1.ConditionReady,
		Status: metav1.ConditionTrue,
		Means: "the primary accepts writes, the passive applies them and could take over, both members run this generation of the spec, " +
			"no volume claim is being deleted, and nothing waits for a person",
		Reasons: []Reason{{ReasonMembersReady, "all of that is so"}},
	},
	{
		Type:   v1alpha1.ConditionReady,
		Status: metav1.ConditionFalse,
		Means:  "one of these is not so; reason and message are those of the first, in this order",
		Reasons: []Reason{
			{ReasonSpecRefused, "the operator does not carry the spec out; the message names the field and the fix"},
			{ReasonNameConflict, "an object that is not the pair's has a name that the pair needs"},
			{ReasonObjectsPending, "an object of the pair is not as this generation of the spec demands, or the cluster has not processed it yet"},
			{string(failover.RuleVolumeClaimDeleting), "a volume claim is being deleted"},
			{string(failover.RuleHibernated), "`spec.hibernate` is set, and both members are ended"},
			{string(failover.RuleAwaitHibernation), "`spec.hibernate` is set, and the pair goes on until both members can be ended in order"},
			{string(failover.RuleRolloutStopped), "the passive does not come back with this generation of the spec; the primary stays as it is"},
			{string(failover.RuleRollout), "the members are being made again by this generation of the spec, one after the other"},
			{string(failover.RuleRestartPending), "a member still runs a former spec, and `spec.rollout.mode` is OnDelete"},
			{string(failover.RuleMemberProblem),
				"an agent, a pod or the cluster reports a problem of a member, or one member alone has a component or a plugin"},
			{ReasonApplierStopped, "the passive does not apply what it receives"},
		},
		Rules: failover.RuleNames,
	},
}

var roleMeanings = []Meaning{
	{
		Type:    v1alpha1.ConditionAvailable,
		Status:  metav1.ConditionTrue,
		Means:   "the primary accepts writes and the client Service leads to it",
		Reasons: []Reason{{ReasonAcceptsWrites, "its agent says so, at the epoch of the Lease"}},
	},
	{
		Type:   v1alpha1.ConditionAvailable,
		Status: metav1.ConditionFalse,
		Means:  "clients cannot write",
		Reasons: []Reason{
			{string(failover.RuleServiceFollows), "the primary accepts writes and the Service does not lead to it yet"},
			{string(failover.RuleHibernated), "`spec.hibernate` is set, and both members are ended"},
			{string(failover.RuleWritesBlocked), "commits wait for the passive, as `durability.onPassiveLoss: Block` demands"},
			{ReasonNameConflict, "the pair is not begun while an object that is not its own has a name that it needs"},
		},
		Rules: failover.RuleNames,
	},
	{
		Type:   v1alpha1.ConditionAvailable,
		Status: metav1.ConditionUnknown,
		Means:  "the operator cannot tell",
		Reasons: []Reason{
			{string(failover.RuleAuthorityUnreadable), "the Lease could not be read"},
			{string(failover.RuleHolderUnhealthy), "the primary's agent does not answer the operator"},
		},
		Rules: failover.RuleNames,
	},
	{
		Type:    v1alpha1.ConditionReplicating,
		Status:  metav1.ConditionTrue,
		Means:   "the passive receives from the primary and applies",
		Reasons: []Reason{{string(failover.RuleReplicating), "both threads of its channel run"}},
	},
	{
		Type:   v1alpha1.ConditionReplicating,
		Status: metav1.ConditionFalse,
		Means:  "the passive falls behind",
		Reasons: []Reason{
			{ReasonNoPrimary, "there is no primary to replicate from"},
			{string(failover.RulePassiveAway), "mysqld of the passive does not run"},
			{string(failover.RuleAwaitStreaming), "the passive does not receive"},
			{ReasonApplierStopped, "the passive does not apply what it receives; the message has mysqld's error"},
		},
	},
	{
		Type:    v1alpha1.ConditionReplicating,
		Status:  metav1.ConditionUnknown,
		Means:   "the operator cannot tell",
		Reasons: []Reason{{string(failover.RulePassiveAway), "the passive's agent does not answer"}},
	},
	{
		Type:    v1alpha1.ConditionFailoverReady,
		Status:  metav1.ConditionTrue,
		Means:   "a failover now would lose nothing, and would be started",
		Reasons: []Reason{{string(failover.RuleInSync), "the passive has every acknowledged write and applies it in time"}},
	},
	{
		Type:   v1alpha1.ConditionFailoverReady,
		Status: metav1.ConditionFalse,
		Means:  "the passive could not take over; the message says why",
		Reasons: []Reason{
			{string(failover.RuleNoCandidate), "the passive may not be promoted"},
			{string(failover.RuleFlapBudgetSpent), "`failover.maxPerHour` is used up"},
			{string(failover.RuleHibernated), "the pair hibernates"},
			{ReasonNameConflict, "the pair has not begun"},
		},
		Rules: failover.RuleNames,
	},
}

var otherMeanings = []Meaning{
	{
		Type:    v1alpha1.ConditionConsistent,
		Status:  metav1.ConditionTrue,
		Means:   "the last [comparison](checksum.md) found the members equal",
		Reasons: []Reason{{string(failover.RuleMembersEqual), "it compared all tables"}},
	},
	{
		Type:    v1alpha1.ConditionConsistent,
		Status:  metav1.ConditionFalse,
		Means:   "the last comparison found a difference",
		Reasons: []Reason{{string(failover.RuleDrift), "rows, definitions or accounts differ"}},
	},
	{
		Type:   v1alpha1.ConditionConsistent,
		Status: metav1.ConditionUnknown,
		Means:  "it is not known",
		Reasons: []Reason{
			{string(failover.RuleNeverCompared), "no comparison came to a result yet"},
			{string(failover.RuleComparisonStale), "the last one is too long ago"},
		},
	},
	{
		Type:   v1alpha1.ConditionProgressing,
		Status: metav1.ConditionTrue,
		Means:  "something is under way or pending",
		Reasons: []Reason{
			{string(failover.RuleRollout), "the members are being made again by this generation of the spec, one after the other"},
			{string(failover.RuleRestartPending), "a member still runs a former spec, or a former agent, until its next restart"},
			{ReasonObjectsPending, "an object of the pair is not as this generation of the spec demands"},
		},
		Rules: failover.RuleNames,
	},
	{
		Type:   v1alpha1.ConditionProgressing,
		Status: metav1.ConditionFalse,
		Means:  "the operator has nothing to do",
		Reasons: []Reason{
			{ReasonNothingPending, "all is done, or cannot be done without a person: see Ready"},
			{string(failover.RuleRolloutStopped), "the passive does not come back with this generation of the spec; the primary stays as it is"},
		},
	},
	{
		Type:   v1alpha1.ConditionInDoubt,
		Status: metav1.ConditionTrue,
		Means:  "nothing may be done without a missing proof or a person's confirmation; each reason has a [runbook](runbooks)",
		Rules:  failover.DoubtRules,
	},
	{
		Type:    v1alpha1.ConditionInDoubt,
		Status:  metav1.ConditionFalse,
		Means:   "there is no doubt about who may be the primary",
		Reasons: []Reason{{ReasonNoDoubt, "the Lease and the members agree, or what is missing is on its way"}},
	},
	{
		Type:    v1alpha1.ConditionInDoubt,
		Status:  metav1.ConditionUnknown,
		Means:   "the operator cannot tell",
		Reasons: []Reason{{string(failover.RuleAuthorityUnreadable), "the Lease could not be read"}},
	},
	{
		Type:   v1alpha1.ConditionStalled,
		Status: metav1.ConditionTrue,
		Means:  "the pair does not become ready without a person",
		Reasons: []Reason{
			{ReasonSpecRefused, "the operator does not carry the spec out"},
			{ReasonNameConflict, "an object that is not the pair's has a name that the pair needs"},
		},
		Rules: failover.RuleNames,
	},
	{
		Type:    v1alpha1.ConditionStalled,
		Status:  metav1.ConditionFalse,
		Means:   "nothing waits for a person",
		Reasons: []Reason{{ReasonNotStalled, "the pair is ready, or becomes so by itself or with the next restart of its pods"}},
	},
	{
		Type:    v1alpha1.ConditionAgentOutdated,
		Status:  metav1.ConditionTrue,
		Means:   "an agent is older than the operator; it is renewed with the next restart of its pod",
		Reasons: []Reason{{string(failover.RuleAgentOutdated), "an agent has another version"}},
	},
	{
		Type:    v1alpha1.ConditionAgentOutdated,
		Status:  metav1.ConditionFalse,
		Means:   "the agents are the operator's version",
		Reasons: []Reason{{ReasonAgentsCurrent, "all that answer are"}},
	},
	{
		Type:    v1alpha1.ConditionAgentOutdated,
		Status:  metav1.ConditionUnknown,
		Means:   "the operator cannot tell",
		Reasons: []Reason{{ReasonAgentsSilent, "no agent answers"}},
	},
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
		Type:   v1alpha1.ConditionArchiving,
		Status: metav1.ConditionTrue,
		Means: "binary logs are in the [archive](backup.md#archive-binary-logs) soon after they are written; only a pair with " +
			"`spec.backup.binlog.enabled` has this condition",
		Reasons: []Reason{{ReasonArchiveCurrent, "the store had everything at a moment that is younger than a minute, or three flush intervals"}},
	},
	{
		Type:   v1alpha1.ConditionArchiving,
		Status: metav1.ConditionFalse,
		Means:  "what is written now may not be in the archive, or no restore leads across a gap; `status.archive` has the moment up to which nothing is missing",
		Reasons: []Reason{
			{ReasonArchiveGap, "transactions were removed from the members before they were archived, and no backup began since"},
			{ReasonArchiveBehind, "the archive is behind, and its program does not say why"},
			{ReasonArchiverNotRunning, "the pod of the Deployment `<pair>-archive` does not run"},
			{ReasonSecretMissing, "a Secret, ConfigMap or PersistentVolumeClaim that the spec names, or its key, is not there"},
			{ReasonBackupsOff, "the operator was installed without `features.backup`"},
			{string(jobapi.NoMemberToRead), "no member is a passive that receives, or none can be reached"},
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
			{ReasonSecretMissing, "a Secret, ConfigMap or PersistentVolumeClaim that the spec names, or its key, is not there"},
			{ReasonBackupsOff, "the operator was installed without `features.backup`"},
			{ReasonJobsOff, "the operator was installed without any feature that needs Jobs, and a Job brings the dump"},
			{ReasonVaultStarting, "the pod that serves the backup does not answer yet"},
			{string(jobapi.BackupNotFound), "the store has no such backup, or none of the pair"},
			{string(jobapi.BackupAmbiguous), "several pairs of the name have left backups, and the spec names no UID"},
			{string(jobapi.BackupDamaged), "an object of the backup is missing or is not what was written; the message names the next older backup"},
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

// Allows reports whether a condition with this status may have this reason.
func (m Meaning) Allows(reason string) bool {
	return slices.ContainsFunc(m.Reasons, func(r Reason) bool { return r.Name == reason }) ||
		slices.Contains(m.Rules, failover.RuleName(reason))
}

// MeaningOf finds what a status of a condition means; false for one that it never has.
func MeaningOf(kind string, s metav1.ConditionStatus) (Meaning, bool) {
	for _, m := range Meanings {
		if m.Type == kind && m.Status == s {
			return m, true
		}
	}
	return Meaning{}, false
}

// Tables renders Meanings as the chapters of docs/conditions.md.
func Tables() string {
	var out strings.Builder
	kind := ""
	for _, m := range Meanings {
		if m.Type != kind {
			kind = m.Type
			fmt.Fprintf(&out, "\n## %s\n\n| status | means | reasons |\n| --- | --- | --- |\n", kind)
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", m.Status, m.Means, m.reasons())
	}
	return out.String()
}

func (m Meaning) reasons() string {
	var parts []string
	for _, r := range m.Reasons {
		parts = append(parts, fmt.Sprintf("`%s`: %s", r.Name, r.Says))
	}
	switch len(m.Rules) {
	case 0:
	case len(failover.RuleNames):
		parts = append(parts, "or the [rule](failover.md#rules) that says why")
	default:
		names := make([]string, len(m.Rules))
		for i, r := range m.Rules {
			names[i] = fmt.Sprintf("[`%s`](runbooks/%s.md)", r, r)
		}
		parts = append(parts, strings.Join(names, ", "))
	}
	return strings.Join(parts, "; ")
}
