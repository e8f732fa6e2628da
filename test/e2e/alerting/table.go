package alerting

// Fault is what test/e2e does to a pair, or to the operator.
type Fault string

// The faults.
const (
	PassiveLost        Fault = "the passive's pod is deleted and finds no node"
	ApplierStopped     Fault = "the passive has a row of its own that stands in the way of the applier"
	MemberDiffers      Fault = "a row of the passive is changed, and the members are compared"
	SemiSyncOff        Fault = "semi-synchronous replication is switched off in the primary's mysqld"
	OwnedSettingOther  Fault = "a setting that dbpair owns is changed in the primary's mysqld"
	SpecWithWrongValue Fault = "the spec has an option with a value that mysqld does not take"
	PairFenced         Fault = "the pair is fenced by hand"
	VolumeFull         Fault = "the passive's volume is filled"
	BackupImpossible   Fault = "backups and the archive go to a claim that is not there"
	OperatorGone       Fault = "the operator is scaled to zero"
)

// Fired are the alerts that a fault of a real pair fires.
var Fired = map[string]Fault{
	"DBPairUnavailable":         PairFenced,
	"DBPairInDoubt":             PairFenced,
	"DBPairStalled":             SpecWithWrongValue,
	"DBPairNotFailoverReady":    PassiveLost,
	"DBPairNotReplicating":      ApplierStopped,
	"DBPairMemberUnreachable":   PassiveLost,
	"DBPairDrift":               MemberDiffers,
	"DBPairBackupTooOld":        BackupImpossible,
	"DBPairBackupFailed":        BackupImpossible,
	"DBPairNotArchiving":        BackupImpossible,
	"DBPairVolumeLow":           VolumeFull,
	"DBPairVolumeAlmostFull":    VolumeFull,
	"DBPairSemiSyncInterrupted": SemiSyncOff,
	"DBPairReadOnlyCorrected":   ApplierStopped,
	"DBPairSettingsCorrected":   OwnedSettingOther,
	"DBPairOperatorAbsent":      OperatorGone,
}

// RuleTestOnly are the alerts that only promtool has fire, with the reason.
var RuleTestOnly = map[string]string{
	"DBPairNotRestorable":    "a backup in a real store would have to be damaged, which the tests of cmd/backup do",
	"DBPairTwoMembersOpen":   "no fault is known that leads to it: every other test fails when both members are open",
	"DBPairReplicationLag":   "the applier would have to be more than a minute behind",
	"DBPairRoleChangesOften": "takes four failovers; each of them raises the epoch by which it counts",
	"DBPairComparisonTooOld": "takes a comparison that is older than its schedule promises, which is two minutes at least",
	"DBPairDrillFailed":      "a drill of the schedule has to fail; test/e2e has switchovers fail without Prometheus",
	"DBPairVolumeFullSoon":   "the forecast needs samples of an hour; internal/agent/judge has its tests",
	"DBPairMysqldRestarts":   "takes four ends of mysqld within an hour",
	"DBPairCommitsWait":      "the primary goes on alone by default before a commit has waited for that long",
	"DBPairMemberNotScraped": "a fault of the configuration of Prometheus, not of a pair",
	"DBPairStepsFail":        "counts errors over a quarter of an hour",
}

// Counting are the alerts that fire for long after what they report, since they count.
var Counting = []string{
	"DBPairMysqldRestarts",
	"DBPairReadOnlyCorrected",
	"DBPairRoleChangesOften",
	"DBPairSemiSyncInterrupted",
	"DBPairSettingsCorrected",
	"DBPairStepsFail",
}
