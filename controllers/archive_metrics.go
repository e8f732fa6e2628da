package controllers

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/internal/status"
)

// The metrics of archives of binary logs. docs/metrics.md describes them.
var (
	archiveLag = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_archive_lag_seconds", Help: "The time since the archive of binary logs had everything.",
	}, []string{"namespace", "pair"})
	archiveUntil = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_archive_until_timestamp_seconds", Help: "The moment that a restore from the archive can lead to, in Unix time.",
	}, []string{"namespace", "pair"})
	archiveSegments = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dbpair_archive_segments", Help: "Objects of the archive of binary logs in the store.",
	}, []string{"namespace", "pair"})

	// archiveGauges are all of them.
	archiveGauges = []*prometheus.GaugeVec{archiveLag, archiveUntil, archiveSegments}
)

func init() {
	for _, gauge := range archiveGauges {
		metrics.Registry.MustRegister(gauge)
	}
}

// setArchiveMetrics sets nothing that is not known, and removes those of a pair without an archive.
func setArchiveMetrics(name types.NamespacedName, a status.Archive, now time.Time) {
	labels := []string{name.Namespace, name.Name}
	if !a.Wanted || a.Report == nil {
		forgetArchiveMetrics(prometheus.Labels{"namespace": name.Namespace, "pair": name.Name})
		return
	}
	archiveSegments.WithLabelValues(labels...).Set(float64(a.Report.Segments))
	if a.Known() {
		archiveLag.WithLabelValues(labels...).Set(a.Lag(now).Seconds())
	}
	if !a.Report.Until.IsZero() {
		archiveUntil.WithLabelValues(labels...).Set(float64(a.Report.Until.UnixMilli()) / float64(time.Second/time.Millisecond))
	}
}

// forgetArchiveMetrics removes those of a pair.
func forgetArchiveMetrics(of prometheus.Labels) {
	for _, gauge := range archiveGauges {
		gauge.Delete(of)
	}
}
