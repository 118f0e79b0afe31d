#!/usr/bin/env bash
# Official clients and the official conformance suite against Landfall: clients.sh conformance | inspector | python | typescript | browser
# What they need is installed from the lock files beside this script into a cache folder outside the tree, once for each lock file.
. "$(dirname "${BASH_SOURCE[0]}")/../machine/machine.sh"
set -e
HERE="$ROOT/tests/clients"
NODE_NEEDED=18; PYTHON_NEEDED=3.10

fingerprint() { cat "$@" | sha256sum | cut -c 1-16; }

# Installs once: the mark is written last, so that a cut installation is begun again.
once() { # once FOLDER COMMAND...
  local folder="$1"; shift
  [ -e "$folder/.complete" ] && return 0
  rm -rf "$folder"; mkdir -p "$folder"
  if have flock; then exec 8>"$folder.lock"; flock 8; fi
  say "installing clients into $folder, once"
  "$@" >"$folder.log" 2>&1 || { tail -n 20 "$folder.log" >&2; die "the clients could not be installed: $folder.log"; }
  : >"$folder/.complete"
}

node_missing() { # says what is missing; nothing where all is there
  have node || { echo "Node $NODE_NEEDED or newer with npm is not installed: https://nodejs.org"; return; }
  have npm || { echo "npm, which belongs to Node, is not installed: https://nodejs.org"; return; }
  at_least "$NODE_NEEDED.0" "$(node --version | tr -d v | cut -d. -f1-2)" || echo "Node $NODE_NEEDED or newer is needed (found: $(node --version)): https://nodejs.org"
}

browser() { # where a Chromium is, or nothing
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v "$name" && return 0; done
  return 1
}

browser_missing() { # on Debian it is installed, as compilers are
  node_missing
  browser >/dev/null && return 0
  if debian && is_root; then
    say "installing Debian package: chromium"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >"$MACHINE_STATE/apt.log" 2>&1 && return 0
  fi
  echo "no Chromium is installed (Debian: apt-get install chromium)"
}

python_missing() {
  have python3 || { echo "Python $PYTHON_NEEDED or newer is not installed: https://www.python.org"; return; }
  at_least "$PYTHON_NEEDED" "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" || { echo "Python $PYTHON_NEEDED or newer is needed (found: $(python3 --version))"; return; }
  python3 -c 'import venv, ensurepip' 2>/dev/null || echo "Python's venv is not installed (Debian: apt-get install python3-venv)"
}

install_node() {
  cp "$HERE/package.json" "$HERE/package-lock.json" "$1"
  npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
}

install_python() {
  python3 -m venv "$1/venv"
  "$1/venv/bin/pip" install --quiet --disable-pip-version-check -r "$HERE/requirements.txt"
}

with_node() {
  local folder node
  folder="$CACHE/landfall-clients/node-$(fingerprint "$HERE/package-lock.json")"
  once "$folder" install_node "$folder"
  # The suite and the inspector need Node 22; where the machine has an older one, theirs comes with them.
  node="$(command -v node)"
  at_least 22.19 "$(node --version | tr -d v | cut -d. -f1-2)" || node="$(find "$folder"/node_modules/node-*/bin/node 2>/dev/null | head -n 1)"
  [ -x "$node" ] || die "Node 22.19 or newer is needed (found: $(node --version)): https://nodejs.org"
  LANDFALL_CLIENTS="$folder" exec "$node" "$HERE/run.mjs" "$@"
}

with_python() {
  local folder
  folder="$CACHE/landfall-clients/python-$(fingerprint "$HERE/requirements.txt")"
  once "$folder" install_python "$folder"
  "$folder/venv/bin/python" "$HERE/chatbot.py" "$@"
}

case "${1:-}" in
  conformance|inspector|typescript) with_node "$@" ;;
  browser) LANDFALL_BROWSER="$(browser)" || die "no Chromium is installed"; export LANDFALL_BROWSER; with_node "$@" ;;
  python) shift; with_python "$@" ;;
  missing) case "${2:-}" in python) python_missing ;; browser) browser_missing ;; *) node_missing ;; esac ;;
  *) die "usage: clients.sh conformance | inspector | python | typescript | browser" ;;
esac
