package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// The metrics of backups. docs/metrics.md describes them.
var (
	backupTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_backup_last_success_timestamp_seconds", Help: "When the last backup was complete, in Unix time.",
	}, []string{"namespace", "pair"})
	backupSeconds = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_backup_duration_seconds", Help: "How long the last backup took.",
	}, []string{"namespace", "pair"})
	backupBytes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_backup_stored_bytes", Help: "What the last backup takes in the store.",
	}, []string{"namespace", "pair"})
	backupCount = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_backups_stored", Help: "Complete backups in the pair's folder after the last backup.",
	}, []string{"namespace", "pair"})
	backupFailed = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_backup_last_failed", Help: "1 when the newest backup operation that ended made no backup.",
	}, []string{"namespace", "pair"})

	restorableTime = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_restorable_timestamp_seconds", Help: "When a restore drill last proved a backup, in Unix time.",
	}, []string{"namespace", "pair"})
	restoreSeconds = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_restore_seconds", Help: "How long the restore took in that drill, without the check of the tables.",
	}, []string{"namespace", "pair"})

	// backupGauges are all of them.
	backupGauges = []*prometheus.GaugeVec{
		backupTime, backupSeconds, backupBytes, backupCount, backupFailed, restorableTime, restoreSeconds,
	}
)

func init() {
	for _, gauge := range backupGauges {
		metrics.Registry.MustRegister(gauge)
	}
}

// setBackupMetrics sets nothing before the first backup operation ended.
func setBackupMetrics(labels []string, s *v1alpha1.BackupStatus) {
	if s == nil || s.LastCompletionTime == nil {
		return
	}
	backupFailed.WithLabelValues(labels...).Set(oneIf(s.LastFailure != ""))
	if s.LastSuccessTime == nil || s.Last == nil {
		return
	}
	backupTime.WithLabelValues(labels...).Set(float64(s.LastSuccessTime.Unix()))
	backupBytes.WithLabelValues(labels...).Set(float64(s.Last.StoredSize))
	backupCount.WithLabelValues(labels...).Set(float64(s.Last.StoredTotal))
	if s.Duration != nil {
		backupSeconds.WithLabelValues(labels...).Set(s.Duration.Seconds())
	}
}

// setRestoreDrillMetrics sets nothing before the first proof.
func setRestoreDrillMetrics(labels []string, s *v1alpha1.BackupStatus) {
	if s == nil || s.RestoreDrill == nil || s.RestoreDrill.LastSuccessTime == nil {
		return
	}
	restorableTime.WithLabelValues(labels...).Set(float64(s.RestoreDrill.LastSuccessTime.Unix()))
	if last := s.RestoreDrill.Last; last != nil && last.RestoreTime != nil {
		restoreSeconds.WithLabelValues(labels...).Set(last.RestoreTime.Seconds())
	}
}

// forgetBackupMetrics removes those of a pair that is gone.
func forgetBackupMetrics(of prometheus.Labels) {
	for _, gauge := range backupGauges {
		gauge.Delete(of)
	}
}
