#!/usr/bin/env bash
# Makes the image of the cluster's nodes without a registry. kind itself ("kind build node-image") builds it from Debian packages
# and Go modules, so that manifests, entrypoint and image layout are kind's. Each step is cached; a second call takes a second.
# hack/pull.sh calls this where the official image cannot be pulled.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"
use_engine

here="$HACK/offline/nodeimage"
work="$CACHE/node"
base_image=localhost/dbpair-kindbase:offline
node_packages=systemd,systemd-sysv,dbus,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,pigz,e2fsprogs,bash,ca-certificates,curl,jq,procps,socat,hostname
proxy_packages=(iptables nftables iproute2 busybox-static libc-bin)
runtime_packages=(containerd runc containernetworking-plugins)

# step NAME [FUNCTION|FILE]… runs the function of that name when its text, the functions and files it uses, or the steps
# before it changed.
chain_hash=''
step() {
  local name=$1 part
  shift
  chain_hash=$({
    printf '%s\n' "$chain_hash" "$node_packages" "${proxy_packages[*]}" "${runtime_packages[*]}"
    for part in "$name" "$@"; do
      if [ -e "$part" ]; then recipe_hash "$part"; else declare -f "$part"; fi
    done
    recipe_hash
  } | sha256sum | cut -c1-16)
  if fresh "$work/.$name.key" "$chain_hash"; then return; fi
  log "node image: ${name//_/ }"
  "$name"
  mark "$work/.$name.key" "$chain_hash"
}

# The root file system of a node, as a tar.
base_root() {
  mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --include="$node_packages" \
    "$NODE_SUITE" "$work/base.tar" "$("$HACK/debs.sh" source "$NODE_SUITE")"
}

# The container runtime, newer than the rest.
runtime() {
  rm -rf "$work/debs" "$work/runtime"
  "$HACK/debs.sh" download "$RUNTIME_SUITE" "$work/debs" "${runtime_packages[@]}"
  mkdir -p "$work/runtime"
  local deb
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/runtime"; done
}

# The one layer of all images that the cluster needs before it can pull: tools for packet rules, and our programs.
image_root() {
  local root="$work/images" name
  rm -rf "$root"
  mkdir -p "$root/usr/local/bin"
  "$HACK/debs.sh" extract "$NODE_SUITE" "$root" "${proxy_packages[@]}"
  rm -rf "$root/.packages" "${root:?}/usr/share" "$root/usr/lib/"*/gconv "${root:?}/etc" "$root/usr/lib/"*/perl* "$root/usr/lib/"*/libperl*
  mkdir -p "$root/etc" "$root/tmp" "$root/run" "$root/var/run"
  chmod 1777 "$root/tmp"
  for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf xtables-nft-multi "$root/usr/sbin/$name"
  done
  for name in sh cat mkdir rm ls chmod sleep wget nc; do [ -e "$root/usr/bin/$name" ] || ln -s busybox "$root/usr/bin/$name"; done
  cp "$CACHE"/bin/{kube-all,etcd,coredns,local-path-provisioner,kindnetd,pause} "$root/usr/local/bin/"
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do ln -s kube-all "$root/usr/local/bin/$name"; done
  rm -rf "$work/helper"
  mkdir -p "$work/helper/bin"
  cp "$root/usr/bin/busybox" "$work/helper/bin/"
  for name in sh mkdir rm chmod ls; do ln -s busybox "$work/helper/bin/$name"; done
}

