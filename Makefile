# Sightline. `make help` lists the targets. setup, setup-test and the first lint need the network, and setup
# needs root (or sudo) where Debian's packages are missing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-test build build-cuda demo test test-cuda gpu-check kernels check lint format vet layout race bench bench-media fuzz soak clean

export PATH := $(CURDIR)/.deps/go/bin:$(PATH)
export CGO_ENABLED := 1

FUZZTIME ?= 10s

# Packages whose tests link no native library of ours: they run under the race detector.
PURE := go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... | grep '^[^ ]*\.test ' \
	| grep -vE ' (sightline/internal/(libav|ort|openvino)|gocv\.io/x/gocv)' | sed 's/\.test .*//' | sort -u

# Building with the tag cuda needs the header and something to link with; at run time it is
# the machine's own driver. These variables, unlike cgo's, make nothing else be built anew.
CUDA := C_INCLUDE_PATH=$(CURDIR)/.deps/cuda/include LIBRARY_PATH=$(CURDIR)/out/cuda

# Packages with tests of the GPU path.
CUDA_TESTS := grep -rlE --include='*_test.go' '^func Test(CUDA|GPU)' kernels decode detect internal pipelines | xargs -n1 dirname | sort -u | sed 's|^|./|'

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install Debian's packages, fetch engines, model and sample video into .deps
	@internal/setup/setup.sh core

setup-test: ## besides, what the tests need: Kafka, Chromium, WebRTC and RTSP peers
	@internal/setup/setup.sh test

build: setup ## build ./sightline
	go build -o sightline .

build-cuda: build ## build ./sightline-cuda beside it, which decodes and infers on NVIDIA GPUs
	@internal/setup/setup.sh cuda
	@kernels/driver/stub.sh out/cuda
	$(CUDA) go build -tags cuda -o sightline-cuda .

demo: build ## cameras, Kafka, detector and page in one process; FOR=30s ends it
	./sightline demo $(if $(FOR),--for $(FOR))

test: setup-test vet ## vet, then every test (pure packages under the race detector)
	@pure=$$($(PURE)); rest=$$(go list ./... | grep -vxF "$$pure"); \
	failed=0; \
	go test -p 2 -timeout 14m $$rest || failed=1; \
	go test -race -p 2 -timeout 14m $$pure || failed=1; \
	$(MAKE) --no-print-directory test-cuda || failed=1; \
	exit $$failed

test-cuda: setup-test ## vet with the tag cuda, and the GPU path's tests on an emulated driver
	kernels/emu/run.sh go vet -tags cuda ./...
	kernels/emu/run.sh go test -tags cuda -run '^TestCUDA' -p 2 -timeout 14m $$($(CUDA_TESTS))

gpu-check: ## on a machine with an NVIDIA GPU: the same tests on the device itself, then timings
	@$(CUDA) internal/setup/gpu-check.sh $$($(CUDA_TESTS))

kernels: setup-test ## compile the GPU kernels anew (kernels/ptx/vision.ptx)
	kernels/ptx/build.py

check: format vet lint layout race ## what must be green before a change is sent

format: ## fail when gofmt would change a file
	@found=$$(git ls-files --cached --others --exclude-standard '*.go' | xargs -r gofmt -l); \
	[ -z "$$found" ] || { echo "gofmt -w these files:"; echo "$$found"; exit 1; }

vet: ## go vet
	go vet ./...

lint: ## staticcheck, at the version in tools/go.mod
	go build -C tools -o $(CURDIR)/.deps/bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	.deps/bin/staticcheck ./...

layout: ## the order of imports, native fences and sizes of files and functions
	go test ./internal/layout

race: ## the pure packages under the race detector
	go test -race -p 2 -timeout 14m $$($(PURE))

bench: build ## speed of kernels and stages, then of the whole program
	go test -run '^$$' -bench . -benchtime 1s ./kernels/... ./detect/... ./decode/... ./ingest/... ./sink/spool ./sink/journal
	go test -run '^$$' -bench . -benchtime 1x ./internal/oracle
	./sightline bench

bench-media: ## make the benchmark's clips (1080p25, 720p15, 576p10)
	@internal/setup/setup.sh bench

fuzz: setup-test ## every fuzz target for FUZZTIME (10s) each, one after the other
	@internal/setup/fuzz.sh $(FUZZTIME)

soak: setup-test ## the long tests: hours of reconnects, churn and broker failures
	go test -tags soak -run Soak -timeout 12h ./...
	kernels/emu/run.sh go test -tags soak,cuda -run CUDASoak -timeout 12h ./pipelines

clean: ## remove what was built; .deps stays
	rm -rf sightline sightline-cuda out
