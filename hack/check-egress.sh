#!/usr/bin/env bash
# Proves that no pod can reach beyond this machine: from a pod, a connect to an address that nobody owns must fail, and one
# within the cluster must succeed (or the check could not fail).
#   hack/check-egress.sh NAME
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
eval "$("$HACK/cluster.sh" env "${1:-dbpair}")"

pod=egress-check-$$
# The address is of a range that is reserved for documentation, so nobody answers there by right.
outside=192.0.2.1
trap 'kubectl delete pod "$pod" --namespace default --wait=false --ignore-not-found >/dev/null 2>&1 || true' EXIT

"$HACK/network.sh" guard || die "the egress guard is not standing"
service=$(kubectl get service kubernetes --namespace default -o 'jsonpath={.spec.clusterIP}')
unallocated=${service%.*}.253
kubectl run "$pod" --namespace default --image "$MYSQL_IMAGE" --image-pull-policy IfNotPresent --restart Never --command -- sleep 600 >/dev/null
kubectl wait --namespace default --for=condition=Ready "pod/$pod" --timeout=300s >/dev/null

# mysql is in both the official image and ours, and tells a connection that could not be made (2002, 2003, 2005) from one that
# was made and came to nothing, as with a server that is no MySQL.
reaches() {
  local output
  output=$(timeout 20 kubectl exec --namespace default "$pod" -- \
    mysql --no-defaults --protocol=TCP --connect-timeout=4 -h "$1" -P "$2" -u nobody -e 'select 1' 2>&1) && return 0
  case $output in
    *"ERROR 2002"* | *"ERROR 2003"* | *"ERROR 2005"*) return 1 ;;
    *ERROR*) return 0 ;;
    *) die "the check itself failed: $output" ;;
  esac
}

reaches "$service" 443 || die "the check is blind: a pod cannot even reach the API server"
for target in "$outside 3306" "$outside 443" "$unallocated 3306"; do
  # shellcheck disable=SC2086
  if reaches $target; then die "a pod reached ${target/ /:}: traffic leaves this machine"; fi
done
log "no pod reaches beyond this machine"
