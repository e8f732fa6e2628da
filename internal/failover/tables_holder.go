package failover

// Tables of the rules while a member is the holder; see tables.go.
var (
	// revokingRules are the reasons to take the authority from its holder.
	revokingRules = []rule{
		{
			name:  RuleFenceRequested,
			apply: fenceRequested,
			says:  "An operation asks that nobody accepts writes: the authority is revoked.",
		},
		{
			name:  RuleForcePromotionRequested,
			apply: forcePromotionRequested,
			says:  "An operation forces the promotion of the other member: the authority is revoked.",
		},
		{
			name:  RuleHolderReplaced,
			apply: holderReplaced,
			says:  "The primary's pod is gone, or another one stands in its place.",
		},
		{
			name:  RuleHolderLeaving,
			apply: holderLeaving,
			says:  "The primary's pod is being deleted.",
		},
		{
			name:  RulePrimaryPodEnding,
			apply: primaryPodEnding,
			says:  "The primary's container was asked to end, and its pod is not being deleted.",
		},
		{
			name:  RuleHolderDataLost,
			apply: holderDataLost,
			says:  "The primary's volume does not hold the pair's data any more.",
		},
		{
			name:  RuleHolderExited,
			apply: holderExited,
			says:  "The primary's agent says that its mysqld has ended.",
		},
		{
			name:  RuleHolderHung,
			apply: holderHung,
			says:  "The primary's mysqld runs and has not answered its agent for deadAfter.",
		},
		{
			name:  RuleHolderSilent,
			apply: holderSilent,
			says:  "Neither the operator nor the peer has heard the primary for deadAfter.",
		},
		{
			name:  RulePeerConfirmationMissing,
			apply: peerConfirmationMissing,
			says:  "The primary is closed and cannot get its peer's confirmation: it is appointed at a new epoch.",
		},
		{
			name:  RuleFailoverRequested,
			apply: failoverRequested,
			says:  "An operation asks for a failover: mode and budget do not apply, the candidate's fitness does.",
		},
		{
			name:  RuleAwaitSwitchover,
			apply: awaitSwitchover,
			says:  "An operation asks for a switchover and the pair is not fit for it: it waits, until its deadline at the latest.",
		},
		{
			name:  RuleDrainForSwitchover,
			apply: drainForSwitchover,
			says:  "A switchover has begun: new clients are led to the other member's door, and the primary's sessions end one by one.",
		},
		{
			name:  RuleSwitchover,
			apply: switchover,
			says:  "The primary is drained, or its drain may take no longer: the authority is revoked.",
		},
		{
			name:  RuleHolderNodeLost,
			apply: holderNodeLost,
			says:  "The primary is silent, nobody can take over, and an operation or its node's taint says that it cannot run any more: its data goes on in its next pod.",
		},
		{
			name:  RuleFailoverDue,
			apply: failoverDue,
			says:  "A failover is called for and failover.mode is Manual.",
		},
		{
			name:   RuleFlapBudgetSpent,
			apply:  flapBudgetSpent,
			doubts: true,
			says:   "A failover is called for and failover.maxPerHour is used up.",
		},
		{
			name:   RuleNoTrustedCopy,
			apply:  holderLost,
			doubts: true,
			says:   "The primary cannot go on by itself, and no one else may.",
		},
		{
			name:  RuleNoCandidate,
			apply: noCandidate,
			says:  "A failover is called for and nobody can take over: the primary recovers where it is.",
		},
		{
			name:  RuleHolderUnhealthy,
			apply: holderUnhealthy,
			says:  "The primary has been silent for warnAfter.",
		},
	}

	// holderRules keep a pair with a holder as it should be. Clients come first, then the
	// ledger, then the passive's return.
	holderRules = []rule{
		{
			name:  RuleDeleteFormerPrimaryPod,
			apply: deleteFormerPrimaryPod,
			says:  "The pod that clients were led to before was not deleted yet: it is, before they are led to the new primary.",
		},
		{
			name:  RuleServiceFollows,
			apply: serviceFollows,
			says:  "The client Service does not lead where the authority says: it is led there.",
		},
		{
			name:  RuleEndDrain,
			apply: endDrain,
			says:  "The primary is drained for a switchover that does not go on: its agent is asked to stop.",
		},
		{
			name:  RuleFinalizerOnHolder,
			apply: finalizerOnHolder,
			says:  "The primary's pod lacks the finalizer dbpair.io/fence: it gets it.",
		},
		{
			name:  RuleRolloutStopped,
			apply: rolloutStopped,
			says:  "The passive does not come back with the present spec: the primary stays as it is.",
		},
		{
			name:   RulePrimaryDataRolledBack,
			apply:  primaryDataRolledBack,
			ends:   true,
			doubts: true,
			says:   "The primary lacks transactions that it wrote or that were acknowledged: its volume was restored from an older state.",
		},
		{
			name:  RuleSemiSyncInterrupted,
			apply: semiSyncInterrupted,
			says:  "Commits of the primary did not wait though they had to: the passive is not promotable until it is verified again.",
		},
		{
			name:  RulePassiveLacksData,
			apply: passiveLacksData,
			says:  "The primary has transactions that its passive can never receive, such as those of an imported dump: the passive is not promotable until it is copied again.",
		},
		{
			name:  RuleReseedRequested,
			apply: reseedRequested,
			says:  "An operation asks for the passive to be copied again: the primary goes on alone, and the passive's data is given up.",
		},
		{
			name:  RuleSoloEntry,
			apply: soloEntry,
			says:  "The passive does not acknowledge, has lost its data, or the mode is Async: the ledger becomes solo.",
		},
		{
			name:  RuleSoloForClosedHolder,
			apply: soloForClosedHolder,
			says:  "The primary is closed with commits that its absent peer may lack: the ledger becomes solo.",
		},
		{
			name:  RulePassiveFoundWritable,
			apply: passiveFoundWritable,
			says:  "The passive's mysqld is not read-only: its agent is asked to close it.",
		},
		{
			name:  RuleWritesBlocked,
			apply: writesBlocked,
			says:  "The passive does not acknowledge and durability.onPassiveLoss is Block: writes wait.",
		},
		{
			name:  RuleAwaitOpening,
			apply: awaitOpening,
			says:  "The holder is named and not open yet.",
		},
		{
			name:  RuleVolumeClaimDeleting,
			apply: claimDeleting,
			says:  "The volume claim of a member is being deleted: its data goes when its pod ends.",
		},
		{
			name:  RuleMemberProblem,
			apply: memberProblem,
			says:  "An agent reports a problem; its message says what to do.",
		},
		{
			name:  RulePassiveAway,
			apply: passiveAway,
			says:  "The passive does not answer, or is starting.",
		},
		{
			name:  RuleNameSeededData,
			apply: nameSeededData,
			says:  "The passive's copy is complete: the Lease names its data.",
		},
		{
			name:  RuleSeedPassive,
			apply: seedPassive,
			says:  "The passive's volume is empty or void: it is asked to copy the primary's.",
		},
		{
			name:  RuleAwaitSeed,
			apply: awaitSeed,
			says:  "The passive is being copied.",
		},
		{
			name:  RuleRewindTail,
			apply: rewindTail,
			says:  "The passive was the primary and ended uncleanly: a tail that was never acknowledged is cut, any other is kept.",
		},
		{
			name:  RuleDiverged,
			apply: diverged,
			says:  "The passive has data that the authority does not know, or transactions that the primary has not.",
		},
		{
			name:  RuleAwaitStreaming,
			apply: awaitStreaming,
			says:  "The passive does not receive from the primary yet.",
		},
		{
			name:  RuleIncarnationChanged,
			apply: incarnationChanged,
			says:  "The passive's mysqld was restarted: it is verified again before it counts as in sync.",
		},
		{
			name:  RuleBeginJoining,
			apply: beginJoining,
			says:  "The passive is closed, streams, and has nothing that the primary has not: the ledger becomes joining.",
		},
		{
			name:  RuleAwaitSemiSyncEnabled,
			apply: awaitSemiSyncEnabled,
			says:  "The primary has not acted on the joining ledger yet.",
		},
		{
			name:  RuleConcludeJoining,
			apply: concludeJoining,
			says:  "The primary waits: the passive is verified to have received everything, and the ledger becomes both.",
		},
		{
			name:  RuleLagging,
			apply: lagging,
			says:  "The passive lags, or its applier stopped.",
		},
		{
			name:  RuleReplaceBrokenPod,
			apply: replaceBrokenPod,
			says:  "The passive does not come back with a former spec: its pod is deleted, and the next one follows the present spec.",
		},
		{
			name:  RuleRollout,
			apply: rollout,
			says:  "A member runs a former spec: the passive's pod is made again, and the primary is switched over, one after the other.",
		},
		{
			name:  RuleRestartPending,
			apply: restartPending,
			says:  "A change of the spec waits for the next restart of a pod.",
		},
		{
			name:  RuleAgentOutdated,
			apply: agentOutdated,
			says:  "An agent is of another version than the operator.",
		},
		{
			name:  RuleInSync,
			apply: inSync,
			says:  "The primary is open, and the passive could take over now without loss.",
		},
		{
			name:  RuleReplicating,
			apply: replicating,
			says:  "The primary is open, without a second copy that counts.",
		},
	}
)
