#!/usr/bin/env bash
# Compiles the Go programs of the cluster into $CACHE/bin, each only when its recipe changed:
#   hack/offline/nodeimage/binaries.sh [PROGRAM…]
# kube-all etcd coredns local-path-provisioner kindnetd crictl pause mkimg kind; all of them without an argument.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"

module="$HACK/offline/nodeimage"
all=(mkimg pause crictl kindnetd kind etcd kube-all coredns local-path-provisioner)

# pinned MODULE VERSION ends the build when versions.env and go.mod disagree.
pinned() {
  local found
  found=$(cd "${3:-$module}" && go list -m -f '{{.Version}}' "$1")
  [ "$found" = "$2" ] || die "${3:-$module}/go.mod has $1 $found, hack/versions.env says $2"
}

compile() {
  local program=$1 package flags='-s -w'
  case $program in
    kube-all)
      pinned k8s.io/kubernetes "$KUBERNETES_VERSION"
      package=./cmd/kube-all
      flags="$flags -X k8s.io/component-base/version.gitVersion=$KUBERNETES_VERSION -X k8s.io/component-base/version.gitTreeState=clean"
      ;;
    etcd)
      pinned go.etcd.io/etcd/server/v3 "$ETCD_VERSION"
      package=go.etcd.io/etcd/server/v3
      ;;
    coredns)
      pinned github.com/coredns/coredns "$COREDNS_VERSION"
      package=./cmd/coredns
      ;;
    local-path-provisioner) package=github.com/rancher/local-path-provisioner ;;
    *) package=./cmd/$program ;;
  esac
  if [ "$program" = kind ]; then
    pinned sigs.k8s.io/kind "$KIND_VERSION" "$HACK/tools"
    ln -sfn "$(basename "$("$HACK/tools/build.sh" kind)")" "$CACHE/bin/kind"
    return
  fi
  (cd "$module" && CGO_ENABLED=0 again go list -deps -f '{{/* the download */}}' "$package")
  (cd "$module" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -trimpath -ldflags "$flags" -o "$CACHE/bin/$program.new" "$package")
  mv "$CACHE/bin/$program.new" "$CACHE/bin/$program"
}

ensure() {
  local program=$1 recipe=("$module/binaries.sh") hash
  if [ "$program" = kind ]; then recipe+=("$HACK/tools/go.mod"); else recipe+=("$module/go.mod" "$module/go.sum"); fi
  [ ! -d "$module/cmd/$program" ] || recipe+=("$module/cmd/$program")
  hash="$(recipe_hash "${recipe[@]}")-$(go env GOVERSION)"
  if [ -x "$CACHE/bin/$program" ] && fresh "$CACHE/bin/.$program.key" "$hash"; then return; fi
  log "compiling $program"
  compile "$program"
  mark "$CACHE/bin/.$program.key" "$hash"
}

[ $# -gt 0 ] || set -- "${all[@]}"
for program in "$@"; do locked "compile-$program" ensure "$program"; done
