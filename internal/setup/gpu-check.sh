#!/usr/bin/env bash
# gpu-check.sh PACKAGE… runs the tests of the GPU path on this machine's own NVIDIA GPU: the
# same ones that otherwise run on an emulated driver. Then it measures. It fetches nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export GOPROXY=off GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=1
unset LD_PRELOAD
case "${LD_LIBRARY_PATH:-}" in *out/emu*) echo "LD_LIBRARY_PATH names the emulated driver: unset it" >&2; exit 1 ;; esac

say() { printf '\n== %s\n' "$*"; }

say "this machine"
kernels/driver/stub.sh out/cuda
go build -o sightline .
go build -tags cuda -o sightline-cuda .
./sightline doctor | tee out/gpu-doctor.txt
grep -q '^ok *GPU cuda:0' out/gpu-doctor.txt || { echo "no GPU to check: see the lines above" >&2; exit 1; }

say "kernels, NVDEC, inference and whole pipelines on the GPU"
SIGHTLINE_REQUIRE=gpu go test -tags cuda -run '^Test(CUDA|GPU)' -p 1 -count 1 -timeout 30m "$@"

say "kernels and stages, measured"
go test -tags cuda -run '^$' -bench CUDA -benchtime 1s -p 1 "$@"

say "whole pipelines, measured"
clips=.deps/media/clips
[ -d "$clips" ] && videos=("$clips"/*) || videos=(.deps/media/vtest.mp4)
for video in "${videos[@]}"; do
  for device in cpu cuda:0; do
    ./sightline bench --clip "$video" --device "$device"
  done
done
