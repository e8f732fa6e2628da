package status

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// unreachable is the state of a member whose agent does not answer.
const unreachable = "Unreachable"

// Render is the whole status after this look. What the observation does not know stays
// as it was in old, which is not modified.
func Render(o failover.Observation, p failover.Plan, done Reconciled, old v1alpha1.DatabasePairStatus) v1alpha1.DatabasePairStatus {
	out := *old.DeepCopy()
	out.ObservedGeneration = o.Settings.Generation
	out.Checksum = done.Checksum
	out.Backup = done.Backup.Status
	out.Archive = done.Archive.status(old.Archive)
	out.Bootstrap = bootstrapStatus(o, done, old.Conditions)
	out.Conditions = Conditions(o, p, done, old.Conditions)
	out.LastDecision = decided(o, p.Stated(), old.LastDecision)
	out.Members = members(o, old.Members)
	out.PrivilegedAccounts = privileged(o, old.PrivilegedAccounts)
	out.Application = application(o, old.Application)
	if o.Authority.Reading != failover.Read {
		return out
	}
	out.Authority = accepted(o.History.Accepted)
	rec := o.Authority.Record
	out.Epoch = max(out.Epoch, int64(rec.Epoch))
	out.Primary = string(rec.Holder.Member)
	out.InSync = nil
	out.Lag = ""
	for _, m := range o.Members {
		if rec.Epoch > 0 && rec.Data[m.Name] != "" && rec.Ledger.InSync(m.Name) {
			out.InSync = append(out.InSync, string(m.Name))
		}
		if m.Name != rec.Holder.Member && rec.Epoch > 0 {
			out.Lag = lag(m)
		}
	}
	return out
}

// decided is the decision that names the state of the pair. It keeps its time for as long as
// the same rule decides the same kind of thing.
func decided(o failover.Observation, p failover.Plan, old *v1alpha1.LastDecision) *v1alpha1.LastDecision {
	out := &v1alpha1.LastDecision{
		Rule:    string(p.Rule),
		Kind:    v1alpha1.DecisionKind(p.Kind),
		Since:   metav1.NewTime(o.Now.Truncate(time.Second)),
		Message: clip(Message(o, p.Fact, p.Remedy)),
	}
	if p.Rule == "" || p.Kind == "" {
		return old.DeepCopy()
	}
	if old != nil && old.Rule == out.Rule && old.Kind == out.Kind {
		out.Since = old.Since
	}
	return out
}

func members(o failover.Observation, old []v1alpha1.MemberStatus) []v1alpha1.MemberStatus {
	var out []v1alpha1.MemberStatus
	for i := range o.Members {
		m := &o.Members[i]
		row := v1alpha1.MemberStatus{Name: string(m.Name)}
		if at := slices.IndexFunc(old, func(s v1alpha1.MemberStatus) bool { return s.Name == string(m.Name) }); at >= 0 {
			row = old[at]
		}
		row.Role = role(o, m)
		row.Problem = problem(m)
		if m.Pod.Reading == failover.Read {
			row.PodUID = string(m.Pod.UID)
			row.Node = m.Pod.Node
		}
		if !m.Heard() {
			row.State = unreachable
			row.LagSeconds = nil
			row.Copy = nil
			out = append(out, row)
			continue
		}
		row.State = string(m.State.Phase)
		row.DataID = string(m.State.DataID)
		row.AgentVersion = m.State.AgentVersion
		if v := m.State.Mysqld.Version; v != "" {
			row.MySQLVersion = v
		}
		row.LagSeconds = lagSeconds(row.Role, m)
		row.Copy = CopyOf(m.State)
		row.Quarantine = quarantine(m.State.Quarantine, row.Quarantine)
		out = append(out, row)
	}
	return out
}

func role(o failover.Observation, m *failover.Member) v1alpha1.MemberRole {
	rec := o.Authority.Record
	switch {
	case o.Authority.Reading != failover.Read || rec.Epoch == 0 || rec.Holder.Nobody():
		return v1alpha1.RoleUnknown
	case rec.Holder.Member == m.Name:
		return v1alpha1.RolePrimary
	}
	return v1alpha1.RolePassive
}

func problem(m *failover.Member) string {
	switch {
	case m.Heard() && len(m.State.Problems) > 0:
		return m.State.Problems[0].Message
	case m.Pod.Problem != "":
		return m.Pod.Problem
	case !m.Heard() && m.Reach != failover.NotTried:
		return fmt.Sprintf("the agent does not answer (%s)", m.Reach)
	}
	return ""
}

// lagStep is the grain of lag in the status, so that it is not written at every second.
func lagStep(seconds int64) int64 {
	switch {
	case seconds < 10:
		return seconds
	case seconds < 60:
		return seconds / 5 * 5
	}
	return seconds / 60 * 60
}

func lagSeconds(r v1alpha1.MemberRole, m *failover.Member) *int64 {
	applies := r == v1alpha1.RolePassive && m.State.Phase != agentapi.PhaseSeeding
	if !applies || m.State.Server == nil || m.State.Server.LagSeconds < 0 {
		return nil
	}
	n := lagStep(m.State.Server.LagSeconds)
	return &n
}

func lag(m failover.Member) string {
	if !m.Heard() || m.State.Server == nil || m.State.Server.LagSeconds < 0 {
		return ""
	}
	return (time.Duration(lagStep(m.State.Server.LagSeconds)) * time.Second).String()
}

// application is what the open member says of the application's account; as before while no
// one says anything.
func application(o failover.Observation, old *v1alpha1.ApplicationStatus) *v1alpha1.ApplicationStatus {
	for _, m := range o.Members {
		if !m.Heard() || m.State.Server == nil || m.State.OpenEpoch == 0 {
			continue
		}
		if until := m.State.Server.FormerAppPasswordUntil; until != nil {
			return &v1alpha1.ApplicationStatus{FormerPasswordUntil: ptr.To(metav1.NewTime(until.UTC()))}
		}
		return nil
	}
	return old
}

func privileged(o failover.Observation, old []string) []string {
	const limit = 50
	var out []string
	heard := false
	for _, m := range o.Members {
		if m.Heard() && m.State.Server != nil {
			heard = true
			out = append(out, m.State.Server.PrivilegedAccounts...)
		}
	}
	if !heard {
		return old
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) > limit {
		out = out[:limit]
	}
	return out
}
