#!/usr/bin/env bash
# What a release consists of, in target/bundle: the MCPB bundle, server.json for the registry, shell completions, man pages.
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
cd "$ROOT" || exit 2
set -e
have python3 || die "python3 is not installed: it writes the bundle"
preflight build
out="$ROOT/target/bundle"
cargo build --release
rm -rf "$out"; mkdir -p "$out/completions"
python3 tests/machine/bundle.py --program target/release/landfall --output "$out" ${LANDFALL_BUNDLE_URL:+--url "$LANDFALL_BUNDLE_URL"}
for shell in bash zsh fish; do target/release/landfall completions "$shell" >"$out/completions/landfall.$shell"; done
target/release/landfall man --all "$out/man"
say "written: $out"
