#!/usr/bin/env bash
# A Docker engine that can run privileged containers:
#   hack/offline/engine.sh up     uses the engine that "docker" already talks to if it can; else installs and starts an own one
#   hack/offline/engine.sh env    prints "export DOCKER_HOST=…" for the own one, nothing otherwise
#   hack/offline/engine.sh down   stops the own one (its images stay in the cache)
# The own daemon has its own socket, folders, bridge and runtime; no one else's daemon is touched.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

dir="$CACHE/docker"
socket="$dir/docker.sock"
pidfile="$dir/docker.pid"
bridge=${DBPAIR_ENGINE_BRIDGE:-br-dbpair0}
bridge_address=${DBPAIR_ENGINE_ADDRESS:-172.29.250.1/24}
packages=(docker.io iptables iproute2 mmdebstrap xz-utils ca-certificates)

own_alive() { [ -S "$socket" ] && DOCKER_HOST="unix://$socket" timeout 10 docker info; }

# can_run_privileged asks the engine of the environment to start one privileged container from a tiny image of ours.
can_run_privileged() {
  have docker && timeout 10 docker info >/dev/null 2>&1 || return 1
  local probe="$CACHE/engine-probe" name="dbpair.local/probe:1"
  mkdir -p "$probe"
  (cd "$HACK/offline/nodeimage" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$probe/pause" ./cmd/pause) || return 1
  tar -C "$probe" -c pause | docker import - "$name" >/dev/null 2>&1 || return 1
  timeout 60 docker run --rm --privileged --network none "$name" /pause exit >/dev/null 2>&1
}

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  have docker || ! apt-cache show docker-cli >/dev/null 2>&1 || missing+=(docker-cli)
  if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && ! have apparmor_parser; then missing+=(apparmor); fi
  [ "${#missing[@]}" -gt 0 ] || return 0
  need_root "installing ${missing[*]}"
  log "installing ${missing[*]}"
  again install_with_apt "${missing[@]}"
}

install_with_apt() {
  local options=(-q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
  apt-get "${options[@]}" update >&2 && DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" -y install --no-install-recommends "$@" >&2
}

# A machine may lack CAP_SYS_RESOURCE (bit 24) in its bounding set. An old dockerd asks for it all the same in privileged
# containers and fails; then a wrapper around runc takes the capability out of each request.
lacks_sys_resource() {
  local bounding
  bounding=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)
  [ $((16#$bounding >> 24 & 1)) = 0 ]
}

write_runtime() {
  cat >"$dir/runc-without-sys-resource" <<'W'
#!/bin/sh
# --bundle names the folder of a new container, --process the file of a command started in a running one.
config= previous=
for argument in "$@"; do
  case $previous in
    --bundle|-b) config=$argument/config.json ;;
    --process|-p) config=$argument ;;
  esac
  previous=$argument
done
if [ -n "$config" ] && [ -f "$config" ]; then
  sed -i -e 's/"CAP_SYS_RESOURCE",//g' -e 's/,"CAP_SYS_RESOURCE"//g' "$config"
fi
exec runc "$@"
W
  chmod 0755 "$dir/runc-without-sys-resource"
}

write_config() {
  local runtimes='' filter=true
  if lacks_sys_resource; then
    write_runtime
    runtimes="\"runtimes\": {\"dbpair\": {\"path\": \"$dir/runc-without-sys-resource\"}}, \"default-runtime\": \"dbpair\","
  fi
  # A second daemon would empty the first one's packet rules when it starts. Then ours does without any: the bridge and
  # docker's port proxy are enough for a cluster.
  if grep -qsx dockerd /proc/[0-9]*/comm; then filter=false; fi
  cat >"$dir/daemon.json" <<C
{
  $runtimes
  "hosts": ["unix://$socket"], "data-root": "$dir/data", "exec-root": "$dir/exec", "pidfile": "$pidfile",
  "bridge": "$bridge", "iptables": $filter, "log-driver": "json-file", "log-opts": {"max-size": "20m"}
}
C
}

ensure_bridge() {
  ip link show "$bridge" >/dev/null 2>&1 || ip link add name "$bridge" type bridge
  ip addr show dev "$bridge" | grep -q "$bridge_address" || ip addr add "$bridge_address" dev "$bridge"
  ip link set "$bridge" up
}

start_own() {
  need_root "starting a Docker engine"
  have apt-get || die "no Docker engine that runs privileged containers, and this is no Debian: start one and try again"
  install_packages
  # On a machine with an init system the package has started a daemon; it is as good as any.
  if can_run_privileged; then
    log "using the engine that the docker.io package started"
    return
  fi
  mkdir -p "$dir/data" "$dir/exec"
  rm -f "$pidfile"
  write_config
  ensure_bridge
  raise_limits
  log "starting an own dockerd ($socket)"
  # Everything of this shell is closed for the daemon, so that nobody who waits for our end waits for its end.
  setsid nohup dockerd --config-file "$dir/daemon.json" </dev/null >"$CACHE/log/dockerd.log" 2>&1 &
  await 60 own_alive || {
    tail -n 20 "$CACHE/log/dockerd.log" >&2
    die "dockerd did not start, see $CACHE/log/dockerd.log"
  }
  export DOCKER_HOST="unix://$socket"
  can_run_privileged || die "the own engine cannot run privileged containers either, see $CACHE/log/dockerd.log"
}

# Four nodes with systemd need more inotify instances than the kernel's default.
raise_limits() {
  local file=/proc/sys/fs/inotify/max_user_instances
  [ "$(cat $file)" -ge 512 ] || echo 512 >$file 2>/dev/null || true
  echo 1 >/proc/sys/net/ipv4/ip_forward 2>/dev/null || true
}

up() {
  if own_alive >/dev/null 2>&1; then return; fi
  if can_run_privileged; then
    log "using the Docker engine that is there"
    return
  fi
  start_own
}

stop_own() {
  [ -f "$pidfile" ] || return 0
  local pid
  pid=$(cat "$pidfile")
  if [ -d "/proc/$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$dir/daemon.json"; then
    log "stopping the own dockerd (pid $pid)"
    kill "$pid"
    await 60 test ! -d "/proc/$pid" || die "dockerd (pid $pid) does not end"
  fi
  rm -f "$pidfile" "$socket"
  ip link del "$bridge" 2>/dev/null || true
}

case ${1:-} in
  up) locked engine up ;;
  down) locked engine stop_own ;;
  env) if [ -S "$socket" ]; then printf 'export DOCKER_HOST=unix://%s\n' "$socket"; fi ;;
  *) die "usage: hack/offline/engine.sh up|env|down" ;;
esac
