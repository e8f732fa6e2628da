package failover

// betweenRules apply while nobody is the holder. Exactly one of the ways to a new holder
// goes on, judged again at every observation: see chosen.
var betweenRules = []rule{
	{
		name:  RuleServiceFollows,
		apply: serviceLeavesDeadPod,
		says:  "The Service has no selector, and the pod that it was taken off refuses clients no longer: they are led to a door.",
		until: "The Service leads where it should; a write of it that the API server refuses is tried again.",
	},
	{
		name:   RuleManuallyFenced,
		apply:  manuallyFenced,
		ends:   true,
		doubts: true,
		says:   "An operation asked that nobody accepts writes, and was not released.",
		until:  "An operation of type Release: the last primary is appointed again.",
	},
	{
		name:  RuleHibernated,
		apply: hibernated,
		ends:  true,
		says:  "spec.hibernate is set, and the StatefulSet asks for no pods: what ends is let go, and nothing else is done.",
		until: "spec.hibernate is set to false: kubectl dbpair wake.",
	},
	{
		name:  RuleHibernate,
		apply: endMembers,
		ends:  true,
		says:  "The primary was revoked because the pair is to hibernate: once it is closed and the other member has everything, both are ended.",
		until: "Both members are ended; or spec.hibernate is set to false, or one of them fails, and the last primary goes on.",
	},
	{
		name:  RuleWake,
		apply: wake,
		ends:  true,
		says:  "The pair hibernates no longer, or could not: its last primary goes on.",
		until: "The last primary is appointed again and opens.",
	},
	{
		name:   RuleAwaitingProof,
		apply:  awaitingProof,
		ends:   true,
		doubts: true,
		says:   "A proof that a pod accepts no writes is overdue; everything that can still bring it goes on.",
		until: "A proof arrives: the old pod ends, its agent says that it is closed, or leaseDuration passes for it; " +
			"or an operation of type ConfirmDead gives one.",
	},
	{
		name:  RuleForcedPromotion,
		apply: forcePromotion,
		ends:  true,
		says:  "An operation forces the promotion of a member: it is appointed with a proof for the other.",
		until: "The member is appointed, or it cannot be promoted and the operation says why.",
	},
	{
		name:  RuleCompleteSwitchover,
		apply: completeSwitchover,
		ends:  true,
		says:  "The primary was revoked for a switchover: the other member is appointed once it has everything.",
		until: "The other member has every transaction and is appointed; " +
			"or the switchover is canceled or takes longer than deadAfter, and is rolled back.",
	},
	{
		name:  RuleRollBackSwitchover,
		apply: rollBackSwitchover,
		ends:  true,
		says:  "A switchover was canceled or takes too long, and the former primary can go on: it does.",
		until: "The former primary is appointed again and opens.",
	},
	{
		name:  RulePromoteCandidate,
		apply: promoteCandidate,
		ends:  true,
		says:  "The other member is in sync and applies in time: it is appointed.",
		until: "A proof that the old primary is closed, and the candidate has applied what it received: " +
			"it is appointed. When it does not within applyTimeout, another way is taken.",
	},
	{
		name:   RulePrimaryDataRolledBack,
		apply:  lastDataRolledBack,
		ends:   true,
		doubts: true,
		says:   "The last primary's volume was restored from an older state, and nobody can take over: it is not appointed again.",
		until: "A member with the missing transactions is back in sync, " +
			"or an operation of type ForcePromote or Adopt accepts that they are lost.",
	},
	{
		name:  RuleAbandon,
		apply: abandon,
		ends:  true,
		says:  "Nobody can take over: the last primary goes on in the same pod.",
		until: "The last primary is appointed again and opens; should another member become fit first, that one is promoted.",
	},
	{
		name:   RuleVolumeClaimDeleting,
		apply:  lastClaimDeleting,
		ends:   true,
		doubts: true,
		says:   "The last primary's volume claim is being deleted, its pod ends, and no one else has every write: the pod is kept.",
		until: "The deletion cannot be taken back: it ends when the claim is gone and the member has been copied again, " +
			"or when the other member has every write and takes over.",
	},
	{
		name:  RuleReappointHolder,
		apply: reappointHolder,
		ends:  true,
		says:  "The last primary's data goes on in a new pod, once the old one's end is proven.",
		until: "The old pod's end is proven, and its data is there in the new pod: the new pod is appointed.",
	},
	{
		name:   RuleCandidateStuck,
		apply:  candidateStuck,
		ends:   true,
		doubts: true,
		says:   "The candidate does not apply what it received, and the last primary cannot go on.",
		until: "The candidate's applier goes on, the last primary is back, " +
			"or an operation of type ForcePromote discards what cannot be applied.",
	},
	{
		name:   RuleNoTrustedCopy,
		apply:  noTrustedCopy,
		ends:   true,
		doubts: true,
		says:   "Nobody who has every acknowledged write can be reached.",
		until:  "A member that has every acknowledged write is back, or an operation of type ForcePromote accepts the loss.",
	},
}
