#!/usr/bin/env bash
# All that must hold, in parts whose failures do not hide each other: test.sh short | full | lint
# short: what CI runs. full: the long tier, and the cluster tests on both runtimes and both Helm majors. lint: no tests, no cluster.
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
cd "$ROOT" || exit 2
tier="${1:-short}"
case "$tier" in short|full|lint) ;; *) die "usage: test.sh short | full | lint" ;; esac

output="$(mktemp -d)"; table="$output/table"; : >"$table"
passed=0; failed=0; tests_run=0
[ -t 1 ] && export CARGO_TERM_COLOR=always

row() { printf '%-44s %-8s %8s %8s %8s\n' "$1" "$2" "$3" "$4" "$5" >>"$table"; }

part() { # part NAME COMMAND...: one thing that holds or does not
  local name="$1" began="$SECONDS" code; shift
  say "$name"
  "$@"; code=$?
  if [ "$code" = 0 ]; then passed=$((passed + 1)); row "$name" ok 1 0 "$(clock $((SECONDS - began)))"
  else failed=$((failed + 1)); row "$name" FAILED 0 1 "$(clock $((SECONDS - began)))"; fi
  return "$code"
}

not_run() { say "$1: not run, $2"; row "$1" "not run" 0 0 "$2"; }

tests() { # tests NAME COMMAND...: counts what its "test result:" lines say
  local name="$1" began="$SECONDS"; shift
  say "$name"
  "$@" 2>&1 | tee "$output/run"; counted "$name" "${PIPESTATUS[0]}" "$((SECONDS - began))" "$output/run"
}

counted() { # counted NAME CODE SECONDS OUTPUT: a run that ends badly without a line that says so failed too
  local name="$1" code="$2" good bad ignored
  read -r good bad ignored < <(sed 's/\x1b\[[0-9;]*m//g' "$4" | awk '/^test result:/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) g += $(i-1); if ($i ~ /^failed/) b += $(i-1); if ($i ~ /^ignored/) s += $(i-1) } } END { print g + 0, b + 0, s + 0 }')
  [ "$code" != 0 ] && [ "$bad" = 0 ] && bad=1
  if [ "$ignored" != 0 ]; then bad=$((bad + ignored)); say "$ignored tests are ignored: a test that does not run does not count as one"; fi
  passed=$((passed + good)); failed=$((failed + bad)); tests_run=$((tests_run + good + bad))
  row "$name" "$([ "$bad" = 0 ] && echo ok || echo FAILED)" "$good" "$bad" "$(clock "$3")"
  [ "$bad" = 0 ]
}

# Tests that mostly wait run beside those on the cluster, which wait for other things; their output comes when both are done.
BESIDE=""; BESIDE_NAME=""

tests_beside() { # tests_beside NAME COMMAND...: as tests, but returns at once
  BESIDE_NAME="$1"; shift
  say "$BESIDE_NAME, beside what comes next"
  set -m
  ( began="$SECONDS"; "$@" >"$output/beside" 2>&1 </dev/null; code=$?; echo "$((SECONDS - began))" >"$output/beside.seconds"; exit "$code" ) &
  BESIDE=$!
  set +m
}

await_beside() {
  local code; [ -n "$BESIDE" ] || return 0
  wait "$BESIDE"; code=$?; BESIDE=""
  say "$BESIDE_NAME"
  cat "$output/beside"
  counted "$BESIDE_NAME" "$code" "$(cat "$output/beside.seconds")" "$output/beside"
}

shell_scripts() { find tests/machine tests/clients tests/testbed .ci -type f \( -name '*.sh' -o -name entrypoint -o -name run \); }

shell_syntax() { local script code=0; while read -r script; do bash -n "$script" || code=1; done < <(shell_scripts); return "$code"; }

shell_lint() { shell_scripts | xargs shellcheck --external-sources --severity=warning --exclude=SC1090,SC1091,SC2046,SC2086,SC2155,SC2164; }

clients() { # clients NAME PART: an official client against the built program; a machine without what it needs is told so
  local kind=node missing; case "$2" in python|browser) kind="$2" ;; esac
  missing="$(tests/clients/clients.sh missing "$kind")"
  if [ -n "$missing" ]; then not_run "$1" "$missing"; else tests "$1" tests/clients/clients.sh "$2"; fi
}

targets() { # targets cluster|other: "--test NAME" for the integration tests that need a cluster, or need none
  cargo metadata --no-deps --format-version 1 2>/dev/null | grep -o '"kind":\["test"\],"crate_types":\["bin"\],"name":"[^"]*"' | sed 's/.*"name":"//; s/"$//' | sort -u |
    while read -r name; do
      case "$1:$name" in cluster:cluster*) echo "--test $name" ;; other:cluster*|cluster:*) ;; other:*) echo "--test $name" ;; esac
    done
}

