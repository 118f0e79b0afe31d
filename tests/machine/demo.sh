#!/usr/bin/env bash
# From the source of examples/todo to verified pods, over MCP: what needs no cluster is shown while the cluster is made.
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
cd "$ROOT" || exit 2

choose_tools
preflight build "$(profile_of demo docker)"
begin_cluster demo

say "building the program (first time about 4 minutes, later seconds)"
cargo build --bin landfall --example demo || exit 1

target="${CARGO_TARGET_DIR:-target}/debug"
afresh() { # what an earlier demo left in this profile, which is nobody else's, would leave nothing to deploy
  kubectl --request-timeout=3s get namespace todo >/dev/null 2>&1 || return 0
  say "removing what an earlier demo left: the namespace todo of $CLUSTER_PROFILE"
  kubectl delete namespace todo --timeout=180s >/dev/null
}
demo() { "$target/examples/demo" --program "$target/landfall" --workspace examples/todo --profile "$CLUSTER_PROFILE" --part "$1"; }

if kill -0 "$CLUSTER_JOB" 2>/dev/null; then
  cluster_env   # where the cluster will be: nothing of it is needed yet
  afresh || exit 1
  demo survey || exit $?
  say "waiting for the cluster; everything up to here needed none"
  await_cluster && afresh || exit 1
  demo cluster
else
  await_cluster && afresh || exit 1
  demo all
fi
