#!/usr/bin/env bash
# Makes the files of a release in dist/: the kubectl plugin for each platform, the chart, checksums, the krew manifest and the
# release notes. Publishes nothing.
#   hack/release.sh v0.2.0
# IMAGE_DIGEST is the digest of the operator's image, which the chart then names. PLATFORMS is a list such as "linux/amd64".
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tag=${1:-}
[[ $tag =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || die "usage: hack/release.sh vMAJOR.MINOR.PATCH"
version=${tag#v}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}
download=https://github.com/dbpair/dbpair/releases/download/$tag
dist="$ROOT/dist"

plugin() {
  local platform name
  for platform in $platforms; do
    name=kubectl-dbpair_${version}_${platform/\//_}
    log "compiling $name"
    (cd "$ROOT" && CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} \
      go build -trimpath -ldflags "-s -w -X main.version=$tag" -o "$dist/$name/kubectl-dbpair" ./cmd/kubectl-dbpair)
    cp "$ROOT/LICENSE" "$dist/$name/"
    # The same sources make the same archive: names in order, no owners, no times.
    tar -C "$dist/$name" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - LICENSE kubectl-dbpair | gzip -n >"$dist/$name.tar.gz"
    rm -r "${dist:?}/$name"
  done
}

chart() {
  local helm source="$dist/chart"
  helm=$("$HACK/tools/build.sh" helm)
  cp -r "$ROOT/charts/dbpair" "$source"
  if [ -n "${IMAGE_DIGEST:-}" ]; then sed -i "s|^  digest: .*|  digest: $IMAGE_DIGEST|" "$source/values.yaml"; fi
  "$helm" package "$source" --version "$version" --app-version "$tag" --destination "$dist"
  rm -r "$source"
}

krew() {
  local platform name
  cat <<YAML
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: dbpair
spec:
  version: $tag
  homepage: https://github.com/dbpair/dbpair
  shortDescription: Operate replicated MySQL pairs
  description: |
    Shows the state of DatabasePair objects, opens a MySQL shell on the primary,
    and asks the operator for failovers, comparisons and repairs.
  platforms:
YAML
  for platform in $platforms; do
    name=kubectl-dbpair_${version}_${platform/\//_}.tar.gz
    cat <<YAML
  - selector:
      matchLabels:
        os: ${platform%/*}
        arch: ${platform#*/}
    uri: $download/$name
    sha256: $(sha256sum "$dist/$name" | cut -d' ' -f1)
    bin: kubectl-dbpair
YAML
  done
}

# The notes are the section of the changelog that the tag names, else the unreleased one.
notes() {
  awk -v version="$version" '
    /^## / { take = index($0, version) || (!found && $0 ~ /Unreleased/); if (index($0, version)) found = 1 }
    take' "$ROOT/CHANGELOG.md"
}

rm -rf "$dist"
mkdir -p "$dist"
plugin
chart
krew >"$dist/dbpair-krew.yaml"
notes >"$dist/notes.md"
(cd "$dist" && sha256sum ./*.tar.gz ./*.tgz | sed 's| \./| |' >checksums.txt)
ls "$dist"
