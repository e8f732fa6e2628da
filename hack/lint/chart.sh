#!/usr/bin/env bash
# Lints the chart and renders it with the settings that change its shape; wrong values must be refused.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"
helm=$(hack/tools/build.sh helm)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
template() { "$helm" template dbpair charts/dbpair --namespace dbpair-system "$@" >"$out"; }
want() { grep -q -- "$1" "$out" || die "the chart lacks: $1"; }
want_no() { ! grep -q -- "$1" "$out" || die "the chart must not have: $1"; }

"$helm" lint --strict --quiet charts/dbpair

template
want '^kind: CustomResourceDefinition'
want 'helm.sh/resource-policy: keep'
want '^kind: ValidatingAdmissionPolicy'
want 'system:serviceaccount:dbpair-system:dbpair-manager'
want '^kind: PodDisruptionBudget'
want_no '{{'
want_no 'key: kubernetes.io/metadata.name'
for policy in lease pod service statefulset scale job job-pod config secret report settings; do want "^  policyName: dbpair-$policy\$"; done

template --set crds.install=false --set admissionPolicy.enabled=false --set replicas=1
want_no '^kind: CustomResourceDefinition'
want_no '^kind: ValidatingAdmissionPolicy'
want_no '^kind: PodDisruptionBudget'

template --set crds.keep=false
want_no 'resource-policy: keep'

# A digest wins over the tag, for the operator and for the agents that it brings.
digest=sha256:$(printf 'a%.0s' {1..64})
template --set image.tag=v1 --set "image.digest=$digest"
want "image: \"\?ghcr.io/dbpair/dbpair@$digest"
want "value: ghcr.io/dbpair/dbpair@$digest"
want_no 'dbpair/dbpair:v1'

# With named namespaces no ClusterRole may reach Secrets.
template --set 'watchNamespaces={one,two}'
want '^  namespace: one'
want '^  namespace: two'
want 'watch-namespaces=one,two'
# Of two operators in a cluster each keeps others off in its own namespaces.
[ "$(grep -c 'key: kubernetes.io/metadata.name' "$out")" = "$(grep -c '^kind: ValidatingAdmissionPolicyBinding' "$out")" ] ||
  die "with watchNamespaces a policy still applies in other namespaces"
awk '/^---/{role=0} /^kind: ClusterRole$/{role=1} role && /- secrets/{bad=1} END{exit bad}' "$out" ||
  die "with watchNamespaces a ClusterRole still reaches Secrets"

template --set 'admissionPolicy.operators={system:serviceaccount:other:dbpair-manager}'
want "dbpair-system:dbpair-manager', 'system:serviceaccount:other:dbpair-manager'\]"

template --set 'allowedImages={mysql:*,registry.test/*}' --set 'allowedPriorityClasses={db-*}'
want 'allowed-images=mysql:\*,registry.test/\*'
want 'allowed-priority-classes=db-\*'

# Rights of a feature are there only with it.
template
want '^  - jobs$'
want '^  - tokenreviews$'
want 'features=backup,checksum,repair'
for feature in checksum repair backup; do
  template --set "features.$feature=false"
  want '^  - jobs$'
  want_no "features=.*$feature"
done
template --set features.checksum=false --set features.repair=false --set features.backup=false
want_no '^  - jobs$'
want '^  - secrets$'
want '^        - --features=$'
template --set features.checksum=false --set features.repair=false --set features.backup=false --set 'watchNamespaces={one,two}'
want_no '^  - jobs$'
want '^  namespace: two'

template
want_no '^kind: ServiceMonitor'
want_no '^kind: PodMonitor'
want_no '^kind: PrometheusRule'
template --set metrics.podMonitor.enabled=true --set metrics.prometheusRule.enabled=true --set metrics.prometheusRule.labels.release=prometheus
want '^kind: PodMonitor'
want '^    any: true'
want '^kind: PrometheusRule'
want '^    release: prometheus'
want '{{ $labels.pair }}'
want_no 'grafana_dashboard'
template --set metrics.dashboards.enabled=true --set metrics.dashboards.namespace=grafana --set metrics.dashboards.annotations.folder=mysql
want '^    grafana_dashboard: "1"'
want '^  namespace: grafana'
want '^    folder: mysql'
want '^  dbpair-pair.json: |-'
want '"uid": "dbpair-fleet"'
template --set metrics.podMonitor.enabled=true --set 'watchNamespaces={one,two}'
want '^    matchNames:'
want '^    - two'
want_no '^    any: true'

template --set fullnameOverride=pairs --set metrics.serviceMonitor.enabled=true
want 'honorLabels: true'
want 'system:serviceaccount:dbpair-system:pairs-manager'
want '^kind: ServiceMonitor'
# Anyone who reads the metrics verifies the operator's certificate, with the certificate authority that the operator publishes.
want_no 'insecureSkipVerify'
want 'serverName: pairs-manager-metrics.dbpair-system.svc'
want '^          name: pairs-manager-metrics$'
want '^          key: ca.crt'
want 'metrics-secret=pairs-manager-metrics'
want 'metrics-service=pairs-manager-metrics'
want 'resourceNames: \[pairs-manager-metrics\]'
! grep -rn insecureSkipVerify config charts >&2 || die "a certificate is not verified"

template --set metrics.serviceMonitor.enabled=true --set metrics.certificateSecret=own
want 'metrics-cert-dir=/etc/dbpair/metrics'
want 'secretName: own'
want '^          name: own$'
want_no 'metrics-secret='
want_no 'resourceNames: \[dbpair-manager-metrics\]'
want 'identity-secret=dbpair-manager-identity'
want 'resourceNames: \[dbpair-manager-identity\]'

template --set 'metrics.readers[0].namespace=monitoring' --set 'metrics.readers[0].name=prometheus-k8s'
want '^  name: prometheus-k8s'
want '^  namespace: monitoring'
template --set metrics.enabled=false
want_no 'metrics-secret='
want_no 'resourceNames: \[dbpair-manager-metrics\]'
want 'metrics-bind-address=0'
want_no '^  - tokenreviews$'
want_no '^  - subjectaccessreviews$'

for wrong in replicas=0 image.digest=sha256:12 'watchNamespaces={Upper}' nosuch=1 "admissionPolicy.operators={a'b}"; do
  ! template --set "$wrong" 2>/dev/null || die "the chart accepts $wrong"
done
