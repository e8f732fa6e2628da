#!/usr/bin/env bash
# Checks the alerts as the chart renders them, and runs their cases, with promtool.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"
helm=$(hack/tools/build.sh helm)
promtool=$(hack/promtool.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
start=$SECONDS

"$helm" template dbpair charts/dbpair --namespace dbpair-system --set metrics.prometheusRule.enabled=true \
  --show-only templates/alerts.yaml | sed -n '/^spec:/,$ s/^  //p' >"$work/rules.yaml"
cp config/prometheus/alerts_test.yaml "$work/"
"$promtool" check rules --lint=all --lint-fatal "$work/rules.yaml"
"$promtool" test rules "$work/alerts_test.yaml"
log "alerts: $(grep -c '^ *- alert:' "$work/rules.yaml") with $(grep -c '^- name:' "$work/alerts_test.yaml") cases in $((SECONDS - start)) s"
