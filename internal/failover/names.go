package failover

// RuleName names a rule of Decide. The same name is condition reason, event reason,
// metric label and a heading of docs/failover.md.
type RuleName string

// Rules about the pair as a whole.
const (
	RuleDeleting            RuleName = "Deleting"
	RulePaused              RuleName = "Paused"
	RuleAuthorityUnreadable RuleName = "AuthorityUnreadable"
	RuleStaleObservation    RuleName = "StaleObservation"
	RuleOperationRefused    RuleName = "OperationRefused"
	RuleOperationFinished   RuleName = "OperationFinished"
	RuleOperationWaits      RuleName = "OperationWaits"
	RuleOperationLost       RuleName = "OperationLost"
)

// Reasons of conditions about writes.
const RuleWriteRefused RuleName = "WriteRefused"

// Rules about the authority itself.
const (
	RuleAuthorityMissing         RuleName = "AuthorityMissing"
	RuleAuthorityMalformed       RuleName = "AuthorityMalformed"
	RuleAuthorityRolledBack      RuleName = "AuthorityRolledBack"
	RuleAuthorityChangedByOthers RuleName = "AuthorityChangedByOthers"
	RuleAdoptRequested           RuleName = "AdoptRequested"
	RuleAdoptVolumes             RuleName = "AdoptVolumes"
	RuleCreateAuthority          RuleName = "CreateAuthority"
)

// Rules of the bootstrap.
const (
	RuleAwaitMembers     RuleName = "AwaitMembers"
	RuleBootstrapMember  RuleName = "BootstrapMember"
	RuleInitializeMember RuleName = "InitializeMember"
	RuleNameInitialData  RuleName = "NameInitialData"
	RuleAppointFirst     RuleName = "AppointFirst"
	RuleBootstrapStalled RuleName = "BootstrapStalled"
	RuleRestartBootstrap RuleName = "RestartBootstrap"
)

// Rules that end a holder's authority.
const (
	RuleFenceRequested          RuleName = "FenceRequested"
	RuleFailoverRequested       RuleName = "FailoverRequested"
	RuleForcePromotionRequested RuleName = "ForcePromotionRequested"
	RuleHolderExited            RuleName = "HolderExited"
	RuleHolderHung              RuleName = "HolderHung"
	RuleHolderSilent            RuleName = "HolderSilent"
	RuleHolderLeaving           RuleName = "HolderLeaving"
	RulePrimaryPodEnding        RuleName = "PrimaryPodEnding"
	RuleHolderReplaced          RuleName = "HolderReplaced"
	RuleHolderDataLost          RuleName = "HolderDataLost"
	RulePrimaryDataRolledBack   RuleName = "PrimaryDataRolledBack"
	RulePeerConfirmationMissing RuleName = "PeerConfirmationMissing"
	RuleNoCandidate             RuleName = "NoCandidate"
	RuleFailoverDue             RuleName = "FailoverDue"
	RuleFlapBudgetSpent         RuleName = "FlapBudgetSpent"
	RuleReplacePendingPod       RuleName = "ReplacePendingPod"
	RuleHolderNodeLost          RuleName = "HolderNodeLost"
	RuleAwaitSwitchover         RuleName = "AwaitSwitchover"
	RuleDrainForSwitchover      RuleName = "DrainForSwitchover"
	RuleSwitchover              RuleName = "Switchover"
	RuleHolderUnhealthy         RuleName = "HolderUnhealthy"
	RuleAwaitHibernation        RuleName = "AwaitHibernation"
	RuleHibernate               RuleName = "Hibernate"
)

// Rules while nobody is the holder.
const (
	RuleManuallyFenced     RuleName = "ManuallyFenced"
	RuleForcedPromotion    RuleName = "ForcedPromotion"
	RuleCompleteSwitchover RuleName = "CompleteSwitchover"
	RuleRollBackSwitchover RuleName = "RollBackSwitchover"
	RulePromoteCandidate   RuleName = "PromoteCandidate"
	RuleAbandon            RuleName = "Abandon"
	RuleReappointHolder    RuleName = "ReappointHolder"
	RuleAwaitingProof      RuleName = "AwaitingProof"
	RuleCandidateStuck     RuleName = "CandidateStuck"
	RuleNoTrustedCopy      RuleName = "NoTrustedCopy"
	RuleHibernated         RuleName = "Hibernated"
	RuleWake               RuleName = "Wake"
)

// Rules while a holder is there.
const (
	RuleDeleteFormerPrimaryPod RuleName = "DeleteFormerPrimaryPod"
	RuleEndDrain               RuleName = "EndDrain"
	RuleAwaitOpening           RuleName = "AwaitOpening"
	RuleServiceFollows         RuleName = "ServiceFollows"
	RuleFinalizerOnHolder      RuleName = "FinalizerOnHolder"
	RuleReleaseEndedPod        RuleName = "ReleaseEndedPod"
	RuleLabelsFollow           RuleName = "LabelsFollow"
	RuleSemiSyncInterrupted    RuleName = "SemiSyncInterrupted"
	RuleReseedRequested        RuleName = "ReseedRequested"
	RuleReseedDiverged         RuleName = "ReseedDiverged"
	RulePassiveLacksData       RuleName = "PassiveLacksData"
	RuleSoloEntry              RuleName = "SoloEntry"
	RuleSoloForClosedHolder    RuleName = "SoloForClosedHolder"
	RuleWritesBlocked          RuleName = "WritesBlocked"
	RulePassiveFoundWritable   RuleName = "PassiveFoundWritable"
	RulePassiveAway            RuleName = "PassiveAway"
	RuleSeedPassive            RuleName = "SeedPassive"
	RuleAwaitSeed              RuleName = "AwaitSeed"
	RuleNameSeededData         RuleName = "NameSeededData"
	RuleRewindTail             RuleName = "RewindTail"
	RuleDiverged               RuleName = "Diverged"
	RuleIncarnationChanged     RuleName = "IncarnationChanged"
	RuleAwaitStreaming         RuleName = "AwaitStreaming"
	RuleBeginJoining           RuleName = "BeginJoining"
	RuleAwaitSemiSyncEnabled   RuleName = "AwaitSemiSyncEnabled"
	RuleConcludeJoining        RuleName = "ConcludeJoining"
	RuleVolumeClaimDeleting    RuleName = "VolumeClaimDeleting"
	RuleMemberProblem          RuleName = "MemberProblem"
	RuleLagging                RuleName = "Lagging"
	RuleAgentOutdated          RuleName = "AgentOutdated"
	RuleRestartPending         RuleName = "RestartPending"
	RuleRollout                RuleName = "Rollout"
	RuleRolloutStopped         RuleName = "RolloutStopped"
	RuleReplaceBrokenPod       RuleName = "ReplaceBrokenPod"
	RuleInSync                 RuleName = "InSync"
	RuleReplicating            RuleName = "Replicating"
)

// Rules of the condition Consistent, which Decide does not ask.
const (
	RuleNeverCompared   RuleName = "NeverCompared"
	RuleMembersEqual    RuleName = "MembersEqual"
	RuleDrift           RuleName = "Drift"
	RuleComparisonStale RuleName = "ComparisonStale"
)

// RuleDrill is the trigger of a switchover that was made by a schedule. Decide does not ask it.
const RuleDrill RuleName = "Drill"
