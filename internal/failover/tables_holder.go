package failover

// Tables of the rules while a member is the holder; see tables.go.
var (
	// revokingRules are the reasons to take the authority from its holder.
	revokingRules = []rule{
		{
			name:  RuleFenceRequested,
			apply: fenceRequested,
			says:  "An operation asks that nobody accepts writes: the authority is revoked.",
			until: "The authority is revoked; the pair stays closed until an operation of type Release.",
		},
		{
			name:  RuleForcePromotionRequested,
			apply: forcePromotionRequested,
			says:  "An operation forces the promotion of the other member: the authority is revoked.",
			until: "The authority is revoked; then the member is appointed with a proof for the other.",
		},
		{
			name:  RuleHolderReplaced,
			apply: holderReplaced,
			says:  "The primary's pod is gone, or another one stands in its place.",
			until: "The authority is revoked; then the other member is promoted, or the holder's new pod appointed.",
		},
		{
			name:  RuleHolderLeaving,
			apply: holderLeaving,
			says:  "The primary's pod is being deleted.",
			until: "The authority is revoked; then the other member is promoted. With nobody to take over, the holder's next pod goes on.",
		},
		{
			name:  RulePrimaryPodEnding,
			apply: primaryPodEnding,
			says:  "The primary's container was asked to end, and its pod is not being deleted.",
			until: "The authority is revoked; then the other member is promoted. With nobody to take over, " +
				"the container is started again and goes on.",
		},
		{
			name:  RuleHolderDataLost,
			apply: holderDataLost,
			says:  "The primary's volume does not hold the pair's data any more.",
			until: "The authority is revoked; then the other member is promoted.",
		},
		{
			name:  RuleHolderExited,
			apply: holderExited,
			says:  "The primary's agent says that its mysqld has ended.",
			until: "The authority is revoked; then the other member is promoted. With nobody to take over, mysqld recovers where it is.",
		},
		{
			name:  RuleHolderHung,
			apply: holderHung,
			says:  "The primary's mysqld runs and has not answered its agent for deadAfter.",
			until: "mysqld answers again before the authority is revoked; else the other member is promoted.",
		},
		{
			name:  RuleHolderSilent,
			apply: holderSilent,
			says:  "Neither the operator nor the peer has heard the primary for deadAfter.",
			until: "The primary's agent answers again before the authority is revoked; else the other member is promoted.",
		},
		{
			name:  RulePeerConfirmationMissing,
			apply: peerConfirmationMissing,
			says:  "The primary is closed and cannot get its peer's confirmation: it is appointed at a new epoch.",
			until: "The primary is appointed at a new epoch and opens.",
		},
		{
			name:  RuleFailoverRequested,
			apply: failoverRequested,
			says:  "An operation asks for a failover: mode and budget do not apply, the candidate's fitness does.",
			until: "The authority is revoked; then the other member is promoted.",
		},
		{
			name:  RuleAwaitSwitchover,
			apply: awaitSwitchover,
			says:  "An operation asks for a switchover and the pair is not fit for it: it waits, until its deadline at the latest.",
			until: "What is missing is there, and the switchover begins; or its deadline passes, or kubectl dbpair cancel ends it.",
		},
		{
			name:  RuleDrainForSwitchover,
			apply: drainForSwitchover,
			says:  "A switchover has begun: new clients are led to the other member's door, and the primary's sessions end one by one.",
			until: "No transaction is in flight, or drainTimeout passes: " +
				"the primary is revoked, or the switchover given up as onTimeout says. kubectl dbpair cancel ends it before.",
		},
		{
			name:  RuleSwitchover,
			apply: switchover,
			says:  "The primary is drained, or its drain may take no longer: the authority is revoked.",
			until: "The authority is revoked; then the other member is appointed once it has every transaction.",
		},
		{
			name:  RuleAwaitHibernation,
			apply: awaitHibernation,
			says:  "spec.hibernate is set and the members cannot be ended in order now: the primary goes on until they can.",
			until: "The passive is in sync and nothing else is under way; then the members are ended. spec.hibernate: false ends the waiting.",
		},
		{
			name:  RuleHibernate,
			apply: hibernate,
			says:  "spec.hibernate is set: clients are led to the passive's door, the primary is drained, and the authority is revoked.",
			until: "Both members are ended; or spec.hibernate is set to false, and the primary goes on.",
		},
		{
			name:  RuleHolderNodeLost,
			apply: holderNodeLost,
			says: "The primary is silent, nobody can take over, and an operation or its node's taint says that it cannot run any more: " +
				"its data goes on in its next pod.",
			until: "leaseDuration passes for the lost pod; then the primary goes on in its next pod.",
		},
		{
			name:  RuleFailoverDue,
			apply: failoverDue,
			says:  "A failover is called for and failover.mode is Manual.",
			until: "The primary is back, an operation of type Failover is made, or failover.mode is set to Automatic.",
		},
		{
			name:   RuleFlapBudgetSpent,
			apply:  flapBudgetSpent,
			doubts: true,
			says:   "A failover is called for and failover.maxPerHour is used up.",
			until: "The primary is back, an hour passes since the oldest of the failovers that count, failover.maxPerHour is raised, " +
				"or an operation of type Failover is made.",
		},
		{
			name:   RuleNoTrustedCopy,
			apply:  holderLost,
			doubts: true,
			says:   "The primary cannot go on by itself, and no one else may.",
			until:  "A member that has every acknowledged write is back, or an operation of type ForcePromote accepts the loss.",
		},
		{
			name:  RuleNoCandidate,
			apply: noCandidate,
			says:  "A failover is called for and nobody can take over: the primary recovers where it is.",
			until: "The primary recovers, or the passive is in sync and can take over.",
		},
		{
			name:  RuleHolderUnhealthy,
			apply: holderUnhealthy,
			says:  "The primary has been silent for warnAfter.",
			until: "The primary's agent answers again, or deadAfter passes.",
		},
	}

	// holderRules keep a pair with a holder as it should be. Clients come first, then the
	// ledger, then the passive's return.
	holderRules = []rule{
		{
			name:  RuleDeleteFormerPrimaryPod,
			apply: deleteFormerPrimaryPod,
			says:  "The pod that clients were led to before was not deleted yet: it is, before they are led to the new primary.",
			until: "The API server accepts the deletion of the pod; then clients are led to the new primary.",
		},
		{
			name:  RuleServiceFollows,
			apply: serviceFollows,
			says:  "The client Service does not lead where the authority says: it is led there.",
			until: "The Service leads where it should; a write of it that the API server refuses is tried again.",
		},
		{
			name:  RuleEndDrain,
			apply: endDrain,
			says:  "The primary is drained for a switchover that does not go on: its agent is asked to stop.",
			until: "The primary's agent says that it does not drain any more.",
		},
		{
			name:  RuleFinalizerOnHolder,
			apply: finalizerOnHolder,
			says:  "The primary's pod lacks the finalizer dbpair.io/fence: it gets it.",
			until: "The finalizer is on the pod.",
		},
		{
			name:  RuleRolloutStopped,
			apply: rolloutStopped,
			says:  "The passive does not come back with the present spec: the primary stays as it is.",
			until: "The spec is corrected or set back; the passive's pod is then made again.",
		},
		{
			name:   RulePrimaryDataRolledBack,
			apply:  primaryDataRolledBack,
			ends:   true,
			doubts: true,
			says:   "The primary lacks transactions that it wrote or that were acknowledged: its volume was restored from an older state.",
			until: "A member with the missing transactions is back in sync, " +
				"or an operation of type ForcePromote or Adopt accepts that they are lost.",
		},
		{
			name:  RuleSemiSyncInterrupted,
			apply: semiSyncInterrupted,
			says:  "Commits of the primary did not wait though they had to: the passive is not promotable until it is verified again.",
			until: "The passive is verified again and the ledger becomes both.",
		},
		{
			name:  RulePassiveLacksData,
			apply: passiveLacksData,
			says: "The primary has transactions that its passive can never receive, such as those of an imported dump: " +
				"the passive is not promotable until it is copied again.",
			until: "The passive is copied again: kubectl dbpair reseed.",
		},
		{
			name:  RuleReseedRequested,
			apply: reseedRequested,
			says:  "An operation asks for the passive to be copied again: the primary goes on alone, and the passive's data is given up.",
			until: "The passive's data is given up and copied from the primary; or the operation ends with the reason.",
		},
		{
			name:  RuleReseedDiverged,
			apply: reseedDiverged,
			says: "The passive has transactions that were never acknowledged and cannot be rewound, and spec.rejoin.onDivergence is Automatic: " +
				"they are saved in its quarantine, and it is copied again.",
			until: "The passive is copied from the primary. With spec.rejoin.onDivergence: Hold its data stays as it is.",
		},
		{
			name:  RuleSoloEntry,
			apply: soloEntry,
			says:  "The passive does not acknowledge, has lost its data, or the mode is Async: the ledger becomes solo.",
			until: "The ledger is solo; the passive joins again once it streams.",
		},
		{
			name:  RuleSoloForClosedHolder,
			apply: soloForClosedHolder,
			says:  "The primary is closed with commits that its peer, which is absent or can never receive them, may lack: the ledger becomes solo.",
			until: "The ledger is solo and the primary opens.",
		},
		{
			name:  RulePassiveFoundWritable,
			apply: passiveFoundWritable,
			says:  "The passive's mysqld is not read-only: its agent is asked to close it.",
			until: "The passive's agent says that it is closed. What made it writable can do so again.",
		},
		{
			name:  RuleWritesBlocked,
			apply: writesBlocked,
			says:  "The passive does not acknowledge and durability.onPassiveLoss is Block: writes wait.",
			until: "The passive acknowledges again, or durability.onPassiveLoss is set to Continue.",
		},
		{
			name:  RuleAwaitOpening,
			apply: awaitOpening,
			says:  "The holder is named and not open yet.",
			until: "The holder's agent says that it is open at this epoch; should it fail, it is failed over.",
		},
		{
			name:  RuleVolumeClaimDeleting,
			apply: claimDeleting,
			says:  "The volume claim of a member is being deleted: its data goes when its pod ends.",
			until: "The deletion cannot be taken back: it ends when the claim is gone and the member has been copied again, " +
				"or when the other member has every write and takes over.",
		},
		{
			name:  RuleMemberProblem,
			apply: memberProblem,
			says:  "An agent reports a problem, or one member alone has a component or plugin; the message says what to do.",
			until: "The member's agent, pod or volume has the problem no longer; its message says what to do.",
		},
		{
			name:  RulePassiveAway,
			apply: passiveAway,
			says:  "The passive does not answer, or is starting.",
			until: "The passive's agent answers and its mysqld runs.",
		},
		{
			name:  RuleNameSeededData,
			apply: nameSeededData,
			says:  "The passive's copy is complete: the Lease names its data.",
			until: "The Lease names the data; then the passive replicates.",
		},
		{
			name:  RuleSeedPassive,
			apply: seedPassive,
			says:  "The passive's volume is empty or void: it is asked to copy the primary's.",
			until: "The passive's agent says that it copies.",
		},
		{
			name:  RuleAwaitSeed,
			apply: awaitSeed,
			says:  "The passive is being copied.",
			until: "The copy is complete, or it fails and is begun again.",
		},
		{
			name:  RuleRewindTail,
			apply: rewindTail,
			says:  "The passive was the primary and ended uncleanly: a tail that was never acknowledged is cut, any other is kept.",
			until: "The tail is cut and the passive replicates; one that cannot be cut is reported as Diverged.",
		},
		{
			name:  RuleDiverged,
			apply: diverged,
			says:  "The passive has data that the authority does not know, or transactions that the primary has not.",
			until: "The passive is copied again: kubectl dbpair reseed.",
		},
		{
			name:  RuleAwaitStreaming,
			apply: awaitStreaming,
			says:  "The passive does not receive from the primary yet.",
			until: "Both threads of the passive's channel run.",
		},
		{
			name:  RuleIncarnationChanged,
			apply: incarnationChanged,
			says:  "The passive's mysqld was restarted: it is verified again before it counts as in sync.",
			until: "The ledger is solo; then the passive joins again.",
		},
		{
			name:  RuleBeginJoining,
			apply: beginJoining,
			says:  "The passive is closed, streams, and has nothing that the primary has not: the ledger becomes joining.",
			until: "The ledger is joining; then the passive is verified.",
		},
		{
			name:  RuleAwaitSemiSyncEnabled,
			apply: awaitSemiSyncEnabled,
			says:  "The primary has not acted on the joining ledger yet.",
			until: "The primary's agent says that commits wait for the passive.",
		},
		{
			name:  RuleConcludeJoining,
			apply: concludeJoining,
			says:  "The primary waits: the passive is verified to have received everything, and the ledger becomes both.",
			until: "The ledger is both.",
		},
		{
			name:  RuleLagging,
			apply: lagging,
			says:  "The passive lags, or its applier stopped.",
			until: "The passive has applied what it received; an applier that stopped with an error needs a person.",
		},
		{
			name:  RuleReplaceBrokenPod,
			apply: replaceBrokenPod,
			says:  "The passive does not come back with a former spec: its pod is deleted, and the next one follows the present spec.",
			until: "The next pod comes back with the present spec.",
		},
		{
			name:  RuleRollout,
			apply: rollout,
			says:  "A member runs a former spec: the passive's pod is made again, and the primary is switched over, one after the other.",
			until: "Both members run this generation of the spec, or the passive does not come back with it.",
		},
		{
			name:  RuleRestartPending,
			apply: restartPending,
			says:  "A change of the spec waits for the next restart of a pod.",
			until: "The pods are restarted: kubectl dbpair restart, or spec.rollout.mode Automatic.",
		},
		{
			name:  RuleAgentOutdated,
			apply: agentOutdated,
			says:  "An agent is of another version than the operator.",
			until: "The pods are restarted: kubectl dbpair restart.",
		},
		{
			name:  RuleInSync,
			apply: inSync,
			says:  "The primary is open, and the passive could take over now without loss.",
			until: "Anything that a rule before it applies to: " +
				"a primary that fails or ends, a passive that falls away or lags, an operation, a change of the spec.",
		},
		{
			name:  RuleReplicating,
			apply: replicating,
			says:  "The primary is open, without a second copy that counts.",
			until: "The passive is in sync.",
		},
	}
)
