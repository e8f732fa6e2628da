#!/usr/bin/env bash
# Makes sure that kube-apiserver, etcd and kubectl for tests exist, compiled from the very modules of the test cluster, and
# prints their folder:  export KUBEBUILDER_ASSETS="$(hack/envtest.sh)"
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$HACK/offline/nodeimage/binaries.sh" etcd kube-all >&2
mkdir -p "$CACHE/envtest"
# Relative links: the cache may be moved. kube-all takes its role from the name it is started under.
ln -sfn ../bin/kube-all "$CACHE/envtest/kube-apiserver"
ln -sfn ../bin/kube-all "$CACHE/envtest/kubectl"
ln -sfn ../bin/etcd "$CACHE/envtest/etcd"
printf '%s\n' "$CACHE/envtest"
