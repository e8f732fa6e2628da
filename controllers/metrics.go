package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// The metrics of the operator. docs/metrics.md describes them.
var (
	pairEpoch = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_pair_epoch", Help: "Version of the authority; grows with every change of primary.",
	}, []string{"namespace", "pair"})
	pairCondition = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_pair_condition", Help: "1 for the present status of each condition of a pair, 0 for the others.",
	}, []string{"namespace", "pair", "condition", "status"})
	pairHibernated = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_pair_hibernated", Help: "1 while the pair hibernates, as spec.hibernate asks.",
	}, []string{"namespace", "pair"})
	memberOpen = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_member_open", Help: "1 while the member's agent says that it accepts clients' writes.",
	}, []string{"namespace", "pair", "member"})
	memberReachable = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_member_reachable", Help: "1 while the member's agent answers the operator.",
	}, []string{"namespace", "pair", "member"})
	memberLag = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_member_lag_seconds", Help: "How far the member's applier is behind.",
	}, []string{"namespace", "pair", "member"})
	readonlyCorrections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbpair_readonly_corrections_total", Help: "How often a passive was found writable and closed again.",
	}, []string{"namespace", "pair", "member"})
	operationTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbpair_operations_total", Help: "Operations that ended, by type, phase and proof.",
	}, []string{"namespace", "pair", "type", "phase", "proof"})
	failoverSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "dbpair_failover_duration_seconds",
		Help:    "From the revocation to the end of a failover, by proof.",
		Buckets: []float64{0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300},
	}, []string{"proof"})
	roleChanges = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbpair_role_changes_total", Help: "Failovers and planned switchovers that ended, by the rule that began them and by result.",
	}, []string{"namespace", "pair", "trigger", "result"})
	writeGapSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "dbpair_write_gap_seconds",
		Help:    "For how long no member accepted writes in a change of primary, by the rule that began it.",
		Buckets: []float64{0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60},
	}, []string{"trigger"})
	drainSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "dbpair_drain_seconds",
		Help:    "How long the primary was drained before it was revoked, by the rule that began the switchover.",
		Buckets: []float64{0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300},
	}, []string{"trigger"})
	drainedSessions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbpair_drained_sessions_total",
		Help: "Sessions of clients in planned switchovers: closed outside a transaction, or cut inside one.",
	}, []string{"namespace", "pair", "trigger", "outcome"})
	drillTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbpair_drills_total", Help: "Drills of the schedule, by result: the phase in which they ended, or Skipped.",
	}, []string{"namespace", "pair", "result"})
	drillTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_drill_last_timestamp_seconds", Help: "When the last drill ended, in Unix time.",
	}, []string{"namespace", "pair"})
	drillSucceeded = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_drill_last_succeeded", Help: "1 when the last drill that ended succeeded.",
	}, []string{"namespace", "pair"})
	drillGap = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_drill_last_write_gap_seconds", Help: "For how long no member accepted writes in the last drill in which that was measured.",
	}, []string{"namespace", "pair"})
	checksumTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_checksum_last_success_timestamp_seconds", Help: "When the last comparison of all tables came to a result, in Unix time.",
	}, []string{"namespace", "pair"})
	checksumSeconds = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_checksum_duration_seconds", Help: "How long the last comparison of all tables took.",
	}, []string{"namespace", "pair"})
	checksumRows = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_checksum_rows", Help: "Rows that the last comparison of all tables compared.",
	}, []string{"namespace", "pair"})
	checksumLock = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_checksum_longest_lock_seconds",
		Help: "The longest time that the last comparison of all tables locked one of them for writes.",
	}, []string{"namespace", "pair"})
	driftRows = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_drift_rows", Help: "Rows that differ between the members, as last compared.",
	}, []string{"namespace", "pair"})
	driftDefinitions = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_drift_definitions", Help: "Definitions and accounts that differ between the members, as last compared.",
	}, []string{"namespace", "pair"})
	stepTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dbpair_steps_total", Help: "Steps executed, by step, rule and outcome.",
	}, []string{"step", "rule", "outcome"})
)

