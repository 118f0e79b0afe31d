#!/usr/bin/env bash
# The figures of the release program, beside a bare rmcp server built with the same lock file and profile, and beside kubernetes-mcp-server. No cluster.
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
cd "$ROOT" || exit 2
preflight build
have python3 || die "bench.py needs python3: apt-get install python3"
have helm || { "$TESTBED" built 2>/dev/null && eval "$("$TESTBED" env | grep '^export PATH=')"; }
have helm || die "an operation that runs needs helm, and this machine has none: install it (https://helm.sh/docs/intro/install), or let the project build its own: make testbed-up"

say "release build (about 7 minutes the first time)"
cargo build --release --bin landfall || exit 1
target="$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"

say "the bare server"
bare="$target/bare"; mkdir -p "$bare"
cp tests/machine/bare/{Cargo.toml,main.rs} Cargo.lock "$bare/" && (cd "$bare" && CARGO_TARGET_DIR="$bare/target" cargo build --release) || exit 1

peer=""
if have npm; then
  folder="$CACHE/landfall-clients/peer-$(sha256sum tests/machine/peer/package-lock.json | cut -c 1-16)"; mkdir -p "$folder"
  cp tests/machine/peer/package*.json "$folder/" && (cd "$folder" && npm install --no-save --no-audit --no-fund --loglevel=error) >/dev/null 2>&1
  peer="$(find "$folder"/node_modules/kubernetes-mcp-server-*/bin -type f 2>/dev/null | head -n 1)"
fi
cargo build --quiet --release --example guard-speed || exit 1
have go && { "$TESTBED" kwok || say "KWOK cannot be built: the health of many pods is not measured"; }
python3 tests/machine/bench.py "$target/release/landfall" "$bare/target/release/bare" "$target/release/examples/guard-speed"; code=$?
if [ -n "$peer" ]; then python3 tests/machine/bench_peer.py "$target/release/landfall" "$peer" || code=1
else say "kubernetes-mcp-server is not measured: npm is missing, or its packages cannot be reached"; fi

say "the files of ten services (limit 20 ms)"
cargo run --quiet --release --example render-speed || code=1

say "cargo check after a change of one file of the library (limit 10 s)"
cargo check --quiet || exit 1
touch src/lib.rs; began="$(date +%s%N)"; cargo check --quiet || exit 1
took="$((($(date +%s%N) - began) / 1000000))"
printf '%-40s%10s ms%s\n' "incremental cargo check" "$took" "$([ "$took" -le 10000 ] || echo '   MISSED')"
[ "$took" -le 10000 ] || code=1
exit "$code"
