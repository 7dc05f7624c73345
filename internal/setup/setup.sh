#!/usr/bin/env bash
# Fills .deps with what Sightline needs and installs Debian's packages.
#   setup.sh core    to build and run: engines, models, sample video
#   setup.sh test    besides, what only the tests need: a Kafka broker, WebRTC and browser peers, model variants, CUDA's compiler
#   setup.sh cuda    besides core, what the GPU path's build needs: CUDA's header
#   setup.sh bench   besides core, the clips of the benchmark
# What is there already is left alone; what differs from the pins is made again.
# With SIGHTLINE_PACKAGES=mine no Debian package is looked at.
set -euo pipefail
shopt -s inherit_errexit
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
DEPS=$ROOT/.deps CACHE=$ROOT/.deps/.cache ARCH=$(uname -m)
. "$HERE/pins.env"
. "$HERE/lib.sh"
. "$HERE/steps.sh"

[ "$(uname -s)" = Linux ] || die "make setup runs on Linux (Debian 12 is the reference), this is $(uname -s)"
case $ARCH in x86_64 | aarch64) ;; *) die "there are engines for x86_64 and aarch64, this machine is $ARCH" ;; esac
case ${1:-} in core | test | cuda | bench) ;; *) sed -n 2,9p "$0" >&2; exit 2 ;; esac
mkdir -p "$DEPS/.stamps" "$CACHE"
exec 9>"$DEPS/.lock"
flock -n 9 || { echo "setup: waiting for another one in this folder" && flock 9; }

echo "setup: $1, into .deps (log of the last step: .deps/setup.log)"
"$1"
rm -rf "$CACHE/wheel"
