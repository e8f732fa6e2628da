#!/usr/bin/env bash
# Builds our own image: static binaries on an empty file system, for the operator, the agents and the jobs alike.
#   hack/images.sh            IMG names it (ghcr.io/dbpair/dbpair:dev); prints the name
# The Dockerfile in the root makes the same from the network; this one needs no base image and no builder.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_engine

image=${IMG:-ghcr.io/dbpair/dbpair:dev}
work="$CACHE/image"
programs=(manager agent job)

compile() {
  local program built=0
  for program in "${programs[@]}"; do
    [ -d "$ROOT/cmd/$program" ] || continue
    log "compiling $program"
    (cd "$ROOT" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w ${LDFLAGS:-}" -o "$work/root/$program" "./cmd/$program")
    built=1
  done
  log "compiling backup"
  (cd "$ROOT" && CGO_ENABLED=0 go build -C cmd/backup -trimpath -ldflags "-s -w ${LDFLAGS:-}" -o "$work/root/backup" .)
  log "compiling mysqld_exporter"
  (cd "$ROOT" && CGO_ENABLED=0 go build -C hack/exporter -trimpath -ldflags "-s -w" -o "$work/root/mysqld_exporter" \
    github.com/prometheus/mysqld_exporter)
  [ $built = 1 ] || die "there is nothing to build in cmd/"
}

settle() {
  local root="$work/root" certificates
  mkdir -p "$root/etc/ssl/certs" "$root/tmp"
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
  # Anyone who talks to a bucket needs the public authorities.
  for certificates in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    if [ -f "$certificates" ]; then
      install -m 0644 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
      break
    fi
  done
}

# contents is a hash of all that goes into the image.
contents() { (cd "$work/root" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16; }

build() {
  local label
  "$HACK/offline/nodeimage/binaries.sh" mkimg
  rm -rf "$work"
  mkdir -p "$work/root"
  compile
  settle
  label=$(contents)
  if [ "$(docker image inspect -f '{{index .Config.Labels "dbpair.contents"}}' "$image" 2>/dev/null)" = "$label" ]; then return; fi
  "$CACHE/bin/mkimg" -o "$work/image.tar" -user 65532:65532 -label "dbpair.contents=$label" \
    -label org.opencontainers.image.source=https://github.com/dbpair/dbpair "$image=$work/root,/manager"
  docker load -q -i "$work/image.tar"
  docker image prune -f --filter label=dbpair.contents >/dev/null
}

locked image build >&2
printf '%s\n' "$image"
