package failover

import "slices"

// rule is one row of a table.
type rule struct {
	name RuleName
	// says is one sentence: when the rule applies, and what it does. docs/failover.md quotes it.
	says string
	// apply says whether the rule applies, and what then.
	apply func(*look) (Plan, bool)
	// ends: when the rule applies, no later rule of the tables about roles is asked, even
	// if this one has nothing to do.
	ends bool
	// endsAll: the same, and nothing is written down either.
	endsAll bool
	// doubts: the rule can leave the pair in doubt, and has a page in docs/runbooks.
	doubts bool
}

// The order of the rows is their precedence. One name stands once in a table; several
// tables can have it for what is the same in different situations.
var (
	// pairRules are asked first, whatever the authority says.
	pairRules = []rule{
		{
			name:    RuleDeleting,
			apply:   deleting,
			endsAll: true,
			says:    "The pair is being deleted: roles are left alone, pods that end lose the finalizer.",
		},
		{
			name:    RuleAuthorityUnreadable,
			apply:   authorityUnreadable,
			endsAll: true,
			says:    "The Lease could not be read: nothing is decided.",
		},
		{
			name:    RuleStaleObservation,
			apply:   staleObservation,
			endsAll: true,
			says:    "An agent answered after the Lease was read and knows more than it said: the Lease is read again.",
		},
		{
			name:  RuleAdoptRequested,
			apply: adoptRequested,
			says:  "The Lease is in doubt and an operation adopts a member: the Lease is written again, above everything seen.",
		},
		{
			name:  RuleAdoptVolumes,
			apply: adoptVolumes,
			says:  "The volumes are those of a deleted pair of this name, and which one is complete is proven: it is adopted.",
		},
		{
			name:   RuleAuthorityMissing,
			apply:  authorityMissing,
			ends:   true,
			doubts: true,
			says:   "There is no Lease, or a blank one, and the pair has a history.",
		},
		{
			name:   RuleAuthorityMalformed,
			apply:  authorityMalformed,
			ends:   true,
			doubts: true,
			says:   "The Lease belongs to another pair, or says what no sequence of changes can have made.",
		},
		{
			name:   RuleAuthorityRolledBack,
			apply:  authorityRolledBack,
			ends:   true,
			doubts: true,
			says:   "An agent, the status, a label or the Service knows a later state than the Lease.",
		},
		{
			name:   RuleAuthorityChangedByOthers,
			apply:  authorityChangedByOthers,
			ends:   true,
			doubts: true,
			says:   "The Lease cannot follow from the one that was accepted before: it was modified externally.",
		},
		{
			name:    RulePaused,
			apply:   paused,
			endsAll: true,
			says:    "spec.paused is set: nothing is changed.",
		},
		{
			name:  RuleCreateAuthority,
			apply: createAuthority,
			ends:  true,
			says:  "The pair is new: it gets a Lease at epoch 0.",
		},
	}

	// bootstrapRules make a new pair's first primary: epoch 0.
	bootstrapRules = []rule{
		{
			name:  RuleServiceFollows,
			apply: serviceFollows,
			says:  "The client Service does not lead where the authority says: it is led there.",
		},
		{
			name:  RuleRestartBootstrap,
			apply: restartBootstrap,
			says:  "The bootstrap is stuck and an operation forces a member with an empty volume: the pair begins there.",
		},
		{
			name:   RuleBootstrapStalled,
			apply:  bootstrapStalled,
			ends:   true,
			doubts: true,
			says:   "The pair never opened, and the member or data that its bootstrap rests on is gone or silent.",
		},
		{
			name:  RuleMemberProblem,
			apply: memberProblem,
			says:  "An agent reports a problem; its message says what to do.",
		},
		{
			name:  RuleNameInitialData,
			apply: nameInitialData,
			says:  "The first member has initialized its volume: the Lease names its data.",
		},
		{
			name:  RuleInitializeMember,
			apply: initializeMember,
			ends:  true,
			says:  "The Lease names the member that may initialize: it is asked to, until it says that it does.",
		},
		{
			name:  RuleAppointFirst,
			apply: appointFirst,
			ends:  true,
			says:  "One member has the first data: it becomes the primary at epoch 1, alone in the ledger.",
		},
		{
			name:  RuleBootstrapMember,
			apply: bootstrapMember,
			says:  "No volume can hold data: the Lease names the member that may initialize.",
		},
		{
			name:  RuleAwaitMembers,
			apply: awaitMembers,
			ends:  true,
			says:  "It is not known yet that no volume holds data.",
		},
	}

	// betweenRules apply while nobody is the holder. Exactly one of the ways to a new holder
	// goes on, judged again at every observation: see chosen.
	betweenRules = []rule{
		{
			name:  RuleServiceFollows,
			apply: serviceLeavesDeadPod,
			says:  "The Service has no selector, and the pod that it was taken off refuses clients no longer: they are led to a door.",
		},
		{
			name:   RuleManuallyFenced,
			apply:  manuallyFenced,
			ends:   true,
			doubts: true,
			says:   "An operation asked that nobody accepts writes, and was not released.",
		},
		{
			name:   RuleAwaitingProof,
			apply:  awaitingProof,
			ends:   true,
			doubts: true,
			says:   "A proof that a pod accepts no writes is overdue; everything that can still bring it goes on.",
		},
		{
			name:  RuleForcedPromotion,
			apply: forcePromotion,
			ends:  true,
			says:  "An operation forces the promotion of a member: it is appointed with a proof for the other.",
		},
		{
			name:  RuleCompleteSwitchover,
			apply: completeSwitchover,
			ends:  true,
			says:  "The primary was revoked for a switchover: the other member is appointed once it has everything.",
		},
		{
			name:  RuleRollBackSwitchover,
			apply: rollBackSwitchover,
			ends:  true,
			says:  "A switchover was canceled or takes too long, and the former primary can go on: it does.",
		},
		{
			name:  RulePromoteCandidate,
			apply: promoteCandidate,
			ends:  true,
			says:  "The other member is in sync and applies in time: it is appointed.",
		},
		{
			name:   RulePrimaryDataRolledBack,
			apply:  lastDataRolledBack,
			ends:   true,
			doubts: true,
			says:   "The last primary's volume was restored from an older state, and nobody can take over: it is not appointed again.",
		},
		{
			name:  RuleAbandon,
			apply: abandon,
			ends:  true,
			says:  "Nobody can take over: the last primary goes on in the same pod.",
		},
		{
			name:   RuleVolumeClaimDeleting,
			apply:  lastClaimDeleting,
			ends:   true,
			doubts: true,
			says:   "The last primary's volume claim is being deleted, its pod ends, and no one else has every write: the pod is kept.",
		},
		{
			name:  RuleReappointHolder,
			apply: reappointHolder,
			ends:  true,
			says:  "The last primary's data goes on in a new pod, once the old one's end is proven.",
		},
		{
			name:   RuleCandidateStuck,
			apply:  candidateStuck,
			ends:   true,
			doubts: true,
			says:   "The candidate does not apply what it received, and the last primary cannot go on.",
		},
		{
			name:   RuleNoTrustedCopy,
			apply:  noTrustedCopy,
			ends:   true,
			doubts: true,
			says:   "Nobody who has every acknowledged write can be reached.",
		},
	}

	// refusalRules answer operations that nothing will be done for, also while the Lease is in
	// doubt. They are asked when no rule about roles has something new to do.
	refusalRules = []rule{
		{
			name:  RuleOperationRefused,
			apply: operationRefused,
			says:  "An operation is about another pair or epoch, or has nothing to do: it fails and says why.",
		},
	}

	// recordRules write down what has happened: records of operations, labels, finalizers that
	// have done their work. They are asked after refusalRules, while the Lease is not in doubt.
	recordRules = []rule{
		{
			name:  RuleReleaseEndedPod,
			apply: releaseEndedPod,
			says:  "A pod has the finalizer and is waited for no longer: it is taken off.",
		},
		{
			name:  RuleReplacePendingPod,
			apply: replacePendingPod,
			says:  "A pod in which mysqld never ran is made by a former template: it is deleted, and the next one follows the present one.",
		},
		{
			name:  RuleLabelsFollow,
			apply: labelsFollow,
			says:  "Role, readability or epoch labels of a pod are not what they should be: they are set.",
		},
		{
			name:  RuleOperationFinished,
			apply: operationFinished,
			says:  "An operation has done its work, or never can: it gets its terminal phase.",
		},
		{
			name:  RuleOperationWaits,
			apply: operationWaits,
			says:  "An operation waits for the pair or for another one: its status says for what.",
		},
		{
			name:  RuleOperationLost,
			apply: operationLost,
			says:  "The present primary was appointed by an operator that did not record it: its successor does.",
		},
	}

	// writeRules are reasons of conditions about writes that fail. Decide does not ask them.
	writeRules = []rule{
		{
			name: RuleWriteRefused,
			says: "The API server refuses a write of the operator again and again.",
		},
	}

	// statusRules are reasons of the condition Consistent. Decide does not ask them.
	statusRules = []rule{
		{
			name: RuleNeverCompared,
			says: "The members' tables have not been compared yet, or no comparison came to a result.",
		},
		{
			name: RuleMembersEqual,
			says: "The last comparison of all tables found them equal.",
		},
		{
			name: RuleDrift,
			says: "Rows, definitions or accounts differ between the members.",
		},
		{
			name: RuleComparisonStale,
			says: "The last comparison of all tables is too long ago.",
		},
	}
)

