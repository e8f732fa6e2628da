#!/usr/bin/env bash
# Builds one of the tools pinned in hack/tools/go.mod, or versitygw of hack/tools/s3/go.mod, and prints where it is:
#   hack/tools/build.sh controller-gen|deadcode|golangci-lint|helm|kind|shfmt|versitygw
# The result stays in the cache until its version, or Go's, changes.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

module="$HACK/tools"
case ${1:-} in
  controller-gen) package=sigs.k8s.io/controller-tools/cmd/controller-gen ;;
  deadcode) package=golang.org/x/tools/cmd/deadcode ;;
  golangci-lint) package=github.com/golangci/golangci-lint/v2/cmd/golangci-lint ;;
  helm) package=helm.sh/helm/v4/cmd/helm ;;
  kind) package=sigs.k8s.io/kind ;;
  shfmt) package=mvdan.cc/sh/v3/cmd/shfmt ;;
  versitygw)
    package=github.com/versity/versitygw/cmd/versitygw
    module="$HACK/tools/s3"
    ;;
  *) die "usage: hack/tools/build.sh controller-gen|deadcode|golangci-lint|helm|kind|shfmt|versitygw" ;;
esac
tool=$1
have go || die "Go is missing: install Go 1.26 or newer"

# The cache key is the pinned module set and the compiler: golangci-lint refuses code newer than the Go it was built with.
key=$({
  cat "$module/go.mod"
  go env GOVERSION
} | sha256sum | cut -c1-16)
target="$CACHE/bin/$tool-$key"

build() {
  [ -x "$target" ] && return
  log "building $tool"
  CGO_ENABLED=0 again go list -C "$module" -deps -f '{{/* the download */}}' "$package"
  CGO_ENABLED=0 go build -C "$module" -trimpath -ldflags '-s -w' -o "$target.new" "$package"
  mv "$target.new" "$target"
}
locked "tool-$tool" build >&2
printf '%s\n' "$target"