func init() {
	metrics.Registry.MustRegister(pairEpoch, pairHibernated, pairCondition, memberOpen, memberReachable, memberLag,
		readonlyCorrections, operationTotal, failoverSeconds, roleChanges, writeGapSeconds, stepTotal,
		drainSeconds, drainedSessions, drillTotal, drillTime, drillSucceeded, drillGap,
		checksumTime, checksumSeconds, checksumRows, checksumLock, driftRows, driftDefinitions)
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return "done"
	case quiet(err) == nil:
		return "conflict"
	}
	return "error"
}

// conditionStatuses are what a condition can be.
var conditionStatuses = []string{"True", "False", "Unknown"}

func setMetrics(name types.NamespacedName, o failover.Observation, s v1alpha1.DatabasePairStatus) {
	labels := []string{name.Namespace, name.Name}
	pairEpoch.WithLabelValues(labels...).Set(float64(s.Epoch))
	pairHibernated.WithLabelValues(labels...).Set(oneIf(o.Hibernates()))
	forgetFormerConditions(name, s.Conditions)
	for _, c := range s.Conditions {
		for _, value := range conditionStatuses {
			pairCondition.WithLabelValues(name.Namespace, name.Name, c.Type, value).Set(oneIf(string(c.Status) == value))
		}
	}
	setChecksumMetrics(labels, s.Checksum)
	setDrillMetrics(labels, s.Drill)
	if meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionBackedUp) != nil {
		setBackupMetrics(labels, s.Backup)
		setRestoreDrillMetrics(labels, s.Backup)
	}
	for i := range o.Members {
		m := &o.Members[i]
		labels := []string{name.Namespace, name.Name, string(m.Name)}
		memberReachable.WithLabelValues(labels...).Set(oneIf(m.Heard()))
		memberOpen.WithLabelValues(labels...).Set(oneIf(m.Heard() && m.State.Phase == agentapi.PhaseOpen))
		if m.Heard() && m.State.Server != nil && m.State.Server.LagSeconds >= 0 {
			memberLag.WithLabelValues(labels...).Set(float64(m.State.Server.LagSeconds))
		} else {
			memberLag.DeleteLabelValues(labels...)
		}
	}
}

// forgetFormerConditions removes the conditions that a pair has no more, since its spec asks for nothing of their kind now, and
// what is known of its backups with theirs: an alert about them would never end.
func forgetFormerConditions(name types.NamespacedName, present []metav1.Condition) {
	for _, kind := range v1alpha1.OptionalConditionTypes {
		if meta.FindStatusCondition(present, kind) != nil {
			continue
		}
		// Each by its own labels: a partial match reads the metrics of all pairs, and this runs for each status.
		for _, value := range conditionStatuses {
			pairCondition.DeleteLabelValues(name.Namespace, name.Name, kind, value)
		}
		if kind == v1alpha1.ConditionBackedUp {
			forgetBackupMetrics(prometheus.Labels{"namespace": name.Namespace, "pair": name.Name})
		}
	}
}

// setChecksumMetrics sets nothing before the first result: an age of zero would be a lie.
func setChecksumMetrics(labels []string, s *v1alpha1.ChecksumStatus) {
	if s == nil || s.LastSuccessTime == nil {
		return
	}
	checksumTime.WithLabelValues(labels...).Set(float64(s.LastSuccessTime.Unix()))
	checksumRows.WithLabelValues(labels...).Set(float64(s.Rows))
	driftRows.WithLabelValues(labels...).Set(float64(s.DifferingRows))
	driftDefinitions.WithLabelValues(labels...).Set(float64(s.SchemaDifferences))
	if s.Duration != nil {
		checksumSeconds.WithLabelValues(labels...).Set(s.Duration.Seconds())
	}
	if s.LongestLock != nil {
		checksumLock.WithLabelValues(labels...).Set(s.LongestLock.Seconds())
	}
}

func forgetMetrics(name types.NamespacedName) {
	of := prometheus.Labels{"namespace": name.Namespace, "pair": name.Name}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{pairEpoch, pairHibernated, pairCondition, memberOpen, memberReachable, memberLag, readonlyCorrections, operationTotal, roleChanges,
		drainedSessions, drillTotal, drillTime, drillSucceeded, drillGap,
		checksumTime, checksumSeconds, checksumRows, checksumLock, driftRows, driftDefinitions} {
		v.DeletePartialMatch(of)
	}
	forgetBackupMetrics(of)
	forgetArchiveMetrics(of)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