lints() {
  part "format" cargo fmt --check
  part "clippy" cargo clippy --all-targets -- -D warnings
  part "shell scripts parse" shell_syntax
  if have shellcheck; then part "shell scripts hold against shellcheck" shell_lint; else not_run "shellcheck" "not installed"; fi
  if ! have cargo-deny; then not_run "licences (cargo deny)" "cargo-deny is not installed"
  elif [ ! -e deny.toml ]; then not_run "licences (cargo deny)" "no deny.toml"
  else part "licences (cargo deny)" cargo deny --offline check licenses; fi
}

helm_folder() { # helm_folder MAJOR: a folder whose helm is of that major
  local name folder
  for name in helm "helm$1"; do
    case "$("$name" version --short 2>/dev/null)" in v"$1".*) ;; *) continue ;; esac
    folder="$MACHINE_STATE/helm$1"; mkdir -p "$folder"; ln -sfn "$(command -v "$name")" "$folder/helm"
    echo "$folder"; return 0
  done
  return 1
}

cluster_tests() { # cluster_tests NAME
  local wanted; wanted="$(targets cluster)"
  [ -n "$wanted" ] || { not_run "$1" "there are none"; return 0; }
  # Tests whose names begin with long_ belong to the long tier, those with alone_ to a cluster of their own.
  local less=(--skip alone_); [ "${LANDFALL_TEST_TIER:-}" = full ] || less+=(--skip long_)
  tests "$1" cargo test --no-fail-fast $wanted -- --test-threads="${LANDFALL_CLUSTER_THREADS:-2}" "${less[@]}"
}

cluster_matrix() {
  local runtime major folder
  for runtime in docker containerd; do
    [ -n "$CLUSTER_JOB" ] || begin_cluster test "$runtime"
    part "a cluster whose runtime is $runtime" await_cluster || { not_run "cluster tests, $runtime" "there is no cluster"; continue; }
    for major in 4 3; do
      # What the Helm major cannot change runs in full once per runtime.
      if [ "$major" = 4 ]; then export LANDFALL_TEST_TIER=full; else unset LANDFALL_TEST_TIER; fi
      folder="$(helm_folder "$major")" || { not_run "cluster tests, $runtime, Helm $major" "no Helm $major on this machine"; continue; }
      PATH="$folder:$PATH" cluster_tests "cluster tests, $runtime, Helm $major"
    done
  done
}

closing() {
  say "in $(clock "$SECONDS")"
  printf '%-44s %-8s %8s %8s %8s\n' part result passed failed time
  cat "$table"
  rm -rf "$output"
  [ "$tier" != lint ] && [ "$tests_run" = 0 ] && { echo "no test ran"; failed=$((failed + 1)); }
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]; exit
}

if [ "$tier" = lint ]; then preflight lint; lints; closing; fi

choose_tools
profiles=("$(profile_of test docker)")
[ "$tier" = full ] && { profiles+=("$(profile_of test containerd)"); export LANDFALL_TEST_TIER=full; }
preflight lint "${profiles[@]}"
begin_cluster test docker

part "all tests compile" cargo test --no-run || broken=1
lints
if [ -z "${broken:-}" ]; then
  tests "unit tests" cargo test --lib --bins
  others="$(targets other)"
  tests "examples in the documentation" cargo test --doc
  clients "the official conformance suite" conformance
  clients "the inspector, strict" inspector
  clients "the Python client and its chatbot" python
  if [ "$tier" = full ]; then
    clients "the TypeScript client, new SDK and old" typescript
    clients "the dashboard in a browser" browser
  fi
  [ -n "$others" ] && tests_beside "integration tests that need no cluster" cargo test --no-fail-fast $others -- --test-threads="$((2 * $(getconf _NPROCESSORS_ONLN)))"
fi
crowd() {
  local program
  [ "$TOOLS" = testbed ] || { not_run "health of 10,000 pods" "it needs the project's own testbed"; return 0; }
  program="$(cargo build --release --bin landfall --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)"
  part "health of 10,000 pods on 1,000 simulated nodes" tests/machine/crowd.sh "$program"
}

if [ "$tier" = full ]; then cluster_matrix; [ -n "${broken:-}" ] || crowd
elif part "a cluster" await_cluster && [ -z "${broken:-}" ]; then cluster_tests "tests on the cluster"
fi
await_beside
# After the cluster, whose programs hold the helm that renders; a linter that cannot be had is a failure.
[ -n "${broken:-}" ] || part "four linters over everything generated" tests/machine/lint-generated.sh "$tier"
[ -z "${broken:-}" ] || say "the tests did not compile, so none was run"
closing
