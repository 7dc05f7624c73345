#!/usr/bin/env bash
# Runs a command on the emulated GPU: builds the emulation, then lets the command
# compile against cuda.h, link with and load the emulated driver. The variables, unlike
# cgo's, make Go build nothing anew.
# usage: kernels/emu/run.sh go test -tags cuda ./decode -run CUDA
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
"$root/kernels/emu/build.sh"
export PATH="$root/.deps/go/bin:$PATH"
export C_INCLUDE_PATH="$root/.deps/cuda/include${C_INCLUDE_PATH:+:$C_INCLUDE_PATH}"
export LIBRARY_PATH="$root/out/emu${LIBRARY_PATH:+:$LIBRARY_PATH}"
export LD_LIBRARY_PATH="$root/out/emu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$@"
