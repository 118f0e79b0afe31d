#!/usr/bin/env bash
# Which Docker, minikube, kubectl and Helm are used on this machine, what it lacks, and how a cluster comes up beside a build.
# Sourced by demo.sh, test.sh and bench.sh; as a program: machine.sh check | up | down | remove | env
set -uo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
TESTBED="$ROOT/tests/testbed/testbed.sh"
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}"
MACHINE_STATE="${LANDFALL_MACHINE_STATE:-$CACHE/landfall-machine}"   # logs, marks of the profiles we made, their kubeconfigs
RUST_NEEDED=1.95; GO_NEEDED=1.26; MINIKUBE_NEEDED=1.33; HELM_NEEDED=3.14
mkdir -p "$MACHINE_STATE"
for folder in "$HOME/.cargo/bin" /usr/local/go/bin; do   # where their installers put them; a login shell may not know yet
  case ":$PATH:" in *":$folder:"*) ;; *) [ -d "$folder" ] && PATH="$PATH:$folder" ;; esac
done
export PATH

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'landfall: %s\n' "$*" >&2; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }
clock() { printf '%d:%02d' "$(($1 / 60))" "$(($1 % 60))"; }
at_least() { # at_least WANTED FOUND, both like 1.95
  [ -n "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n | head -n 1)" = "$1" ]
}
version_in() { sed -n 's/^[^0-9]*\([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' | head -n 1; }

# --- whose tools ---------------------------------------------------------------------------------------------------

# A shell that ran `minikube docker-env` would have us look into a node instead of at the machine's engine.
[ -n "${MINIKUBE_ACTIVE_DOCKERD:-}" ] && unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH MINIKUBE_ACTIVE_DOCKERD

own_missing() { # names what this machine would need for a cluster by its own tools
  local tool
  have docker && { timeout_if_had 20 docker info >/dev/null 2>&1 || echo "a running Docker Engine (docker info fails)"; }
  have docker || echo "Docker Engine"
  for tool in minikube kubectl helm; do have "$tool" || echo "$tool"; done
}

timeout_if_had() { if have timeout; then timeout "$@"; else shift; "$@"; fi; }

choose_tools() { # TOOLS becomes own or testbed; LANDFALL_TOOLS decides where it is set
  [ -n "${TOOLS:-}" ] && return 0
  case "${LANDFALL_TOOLS:-}" in
    own|testbed) TOOLS="$LANDFALL_TOOLS" ;;
    "") TOOLS=testbed
        case "${DOCKER_HOST:-}" in *landfall-testbed*) return 0 ;; esac   # the testbed's own environment
        [ -z "$(own_missing)" ] && TOOLS=own ;;
    *) die "LANDFALL_TOOLS is '$LANDFALL_TOOLS': own or testbed is meant" ;;
  esac
}

profile_of() { # profile_of demo|test RUNTIME: the testbed has one cluster for both, one profile for each runtime
  local name="landfall-$1"
  [ "$TOOLS" = testbed ] && name=landfall-test
  [ "$2" = docker ] || name="$name-$2"
  echo "$name"
}

profile_exists() { minikube profile list --light -o json 2>/dev/null | grep -q "\"Name\":\"$1\""; }

# --- what the machine lacks ----------------------------------------------------------------------------------------

MISSING=()
lacks() { MISSING+=("$*"); }

debian() { grep -q '^ID=debian' /etc/os-release 2>/dev/null && grep -q '^VERSION_ID="\?12' /etc/os-release; }
is_root() { [ "$(id -u)" = 0 ]; }

free_gb() { mkdir -p "$1"; df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'; }

memory_gb() { # of the machine, or of the group of processes that we are in
  local kilobytes limit
  if have sysctl && [ ! -r /proc/meminfo ]; then echo "$(($(sysctl -n hw.memsize) / 1073741824))"; return; fi
  kilobytes="$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)"
  limit="$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)"
  case "$limit" in max|*[!0-9]*) ;; *) [ "${#limit}" -lt 16 ] && [ "$((limit / 1024))" -lt "$kilobytes" ] && kilobytes="$((limit / 1024))" ;; esac
  echo "$(((kilobytes + 524288) / 1048576))"   # rounded: an 8 GB machine shows a little less
}

check_rust() {
  local found component; found="$(cargo --version 2>/dev/null | version_in)"
  at_least "$RUST_NEEDED" "$found" || { lacks "cargo $RUST_NEEDED or newer (found: ${found:-none}): install rustup from https://rustup.rs, or run 'rustup update stable'"; return; }
  [ "${1:-}" = lint ] || return 0
  for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 || lacks "cargo $component: rustup component add ${component/fmt/rustfmt}"
  done
}

check_compiler() { # a linker for Rust, a compiler for the parsers
  local packages=()
  have cc || packages+=(gcc libc6-dev)
  have make || packages+=(make)
  [ "${#packages[@]}" = 0 ] && return 0
  if debian && is_root; then
    say "installing Debian packages: ${packages[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >"$MACHINE_STATE/apt.log" 2>&1 && return 0
    tail -n 5 "$MACHINE_STATE/apt.log" >&2
  fi
  lacks "a C compiler and make: install ${packages[*]} (Debian: apt-get install ${packages[*]})"
}

