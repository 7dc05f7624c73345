#!/usr/bin/env bash
# Writes the C++ file that compiles vision.cu for the emulated GPU, with a table of its
# kernels: those that VA_KERNEL begins, in it and in the .cu files it includes.
# usage: cxx/table.sh KERNELS_FOLDER > FILE.cc
set -euo pipefail
echo '#define VA_EMU'
echo '#include "vision.cu"'
echo '#include "table.h"'
echo 'extern "C" const uint64_t emu_source = 0;'
echo 'extern "C" const emu_kernel emu_kernels[] = {'
grep -hoP '^VA_KERNEL\s+\K\w+(?=\()' "$1"/*.cu | sed 's/.*/  EMU_KERNEL(&),/'
echo '  {nullptr, nullptr, 0, 0}};'
