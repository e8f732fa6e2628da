{{/* The name that every object begins with: the release's, or "<release>-dbpair". */}}
{{- define "dbpair.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "dbpair.manager" -}}
{{ include "dbpair.fullname" . }}-manager
{{- end -}}

{{/* The Secret with the certificate of the metrics endpoint. */}}
{{- define "dbpair.metricsSecret" -}}
{{ .Values.metrics.certificateSecret | default (printf "%s-metrics" (include "dbpair.manager" .)) }}
{{- end -}}

{{- define "dbpair.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ include "dbpair.manager" . }}
{{- else -}}
{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "dbpair.selectorLabels" -}}
app.kubernetes.io/name: dbpair
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end -}}

{{- define "dbpair.labels" -}}
{{ include "dbpair.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "dbpair.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The users whose writes the admission policies let through: this operator, and others that are named. */}}
{{- define "dbpair.operators" -}}
'system:serviceaccount:{{ .Release.Namespace }}:{{ include "dbpair.serviceAccount" . }}'
{{- range .Values.admissionPolicy.operators }}, '{{ . }}'{{ end -}}
{{- end -}}