check_room() { # check_room GB_OF_DISK
  local disk memory; disk="$(free_gb "$CACHE")"; memory="$(memory_gb)"
  [ "$disk" -ge "$1" ] || lacks "disk: $1 GB free at $CACHE (found: $disk GB): free some, or set XDG_CACHE_HOME to a larger disk"
  [ "$memory" -ge 8 ] || lacks "memory: 8 GB (found: $memory GB): a cluster and a build do not fit in less"
}

check_own_tools() { # check_own_tools PROFILE...
  local profile found tool
  while read -r tool; do [ -n "$tool" ] && lacks "$tool"; done < <(own_missing)
  found="$(minikube version --short 2>/dev/null | version_in)"
  have minikube && ! at_least "$MINIKUBE_NEEDED" "$found" && lacks "minikube $MINIKUBE_NEEDED or newer (found: $found): https://minikube.sigs.k8s.io/docs/start"
  found="$(helm version --short 2>/dev/null | version_in)"
  have helm && ! at_least "$HELM_NEEDED" "$found" && lacks "Helm $HELM_NEEDED or newer, or 4 (found: $found): https://helm.sh/docs/intro/install"
  for profile in "$@"; do
    [ -e "$MACHINE_STATE/ours-$profile" ] && continue
    have minikube && profile_exists "$profile" && lacks "the name '$profile': a minikube profile of that name exists and was not made by this project; rename or delete it (minikube delete -p $profile)"
  done
}

check_testbed() {
  local found
  if ! debian || [ "$(uname -m)" != x86_64 ]; then
    lacks "a cluster: the project's own testbed is for Debian 12 on x86-64. Here install Docker Engine (https://docs.docker.com/engine/install), minikube $MINIKUBE_NEEDED or newer (https://minikube.sigs.k8s.io/docs/start), kubectl (https://kubernetes.io/docs/tasks/tools) and Helm $HELM_NEEDED+ or 4 (https://helm.sh/docs/intro/install), then run this again. Missing now: $(own_missing | paste -sd, - | sed 's/,/, /g')"
    return
  fi
  is_root || lacks "root, for the project's own testbed (missing for a cluster without it: $(own_missing | paste -sd, - | sed 's/,/, /g')): run it again with sudo -E"
  "$TESTBED" built 2>/dev/null && return 0
  found="$(go version 2>/dev/null | version_in)"
  at_least "$GO_NEEDED" "$found" || lacks "Go $GO_NEEDED or newer, which builds the testbed's programs (found: ${found:-none}): https://go.dev/doc/install"
}

preflight() { # preflight build|lint [PROFILE...]: all that is missing is listed at once, before anything slow; profiles mean that a cluster is needed
  local need="$1" line; shift
  MISSING=()
  check_rust "$need"; check_compiler
  if [ "$#" != 0 ]; then
    choose_tools
    if [ "$TOOLS" = own ]; then check_own_tools "$@"; check_room 15
    else check_testbed; if "$TESTBED" built 2>/dev/null; then check_room 8; else check_room 30; fi; fi
  fi
  [ "${#MISSING[@]}" = 0 ] && return 0
  printf 'This machine lacks:\n' >&2
  for line in "${MISSING[@]}"; do printf '  - %s\n' "$line" >&2; done
  exit 2
}

# --- a cluster, beside whatever else is done -------------------------------------------------------------------------

OWN_USUAL=240   # seconds that `minikube start` usually takes the first time, downloads included; later 40

own_up() { # own_up PROFILE RUNTIME
  if have flock; then exec 9>>"$MACHINE_STATE/lock"; flock 9; fi
  date +%s >"$MACHINE_STATE/ours-$1"   # before the start: what a cut start leaves is ours too
  minikube status -p "$1" >/dev/null 2>&1 && kubectl --request-timeout=5s get --raw=/readyz >/dev/null 2>&1 && return 0
  minikube start -p "$1" --driver=docker $(is_root && echo --force) --container-runtime="$2" --cpus=2 --memory=4g --addons=metrics-server --wait=all --interactive=false 9>&-
}

CLUSTER_JOB=""; CLUSTER_PROFILE=""; CLUSTER_RUNTIME=""; CLUSTER_LOG=""; CLUSTER_BEGAN=0

