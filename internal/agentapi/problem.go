package agentapi

// ProblemCode names what keeps a member from doing its part. It is also the reason of
// the event and of the condition it leads to.
type ProblemCode string

// The problems.
const (
	ProblemVolumeInUse      ProblemCode = "VolumeInUse"
	ProblemForeignVolume    ProblemCode = "ForeignVolume"
	ProblemVolumeUnreadable ProblemCode = "VolumeUnreadable"
	ProblemVolumeFull       ProblemCode = "VolumeFull"
	ProblemConfigInvalid    ProblemCode = "ConfigInvalid"
	ProblemSettingChanged   ProblemCode = "SettingChanged"
	ProblemNoMysqld         ProblemCode = "NoMysqld"
	ProblemMysqldTooOld     ProblemCode = "MysqldTooOld"
	ProblemUpgradePath      ProblemCode = "UpgradePath"
	ProblemMysqldExits      ProblemCode = "MysqldExits"
	ProblemOwnedVariable    ProblemCode = "OwnedVariableChanged"
	ProblemBinlogsLacking   ProblemCode = "BinlogsLacking"
	ProblemBinlogsLost      ProblemCode = "BinlogsLost"
	ProblemQuarantineLarge  ProblemCode = "QuarantineLarge"
	ProblemSettingDrift     ProblemCode = "SettingDrift"
	ProblemLibraryMissing   ProblemCode = "LibraryMissing"
	ProblemWritablePassive  ProblemCode = "PassiveFoundWritable"
	ProblemWrongPassword    ProblemCode = "WrongPassword"
	ProblemPasswordRefused  ProblemCode = "PasswordRefused"
	ProblemForeignReplica   ProblemCode = "ForeignReplica"
	ProblemSeedFailed       ProblemCode = "SeedFailed"
	ProblemAuthorityUnread  ProblemCode = "AuthorityUnreadable"
	ProblemReplication      ProblemCode = "ReplicationBroken"
	ProblemErrant           ProblemCode = "Errant"
	ProblemCertificate      ProblemCode = "CertificateInvalid"
	ProblemAdminCrowded     ProblemCode = "AdminPortCrowded"
	// ProblemPacketRule: the kernel does not refuse clients as services.primary.rejectNewClients asks. The
	// member does without it, so it comes after all other problems.
	ProblemPacketRule ProblemCode = "PacketRuleMissing"

	// Why the server that a new pair is to be copied from cannot be.
	ProblemDonorUnreachable ProblemCode = "DonorUnreachable"
	ProblemDonorCertificate ProblemCode = "DonorCertificate"
	ProblemDonorDenied      ProblemCode = "DonorDenied"
	ProblemDonorSeries      ProblemCode = "DonorOtherSeries"
	ProblemDonorPlugin      ProblemCode = "DonorWithoutClone"
	ProblemDonorEngines     ProblemCode = "DonorOtherEngines"
	ProblemDonorSettings    ProblemCode = "DonorOtherSettings"

	// Why the dump that a new pair begins with is not loaded.
	ProblemDumpAbsent      ProblemCode = "DumpAbsent"
	ProblemDumpUnreadable  ProblemCode = "DumpUnreadable"
	ProblemDumpCutOff      ProblemCode = "DumpCutOff"
	ProblemDumpRefused     ProblemCode = "DumpRefused"
	ProblemDumpInterrupted ProblemCode = "DumpInterrupted"
	ProblemDumpFailed      ProblemCode = "DumpFailed"
)

// Problem is one thing that is wrong, and what to do about it.
type Problem struct {
	Code    ProblemCode `json:"code"`
	Message string      `json:"message"`
	// Count of occurrences since the agent started.
	Count int `json:"count,omitempty"`
}

// ErrorCode says why a command was refused.
type ErrorCode string

// The refusals.
const (
	ErrorStale     ErrorCode = "Stale"     // the agent knows a higher epoch or ledger version
	ErrorWrongPair ErrorCode = "WrongPair" // the agent serves another pair
	ErrorForbidden ErrorCode = "Forbidden" // this certificate may not ask that
	ErrorRefused   ErrorCode = "Refused"   // the agent's own reading of the Lease says no
	ErrorInternal  ErrorCode = "Internal"
	// ErrorUserTaken: an account of that name belongs to someone else.
	ErrorUserTaken ErrorCode = "UserTaken"
	// ErrorMalformed: the request could not be read.
	ErrorMalformed ErrorCode = "Malformed"
)

// ErrorReply is the body of every answer that is not a success.
type ErrorReply struct {
	Code    ErrorCode `json:"code"`
	Message string    `json:"message"`
}
