package status

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// Bootstrap is what a new pair begins with.
type Bootstrap struct {
	// Spec is nil for a pair that begins empty.
	Spec *v1alpha1.BootstrapSpec
	// Reason of the condition while something has to come first, empty for nothing, and what.
	Reason, Fact string
}

// bootstrapProblems are those of a member that say why a donor cannot be copied, or a dump not be
// loaded. Each is a reason of the condition Bootstrapped.
var bootstrapProblems = []agentapi.ProblemCode{
	agentapi.ProblemDonorUnreachable,
	agentapi.ProblemDonorDenied,
	agentapi.ProblemDonorCertificate,
	agentapi.ProblemDonorSeries,
	agentapi.ProblemDonorPlugin,
	agentapi.ProblemDonorEngines,
	agentapi.ProblemDonorSettings,
	agentapi.ProblemDumpAbsent,
	agentapi.ProblemDumpUnreadable,
	agentapi.ProblemDumpCutOff,
	agentapi.ProblemDumpRefused,
	agentapi.ProblemDumpInterrupted,
	agentapi.ProblemDumpFailed,
	agentapi.ProblemSeedFailed,
	agentapi.ProblemConfigInvalid,
	agentapi.ProblemVolumeFull,
}

// from names what the data comes from.
func (b Bootstrap) from() string {
	switch {
	case b.Spec.Dump != nil:
		return b.Spec.Dump.String()
	case b.Spec.Backup != nil:
		return backupName(b.Spec.Backup)
	case b.Spec.Donor != nil:
		return net.JoinHostPort(b.Spec.Donor.Host, strconv.Itoa(int(b.Spec.Donor.Port)))
	}
	return ""
}

func backupName(source *v1alpha1.BackupSource) string {
	which := "backup " + source.BackupID
	switch {
	case source.BackupID != v1alpha1.LatestBackup:
	case source.Target != nil:
		which = "a backup"
	default:
		which = "the latest backup"
	}
	of := source.Pair.Name
	if source.Pair.Namespace != "" {
		of = source.Pair.Namespace + "/" + of
	}
	return which + " of pair " + of + upTo(source.Target)
}

// upTo names a target; empty without one.
func upTo(target *v1alpha1.RestoreTarget) string {
	switch {
	case target == nil:
		return ""
	case target.GTID != "":
		return " up to " + target.GTID
	case target.BeforeGTID != "":
		return " up to the moment before " + target.BeforeGTID
	case target.Time == v1alpha1.LatestMoment:
		return " up to the end of the archive"
	}
	return " up to " + target.Time
}

// beganWith is the sentence about data that is there.
func (b Bootstrap) beganWith() string {
	if b.Spec.Dump != nil {
		return "the pair began with the dump " + b.from()
	}
	return "the pair began with a copy of " + b.from()
}

// verb is what a member does with it.
func (b Bootstrap) verb() string {
	if b.Spec.Dump != nil {
		return "loads"
	}
	return "copies"
}

func (b Bootstrap) participle() string {
	if b.Spec.Dump != nil {
		return "loaded"
	}
	return "copied"
}

// begun: the pair has data, so that nothing is copied any more.
func begun(o failover.Observation, old []metav1.Condition) bool {
	was := slices.ContainsFunc(old, func(c metav1.Condition) bool {
		return c.Type == v1alpha1.ConditionBootstrapped && c.Status == metav1.ConditionTrue
	})
	rec := o.Authority.Record
	return was || (o.Authority.Reading == failover.Read && (rec.Epoch > 0 || len(rec.Data) > 0))
}

// bootstrapped is the condition of a pair with spec.bootstrap.
func bootstrapped(o failover.Observation, p failover.Plan, done Reconciled, old []metav1.Condition) metav1.Condition {
	const kind = v1alpha1.ConditionBootstrapped
	from := done.Bootstrap.from()
	if begun(o, old) {
		return condition(kind, metav1.ConditionTrue, ReasonDataCopied, done.Bootstrap.beganWith())
	}
	if p.Rule == failover.RuleAuthorityMissing {
		return condition(kind, metav1.ConditionFalse, ReasonVolumesNotEmpty, "nothing is "+done.Bootstrap.participle()+": "+p.Fact)
	}
	if done.Bootstrap.Reason != "" {
		return condition(kind, metav1.ConditionFalse, done.Bootstrap.Reason, done.Bootstrap.Fact)
	}
	for i := range o.Members {
		m := &o.Members[i]
		if !m.Heard() {
			continue
		}
		for _, problem := range m.State.Problems {
			if slices.Contains(bootstrapProblems, problem.Code) {
				return condition(kind, metav1.ConditionFalse, problem.Code, fmt.Sprintf("%s: %s; it is tried again", m.Name, problem.Message))
			}
		}
	}
	if s := bootstrapStatus(o, done, old); s != nil && s.Member != "" {
		return condition(kind, metav1.ConditionFalse, ReasonCopying, fmt.Sprintf("%s %s %s: %s", s.Member, done.Bootstrap.verb(), from, s.Stage))
	}
	return condition(kind, metav1.ConditionFalse, ReasonNotBegun, "nothing of "+from+" is "+done.Bootstrap.participle()+" yet: "+p.Fact)
}

// bootstrapStatus is nil when nothing is to be copied, or any more.
func bootstrapStatus(o failover.Observation, done Reconciled, old []metav1.Condition) *v1alpha1.BootstrapStatus {
	if done.Bootstrap.Spec == nil || begun(o, old) {
		return nil
	}
	out := &v1alpha1.BootstrapStatus{From: done.Bootstrap.from()}
	for i := range o.Members {
		if m := &o.Members[i]; m.Heard() && m.State.Seed != nil {
			out.Member = string(m.Name)
			out.Stage = m.State.Seed.Stage
			out.Bytes = m.State.Seed.Bytes
			out.TotalBytes = m.State.Seed.Estimated
		}
	}
	return out
}
