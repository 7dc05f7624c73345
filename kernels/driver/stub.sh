#!/usr/bin/env bash
# stub.sh FOLDER makes FOLDER/libcuda.so to link with: it has the driver's functions by
# name, which do nothing, and is called libcuda.so.1, so that what is linked with it
# loads the machine's own driver. It is no driver, and no emulation of one.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
header=$root/.deps/cuda/include/cuda.h
folder=${1:?the folder to make libcuda.so in}
[ -e "$header" ] || { echo "no $header: run \`make setup-test\`" >&2; exit 1; }
[ "$folder/libcuda.so" -nt "$header" ] && [ "$folder/libcuda.so" -nt "${BASH_SOURCE[0]}" ] && exit 0
mkdir -p "$folder"
# Names as the preprocessor leaves them: cuMemAlloc is cuMemAlloc_v2 by then. Older
# versions of a function are declared under this macro alone.
for older in "" -D__CUDA_API_VERSION_INTERNAL; do
  ${CC:-cc} -E -P $older "$header"
done | tr '\n' ' ' | grep -oE '\bcu[A-Z][A-Za-z0-9_]*[[:space:]]*\(' | tr -d ' (' | sort -u |
  sed 's/.*/int &(void) { return 999; }/' >"$folder/stub.c"
${CC:-cc} -w -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$folder/libcuda.so" "$folder/stub.c"
