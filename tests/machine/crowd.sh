#!/usr/bin/env bash
# In a profile of its own that is removed afterwards: troubles of its node, then the health of 10,000 pods on 1,000 simulated nodes. crowd.sh LANDFALL
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
choose_tools
[ "$TOOLS" = testbed ] || die "the crowd needs the project's own testbed: LANDFALL_TOOLS=testbed"
export TESTBED_PROFILE=landfall-crowd
# Ten thousand pods in minutes: controllers speak to their API server as fast as it answers, and no node is lost because nobody renews its Lease.
TESTBED_EXTRA="$(printf -- '--extra-config=%s ' {controller-manager,scheduler}.kube-api-qps=400 {controller-manager,scheduler}.kube-api-burst=800 \
  controller-manager.node-monitor-grace-period=1h)"
export TESTBED_EXTRA TESTBED_MEMORY="${TESTBED_MEMORY:-9g}"
minikube="$ROOT/tests/testbed/minikube.sh"
eval "$("$TESTBED" env)"
trap '"$minikube" delete' EXIT
"$TESTBED" kwok && "$minikube" start || exit 2
code=0
(cd "$ROOT" && LANDFALL_THROW_AWAY=1 cargo test --test cluster_outage alone_ -- --nocapture) || code=1
python3 "$ROOT/tests/machine/crowd.py" "$1" "$TESTBED_PROFILE" 1000 100 100 || code=1
exit "$code"
