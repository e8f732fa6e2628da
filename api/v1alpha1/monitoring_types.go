package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// MonitoringSpec is what the members' pods offer for monitoring beside the agent's own metrics.
type MonitoringSpec struct {
	// mysqldExporter serves mysqld's own counters.
	// +optional
	// +kubebuilder:default={}
	MysqldExporter MysqldExporterSpec `json:"mysqldExporter,omitempty"`
}

// MysqldExporterSpec is a container with mysqld_exporter in each member's pod.
type MysqldExporterSpec struct {
	// enabled adds the container, on port 9104. A change makes the members' pods again, as a change
	// of the pod template does (spec.rollout).
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// resources of the container. Without any it requests 20m and 32Mi, and is limited to 128Mi.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
}