# What kind takes for the server release of Kubernetes.
server_tarball() {
  local bin="$work/tarball/kubernetes/server/bin" images="$work/images" kind_source name image
  rm -rf "$work/tarball"
  mkdir -p "$bin"
  printf '%s\n' "$KUBERNETES_VERSION" >"$work/tarball/kubernetes/version"
  for name in kubeadm kubelet kubectl; do
    printf '#!/bin/bash\nexec -a %s /usr/local/bin/kube-all "$@"\n' "$name" >"$bin/$name"
    chmod 0755 "$bin/$name"
  done
  kind_source=$(kind_folder)
  # kind says which tags it wants for its network, its storage and the pod sandbox, and kubeadm for the rest.
  local network storage helper sandbox
  network=$(sed -n 's/^const kindnetdImage = "\(.*\)"/\1/p' "$kind_source/pkg/build/nodeimage/const_cni.go")
  storage=$(sed -n 's/^const storageProvisionerImage = "\(.*\)"/\1/p' "$kind_source/pkg/build/nodeimage/const_storage.go")
  helper=$(sed -n 's/^const storageHelperImage = "\(.*\)"/\1/p' "$kind_source/pkg/build/nodeimage/const_storage.go")
  sandbox=$(sed -n 's/^ *sandbox_image = "\(.*\)"/\1/p' "$kind_source/images/base/files/etc/containerd/config.toml")
  local extra=("$network=$images,/usr/local/bin/kindnetd" "$storage=$images" "$helper=$work/helper" "$sandbox=$images,/usr/local/bin/pause")
  for image in $(bash -c 'exec -a kubeadm "$0" config images list --kubernetes-version "$1"' "$CACHE/bin/kube-all" "$KUBERNETES_VERSION"); do
    case $image in
      */coredns:*) extra+=("$image=$images,/usr/local/bin/coredns") ;;
      */etcd:*) extra+=("$image=$images") ;;
    esac
  done
  # One archive carries all images, because they share their layer; kind looks for four, so the others carry a stand-in.
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    "$CACHE/bin/mkimg" -o "$bin/$name.tar" "dbpair.local/placeholder:1=$work/helper"
    extra+=("registry.k8s.io/$name:$KUBERNETES_VERSION=$images")
  done
  "$CACHE/bin/mkimg" -o "$bin/kube-proxy.tar" "registry.k8s.io/kube-proxy:$KUBERNETES_VERSION=$images" "${extra[@]}"
  tar -C "$work/tarball" -c kubernetes | gzip -1 >"$work/server.tar.gz"
}

# kind_folder is the source of the pinned kind, checked against hack/tools/go.sum.
kind_folder() {
  (cd "$HACK/tools" && again go mod download sigs.k8s.io/kind) >&2
  go list -C "$HACK/tools" -m -f '{{.Dir}}' sigs.k8s.io/kind
}

# The base image, as kind's own Dockerfile describes it.
base_image() {
  local root="$work/root" files
  files="$(kind_folder)/images/base/files"
  rm -rf "$root"
  mkdir -p "$root"
  tar -C "$root" -x --exclude='./dev/*' -f "$work/base.tar"
  install_tree 0755 "$files/usr/local/bin" "$root/usr/local/bin"
  install_tree 0644 "$files/kind" "$root/kind"
  install_tree 0755 "$files/kind/bin" "$root/kind/bin"
  install_tree 0644 "$files/etc" "$root/etc"
  install -m 0755 "$work"/runtime/usr/bin/{containerd,ctr,containerd-shim-runc-v2} "$root/usr/local/bin/"
  install -m 0755 "$work"/runtime/usr/sbin/runc "$root/usr/local/sbin/"
  install -D -m 0755 -t "$root/opt/cni/bin" "$work"/runtime/usr/lib/cni/{host-local,loopback,ptp,portmap}
  install -m 0755 "$CACHE/bin/crictl" "$CACHE/bin/kube-all" "$root/usr/local/bin/"
  settle_services "$root"
  # Lowering the OOM score of critical pods takes a capability that this machine may not have.
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root/etc/containerd/config.toml"
  oci_spec "$root"
  forget_machine "$root"
  tar -C "$root" --sort=name -c . | docker import \
    --change 'ENV container=docker' --change 'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]' - localhost/dbpair-kindbase:import
  # "docker import" of older engines refuses STOPSIGNAL.
  printf 'FROM localhost/dbpair-kindbase:import\nLABEL dbpair.recipe=%s\nSTOPSIGNAL SIGRTMIN+3\n' "$chain_hash" |
    DOCKER_BUILDKIT=0 docker build -q -t "$base_image" -
  rm -rf "$root"
}

