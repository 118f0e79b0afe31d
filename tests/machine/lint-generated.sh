#!/usr/bin/env bash
# Everything generated for the fixtures, rendered into one tree, and each linter once over it: lint-generated.sh [short | full]
# short: ten fixtures; full: all. The linters come in pinned versions, with hashes, into the cache folder; one that cannot be had is a failure.
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
cd "$ROOT" || exit 2
[ "${1:-full}" = full ] && export LANDFALL_TEST_TIER=full
lint="$ROOT/tests/machine/lint"
tools="$MACHINE_STATE/lint-$(cat "$lint"/requirements.txt "$lint"/schemas.py "$lint"/*/go.sum | sha256sum | cut -c1-12)"

install_linters() { # a folder whose name is of what it holds; half an installation is none
  local tool module
  [ -e "$tools/complete" ] && return 0
  have python3 || die "the linters need python3 with venv: apt-get install python3-venv"
  have go || die "kube-score and kubeconform are built by Go $GO_NEEDED or newer: https://go.dev/doc/install"
  say "installing the linters (once, about three minutes)"
  rm -rf "$tools"
  python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement "$lint/requirements.txt" || return 1
  for tool in kube-score:github.com/zegl/kube-score/cmd/kube-score kubeconform:github.com/yannh/kubeconform/cmd/kubeconform; do
    module="${tool#*:}"; tool="${tool%%:*}"
    (cd "$lint/$tool" && CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false" GOMODCACHE="$tools/go/mod" GOCACHE="$tools/go/build" go build -ldflags "-s -w" -o "$tools/bin/$tool" "$module") || return 1
  done
  schemas || return 1
  chmod -R u+w "$tools/go" && rm -rf "$tools/go"
  touch "$tools/complete"
}

schemas() { # from the description that the API server of the testbed's Kubernetes publishes; its module is pinned there
  local folder
  folder="$(cd "$ROOT/tests/testbed/tools/kubernetes" && GOFLAGS=-mod=readonly GOMODCACHE="$tools/go/mod" go mod download -json k8s.io/kubernetes | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"
  [ -n "$folder" ] && python3 "$lint/schemas.py" "$folder/api/openapi-spec/swagger.json" "$tools/schemas"
}

install_linters || die "the linters cannot be had: see above"
choose_tools
have helm || { [ "$TOOLS" = testbed ] && cluster_env; }
have helm || die "helm is needed, which renders the charts"
cargo test --quiet --test cluster_rendered || exit 1
tree="$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/tmp/generated"
python3 "$lint/judge.py" "$tree" "$tools/schemas" "$tools"
