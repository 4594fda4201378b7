# clipgo's build. `make demo` and `make test` are all that a fresh machine needs: what is missing they install (apt as
# root, Homebrew on macOS) or name in one line.

GO          ?= go
BUILD       ?= build
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

ifeq ($(shell uname -s),Darwin)
LIBRARY := libclipgo.dylib
else
LIBRARY := libclipgo.so
endif
EMBEDDED := bindings/embed/$(LIBRARY)
RELEASE  := $(BUILD)/release

# QUIET LOG COMMAND: runs the command with its output in the log, which is printed if it fails.
QUIET := sh -c 'log=$$1; shift; MAKEFLAGS= "$$@" >"$$log" 2>&1 || { cat "$$log"; exit 1; }' quiet

.PHONY: all build demo test setup library check race asan tsan clang aarch64 emulated format fuzz bench counts footprint clean

all: build

## demo: build everything and label the shipped picture with the shipped model
demo: build
	@bin/clipgo classify -l fox -l bear -l seagull -l owl testdata/owl.png

## build: one binary, bin/clipgo, with the native library inside
build: library
	@mkdir -p bindings/embed
	@cmp -s $(RELEASE)/$(LIBRARY) $(EMBEDDED) || cp $(RELEASE)/$(LIBRARY) $(EMBEDDED)
	@CGO_ENABLED=0 $(GO) build -trimpath -tags clipgo_embed -ldflags "-s -w" -o bin/clipgo ./cmd/clipgo

## library: the C engine
library: setup
	@$(QUIET) $(BUILD)/configure.log cmake --preset release
	@echo "building the engine (a few minutes the first time)" >&2
	@$(QUIET) $(BUILD)/build.log cmake --build --preset release -j 4

## test: every test, in C and in Go
test: build
	ctest --test-dir $(RELEASE) --output-on-failure
	CLIPGO_LIBRARY=$(CURDIR)/$(RELEASE)/$(LIBRARY) CLIPGO_REQUIRE=engine $(GO) test -timeout 20m ./...

setup:
	@mkdir -p $(BUILD)
	@tools/setup.sh

## check: formatting, vet, staticcheck
check:
	@test -z "$$(gofmt -l . | tee -a /dev/stderr)" || { echo 'these files are not formatted: run make format'; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

## race: the Go tests under the race detector (needs a C compiler for cgo)
race: library
	CGO_ENABLED=1 CLIPGO_LIBRARY=$(CURDIR)/$(RELEASE)/$(LIBRARY) CLIPGO_REQUIRE=engine $(GO) test -race -short -timeout 20m ./...

## asan, tsan: the C tests under sanitizers; clang: as that compiles them; aarch64: for 64-bit Arm, under qemu;
## emulated: for x86's wide instruction sets, AMX among them, on any x86-64
clang: PART := clang
aarch64: PART := aarch64
emulated: PART := simde
emulated: SELECT := -R simde
asan tsan clang aarch64 emulated: setup
	$(if $(PART),@tools/setup.sh $(PART))
	cmake --preset $@
	cmake --build --preset $@ -j 4
	ctest --test-dir $(BUILD)/$@ --output-on-failure $(SELECT)

## bench: towers of the usual sizes, then the engine's kernels
bench: build
	@$(QUIET) $(BUILD)/bench.log cmake -S . -B $(BUILD)/bench -DCMAKE_BUILD_TYPE=Release -DCLIPGO_BENCH=ON -DCLIPGO_TESTS=OFF
	@$(QUIET) $(BUILD)/bench.log cmake --build $(BUILD)/bench -j 4
	bin/clipgo bench --shape vit-b-32,vit-b-16,vit-l-14
	bin/clipgo bench --pictures
	$(BUILD)/bench/ggml/bench/bench_ops
	$(BUILD)/bench/ggml/bench/bench_gemm

## counts: how many instructions the kernels for 64-bit Arm execute, under qemu
counts: setup
	@tools/setup.sh aarch64
	@$(QUIET) $(BUILD)/counts.log cmake --preset aarch64 -DCLIPGO_BENCH=ON
	@$(QUIET) $(BUILD)/counts.log cmake --build --preset aarch64 -j 4 --target count_kernels
	@$(GO) run ./tools/counts qemu-aarch64 -L /usr/aarch64-linux-gnu $(BUILD)/aarch64/ggml/bench/count_kernels

## footprint: memory and start of the whole program, with models of the usual sizes
footprint: build
	$(GO) run ./tools/footprint bin/clipgo testdata/cat.png

format:
	gofmt -w .
	clang-format -i ggml/include/*.h $$(find ggml -name '*.[ch]' -o -name '*.inc')

clean:
	rm -rf $(BUILD) bin bindings/embed