// tables are all of them, in the order in which docs/failover.md has them.
var tables = []struct {
	title string
	rules []rule
}{
	{"The pair and its Lease", pairRules},
	{"Bootstrap: epoch 0", bootstrapRules},
	{"A holder that may have to go", revokingRules},
	{"Nobody is the holder", betweenRules},
	{"A holder that stays", holderRules},
	{"Operations that are refused", refusalRules},
	{"Records, labels and finalizers", recordRules},
	{"Writes that fail", writeRules},
	{"Comparison of the members' tables", statusRules},
}

// RuleNames lists every rule once, in the order in which they are asked.
var RuleNames = namesOf(func(rule) bool { return true })

// DoubtRules are the rules in which nothing may be done without a proof or a person's
// confirmation; each has a page docs/runbooks/<rule>.md.
var DoubtRules = namesOf(func(r rule) bool { return r.doubts })

func namesOf(which func(rule) bool) []RuleName {
	var names []RuleName
	for _, t := range tables {
		for _, r := range t.rules {
			if which(r) && !slices.Contains(names, r.name) {
				names = append(names, r.name)
			}
		}
	}
	return names
}

// rolesFor are the tables about roles that are asked, which depends on nothing but the
// authority.
func rolesFor(l *look) []rule {
	switch {
	case l.e == 0:
		return slices.Concat(pairRules, bootstrapRules)
	case l.holder == nil:
		return slices.Concat(pairRules, betweenRules)
	}
	return slices.Concat(pairRules, revokingRules, holderRules)
}

// recordsFor are the tables of what is written down.
func recordsFor(l *look) []rule {
	if l.Authority.Reading != Read || l.adoptable() {
		return refusalRules
	}
	return slices.Concat(refusalRules, recordRules)
}