install_tree() {
  local mode=$1 from=$2 to=$3 file
  (cd "$from" && find . -type f) | while IFS= read -r file; do install -D -m "$mode" "$from/$file" "$to/$file"; done
}

settle_services() {
  local root=$1 units="$1/usr/lib/systemd/system"
  rm -f "$units"/multi-user.target.wants/* "$root"/etc/systemd/system/*.wants/* "$units"/local-fs.target.wants/* \
    "$units"/sockets.target.wants/*udev* "$units"/sockets.target.wants/*initctl* "$units"/basic.target.wants/* \
    "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service
  echo 'ReadKMsg=no' >>"$root/etc/systemd/journald.conf"
  ln -sf /usr/lib/systemd/systemd "$root/sbin/init"
  chroot "$root" systemctl enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$root" systemctl mask systemd-binfmt.service
  mkdir -p "$root/etc/kubernetes/manifests"
}

oci_spec() {
  local root=$1 status=0
  mount --bind /proc "$root/proc"
  chroot "$root" env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c 'ctr oci spec |
    jq ".hooks.createContainer = ((.hooks.createContainer // []) + [{path: \"/kind/bin/mount-product-files.sh\"}]) | del(.process.rlimits)" \
    >/etc/containerd/cri-base.json && test -s /etc/containerd/cri-base.json' || status=$?
  umount "$root/proc"
  return $status
}

# Nothing of this machine may get into an image: its name servers, its name, its mirror, its packages' caches.
forget_machine() {
  local root=$1
  : >"$root/etc/resolv.conf"
  rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* \
    "$root"/var/log/* "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/etc/hostname
  : >"$root/etc/machine-id"
}

node_image() {
  "$CACHE/bin/kind" build node-image --type file --base-image "$base_image" --image "$NODE_IMAGE" "$work/server.tar.gz"
  docker rmi localhost/dbpair-kindbase:import >/dev/null 2>&1 || true
  # What the tag pointed to before, unless a node still runs it.
  docker image prune -f --filter label=dbpair.recipe >/dev/null
}

build() {
  have mmdebstrap || die "mmdebstrap is missing: as root, apt-get install mmdebstrap"
  need_root "building the node image"
  "$HACK/offline/nodeimage/binaries.sh" mkimg crictl kindnetd pause kind etcd kube-all coredns local-path-provisioner
  # Images may have been removed, or belong to another engine than the last time.
  docker image inspect "$base_image" >/dev/null 2>&1 || rm -f "$work/.base_image.key"
  docker image inspect "$NODE_IMAGE" >/dev/null 2>&1 || rm -f "$work/.node_image.key"
  step base_root
  step runtime
  step base_image install_tree settle_services oci_spec forget_machine "$CACHE/bin/kube-all" "$CACHE/bin/crictl"
  step image_root "$CACHE"/bin/{kube-all,etcd,coredns,local-path-provisioner,kindnetd,pause}
  step server_tarball "$here/cmd/mkimg"
  step node_image
  rm -rf "$work/tarball"
}

# recipe is the hash of everything that is read to build the image.
recipe() { printf '%s-%s' "$(recipe_hash "$here" "$HACK/debs.sh")" "$(go env GOVERSION)"; }

ensure() {
  local image
  image=$(docker image inspect -f '{{.Id}}' "$NODE_IMAGE" 2>/dev/null || true)
  mkdir -p "$work"
  if [ -n "$image" ] && fresh "$work/.image.key" "$image $(recipe)"; then return; fi
  build
  mark "$work/.image.key" "$(docker image inspect -f '{{.Id}}' "$NODE_IMAGE") $(recipe)"
}

locked nodeimage ensure
