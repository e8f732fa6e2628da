package failover

import "slices"

// rule is one row of a table.
type rule struct {
	name RuleName
	// says is one sentence: when the rule applies, and what it does. docs/failover.md quotes it.
	says string
	// until is what ends it or leads to another decision, as kubectl dbpair why prints it.
	until string
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
			until:   "Nothing ends it: the pair goes. A new pair of its name takes up the volumes that are kept.",
		},
		{
			name:    RuleAuthorityUnreadable,
			apply:   authorityUnreadable,
			endsAll: true,
			says:    "The Lease could not be read: nothing is decided.",
			until:   "The API server answers a read of the Lease.",
		},
		{
			name:    RuleStaleObservation,
			apply:   staleObservation,
			endsAll: true,
			says:    "An agent answered after the Lease was read and knows more than it said: the Lease is read again.",
			until:   "The next observation, which reads the Lease again.",
		},
		{
			name:  RuleAdoptRequested,
			apply: adoptRequested,
			says:  "The Lease is in doubt and an operation adopts a member: the Lease is written again, above everything seen.",
			until: "The Lease is written; then the member is appointed in the ordinary way.",
		},
		{
			name:  RuleAdoptVolumes,
			apply: adoptVolumes,
			says:  "The volumes are those of a deleted pair of this name, and which one is complete is proven: it is adopted.",
			until: "The Lease is written; then the member is appointed in the ordinary way.",
		},
		{
			name:   RuleAuthorityMissing,
			apply:  authorityMissing,
			ends:   true,
			doubts: true,
			says:   "There is no Lease, or a blank one, and the pair has a history.",
			until:  "The Lease is put back as it was, or an operation of type Adopt names the member whose data counts.",
		},
		{
			name:   RuleAuthorityMalformed,
			apply:  authorityMalformed,
			ends:   true,
			doubts: true,
			says:   "The Lease belongs to another pair, or says what no sequence of changes can have made.",
			until:  "The Lease is put back as it was, or an operation of type Adopt names the member whose data counts.",
		},
		{
			name:   RuleAuthorityRolledBack,
			apply:  authorityRolledBack,
			ends:   true,
			doubts: true,
			says:   "An agent, the status, a label or the Service knows a later state than the Lease.",
			until:  "The Lease is put back as it was, or an operation of type Adopt names the member whose data counts.",
		},
		{
			name:   RuleAuthorityChangedByOthers,
			apply:  authorityChangedByOthers,
			ends:   true,
			doubts: true,
			says:   "The Lease cannot follow from the one that was accepted before: it was modified externally.",
			until:  "The Lease is put back as it was, or an operation of type Adopt names the member whose data counts.",
		},
		{
			name:    RulePaused,
			apply:   paused,
			endsAll: true,
			says:    "spec.paused is set: nothing is changed.",
			until:   "spec.paused is set to false.",
		},
		{
			name:  RuleCreateAuthority,
			apply: createAuthority,
			ends:  true,
			says:  "The pair is new: it gets a Lease at epoch 0.",
			until: "The Lease is made; then the bootstrap begins.",
		},
	}

	// bootstrapRules make a new pair's first primary: epoch 0.
	bootstrapRules = []rule{
		{
			name:  RuleServiceFollows,
			apply: serviceFollows,
			says:  "The client Service does not lead where the authority says: it is led there.",
			until: "The Service leads where it should; a write of it that the API server refuses is tried again.",
		},
		{
			name:  RuleRestartBootstrap,
			apply: restartBootstrap,
			says:  "The bootstrap is stuck and an operation forces a member with an empty volume: the pair begins there.",
			until: "The Lease names the other member; then that one initializes its volume.",
		},
		{
			name:   RuleBootstrapStalled,
			apply:  bootstrapStalled,
			ends:   true,
			doubts: true,
			says:   "The pair never opened, and the member or data that its bootstrap rests on is gone or silent.",
			until:  "The member or its volume is back, or an operation of type ForcePromote begins the pair on a member with an empty volume.",
		},
		{
			name:  RuleMemberProblem,
			apply: memberProblem,
			says:  "An agent reports a problem, or one member alone has a component or plugin; the message says what to do.",
			until: "The member's agent, pod or volume has the problem no longer; its message says what to do.",
		},
		{
			name:  RuleNameInitialData,
			apply: nameInitialData,
			says:  "The first member has initialized its volume: the Lease names its data.",
			until: "The Lease names the data; then the member is appointed.",
		},
		{
			name:  RuleInitializeMember,
			apply: initializeMember,
			ends:  true,
			says:  "The Lease names the member that may initialize: it is asked to, until it says that it does.",
			until: "The member's agent says that its volume is initialized.",
		},
		{
			name:  RuleAppointFirst,
			apply: appointFirst,
			ends:  true,
			says:  "One member has the first data: it becomes the primary at epoch 1, alone in the ledger.",
			until: "The Lease names the member as the holder at epoch 1; then it opens.",
		},
		{
			name:  RuleBootstrapMember,
			apply: bootstrapMember,
			says:  "No volume can hold data: the Lease names the member that may initialize.",
			until: "The Lease names the member; then that one initializes its volume.",
		},
		{
			name:  RuleAwaitMembers,
			apply: awaitMembers,
			ends:  true,
			says:  "It is not known yet that no volume holds data.",
			until: "The agents of both members say what their volumes hold.",
		},
	}

	// refusalRules answer operations that nothing will be done for, also while the Lease is in
	// doubt. They are asked when no rule about roles has something new to do.
	refusalRules = []rule{
		{
			name:  RuleOperationRefused,
			apply: operationRefused,
			says:  "An operation is about another pair or epoch, or has nothing to do: it fails and says why.",
			until: "The operation has its phase Failed with the reason; a new one that is right is carried out.",
		},
	}

	// recordRules write down what has happened: records of operations, labels, finalizers that
	// have done their work. They are asked after refusalRules, while the Lease is not in doubt.
	recordRules = []rule{
		{
			name:  RuleReleaseEndedPod,
			apply: releaseEndedPod,
			says:  "A pod has the finalizer and is waited for no longer: it is taken off.",
			until: "The finalizer is off the pod.",
		},
		{
			name:  RuleReplacePendingPod,
			apply: replacePendingPod,
			says:  "A pod in which mysqld never ran is made by a former template: it is deleted, and the next one follows the present one.",
			until: "The next pod is made by the present template.",
		},
		{
			name:  RuleLabelsFollow,
			apply: labelsFollow,
			says:  "Role, readability or epoch labels of a pod are not what they should be: they are set.",
			until: "The labels are as they should be.",
		},
		{
			name:  RuleOperationFinished,
			apply: operationFinished,
			says:  "An operation has done its work, or never can: it gets its terminal phase.",
			until: "The operation has its terminal phase.",
		},
		{
			name:  RuleOperationWaits,
			apply: operationWaits,
			says:  "An operation waits for the pair or for another one: its status says for what.",
			until: "The pair is fit for the operation, or its deadline passes.",
		},
		{
			name:  RuleOperationLost,
			apply: operationLost,
			says:  "The present primary was appointed by an operator that did not record it: its successor does.",
			until: "The operation's record is written.",
		},
	}

	// writeRules are reasons of conditions about writes that fail. Decide does not ask them.
	writeRules = []rule{
		{
			name:  RuleWriteRefused,
			says:  "The API server refuses a write of the operator again and again.",
			until: "The quota, webhook or right that refuses the write is corrected; the write is tried again by itself.",
		},
	}

	// scheduleRules are triggers of operations. Decide does not ask them.
	scheduleRules = []rule{
		{
			name:  RuleDrill,
			says:  "A drill is due by spec.switchover.drill, and the pair is fit for it: an operation of type Switchover is made.",
			until: "The switchover is completed, given up or canceled as any other.",
		},
	}

	// statusRules are reasons of the condition Consistent. Decide does not ask them.
	statusRules = []rule{
		{
			name:  RuleNeverCompared,
			says:  "The members' tables have not been compared yet, or no comparison came to a result.",
			until: "A comparison of all tables comes to a result: kubectl dbpair checksum, or spec.checksum.schedule.",
		},
		{
			name:  RuleMembersEqual,
			says:  "The last comparison of all tables found them equal.",
			until: "A later comparison finds a difference, or none is made for two periods of the schedule.",
		},
		{
			name:  RuleDrift,
			says:  "Rows, definitions or accounts differ between the members.",
			until: "The differing tables are repaired and compared again: kubectl dbpair repair.",
		},
		{
			name:  RuleComparisonStale,
			says:  "The last comparison of all tables is too long ago.",
			until: "A comparison of all tables comes to a result: kubectl dbpair checksum, or spec.checksum.schedule.",
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
	{"Schedules", scheduleRules},
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
func rolesFor(l *look) []rule { return rolesIn(Situation{Begun: l.e != 0, Held: l.holder != nil}) }

func rolesIn(s Situation) []rule {
	switch {
	case !s.Begun:
		return slices.Concat(pairRules, bootstrapRules)
	case !s.Held:
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
