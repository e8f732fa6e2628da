package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// alertsHead is what the chart puts in place of the metadata of config/prometheus/alerts.yaml.
const alertsHead = `{{- if .Values.metrics.prometheusRule.enabled }}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {{ include "dbpair.fullname" . }}-alerts
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "dbpair.labels" . | nindent 4 }}
    {{- with .Values.metrics.prometheusRule.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
`

// renderAlerts takes the rules from config/prometheus and leaves it to a value whether they are installed.
func renderAlerts(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "config/prometheus/alerts.yaml"))
	if err != nil {
		return "", err
	}
	_, rules, found := strings.Cut(string(text), "\nspec:\n")
	if !found {
		return "", errors.New("config/prometheus/alerts.yaml has no spec")
	}
	return generated + alertsHead + "spec:\n" + escape(rules) + "{{- end }}\n", nil
}
