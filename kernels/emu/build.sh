#!/usr/bin/env bash
# Builds the emulated CUDA driver and NVDEC, and the kernels it runs, into out/emu. Does
# nothing when nothing changed; several at once wait for one another.
# usage: kernels/emu/build.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ ! -e "$root/.deps/cuda/include/cuda.h" ]; then
  echo "kernels/emu: no cuda.h in .deps/cuda/include: run \`make setup-test\`" >&2
  exit 1
fi
if ! echo '#include <ffnvcodec/dynlink_cuviddec.h>' | g++ -include cuda.h -I"$root/.deps/cuda/include" -E -x c++ - >/dev/null 2>&1; then
  echo "kernels/emu: no ffnvcodec headers (Debian: libffmpeg-nvenc-dev): run \`make setup-test\`" >&2
  exit 1
fi
export PATH="$root/.deps/go/bin:$PATH"
mkdir -p "$root/out/emu"
exec 9>"$root/out/emu/.lock"
flock 9
env -u MAKEFLAGS -u MAKELEVEL make -s -j2 -f "$root/kernels/emu/Makefile" SHELL=/bin/bash 9>&-