begin_cluster() { # begin_cluster demo|test [RUNTIME]: returns at once
  CLUSTER_RUNTIME="${2:-docker}"; choose_tools; CLUSTER_PROFILE="$(profile_of "$1" "$CLUSTER_RUNTIME")"
  CLUSTER_LOG="$MACHINE_STATE/cluster-$CLUSTER_PROFILE-$$.log"; CLUSTER_BEGAN="$SECONDS"
  find "$MACHINE_STATE" -name 'cluster-*.log' -mtime +7 -delete 2>/dev/null
  if [ "$TOOLS" = own ]; then
    say "a cluster by this machine's own tools, profile $CLUSTER_PROFILE (log: $CLUSTER_LOG)"
    export KUBECONFIG="$MACHINE_STATE/kubeconfig-$CLUSTER_PROFILE"   # nobody's current context is changed
  else
    if "$TESTBED" built 2>/dev/null; then say "a cluster by the project's own testbed, usually under a minute (log: $CLUSTER_LOG)"
    else say "no usable cluster tools here: the project's own testbed is built beside the program, once, about 25 minutes (log: $CLUSTER_LOG)"; fi
  fi
  set -m   # a group of its own: it can be ended as a whole
  if [ "$TOOLS" = own ]; then own_up "$CLUSTER_PROFILE" "$CLUSTER_RUNTIME" >"$CLUSTER_LOG" 2>&1 </dev/null &
  else TESTBED_RUNTIME="$CLUSTER_RUNTIME" "$TESTBED" up >"$CLUSTER_LOG" 2>&1 </dev/null & fi
  CLUSTER_JOB=$!
  set +m
  trap end_cluster_job EXIT
  trap 'exit 130' INT; trap 'exit 143' TERM
}

end_cluster_job() { # an interrupted run leaves nothing at work behind it
  [ -n "${BESIDE:-}" ] && kill -TERM -- "-$BESIDE" 2>/dev/null
  [ -n "$CLUSTER_JOB" ] && kill -0 "$CLUSTER_JOB" 2>/dev/null || return 0
  say "ending the bring-up of the cluster; what it has built is kept"
  kill -TERM -- "-$CLUSTER_JOB" 2>/dev/null
}

cluster_progress() {
  if [ "$TOOLS" = own ]; then echo "minikube start, $(clock $((SECONDS - CLUSTER_BEGAN))), usually $(clock "$OWN_USUAL") the first time and 0:40 later"
  else TESTBED_RUNTIME="$CLUSTER_RUNTIME" "$TESTBED" progress; fi
}

await_cluster() { # until it is up, with a line that says where it stands; then its environment is ours
  local code told=-30
  [ -n "$CLUSTER_JOB" ] || return 1
  while kill -0 "$CLUSTER_JOB" 2>/dev/null; do
    if [ -t 2 ]; then printf '\r\033[K    cluster: %s' "$(cluster_progress)" >&2
    elif [ "$((SECONDS - told))" -ge 30 ]; then told="$SECONDS"; printf '    cluster: %s\n' "$(cluster_progress)" >&2; fi
    sleep 1
  done
  [ -t 2 ] && printf '\r\033[K' >&2
  wait "$CLUSTER_JOB"; code=$?; CLUSTER_JOB=""
  if [ "$code" != 0 ]; then
    say "the cluster did not come up (exit code $code). The last lines of $CLUSTER_LOG:"
    tail -n 25 "$CLUSTER_LOG" >&2
    return 1
  fi
  cluster_env
  say "the cluster $CLUSTER_PROFILE is up after $(clock $((SECONDS - CLUSTER_BEGAN)))"
}

cluster_env() {
  if [ "$TOOLS" = own ]; then export LANDFALL_TEST_PROFILE="$CLUSTER_PROFILE"
  else eval "$(TESTBED_RUNTIME="$CLUSTER_RUNTIME" "$TESTBED" env)"; fi
}

cluster_down() {
  local mark name
  choose_tools
  [ "$TOOLS" = testbed ] && { "$TESTBED" down; return; }
  for mark in "$MACHINE_STATE"/ours-*; do
    [ -e "$mark" ] || continue
    name="${mark##*/ours-}"; minikube stop -p "$name"
  done
}

cluster_remove() { # everything that was made for this project, its cache included
  local mark name
  choose_tools
  for mark in "$MACHINE_STATE"/ours-*; do
    [ -e "$mark" ] || continue
    name="${mark##*/ours-}"; KUBECONFIG="$MACHINE_STATE/kubeconfig-$name" minikube delete -p "$name" && rm -f "$mark"
  done
  [ "$TOOLS" = testbed ] && "$TESTBED" remove
  return 0
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0
choose_tools
profile="$(profile_of test "${TESTBED_RUNTIME:-docker}")"
case "${1:-}" in
  check) preflight build "$profile"; say "nothing is missing; the cluster comes from: $TOOLS" ;;
  up) preflight build "$profile"; begin_cluster test "${TESTBED_RUNTIME:-docker}"; await_cluster ;;
  down) cluster_down ;;
  remove) cluster_remove ;;
  env) CLUSTER_PROFILE="$profile"; CLUSTER_RUNTIME="${TESTBED_RUNTIME:-docker}"
       if [ "$TOOLS" = own ]; then printf 'export %s\n' "KUBECONFIG=$MACHINE_STATE/kubeconfig-$profile" "LANDFALL_TEST_PROFILE=$profile"; else "$TESTBED" env; fi ;;
  *) die "usage: machine.sh check | up | down | remove | env" ;;
esac
