package status

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
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

	ReasonProven       = "Proven"
	ReasonDrillFailed  = "DrillFailed"
	ReasonDrillTooOld  = "DrillTooOld"
	ReasonNeverDrilled = "NeverDrilled"

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
var Meanings = slices.Concat(readyMeanings, roleMeanings, otherMeanings, optionalMeanings)

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
