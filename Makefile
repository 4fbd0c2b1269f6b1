# kv: build, test and install the C library. GNU make, POSIX sh, a C compiler, Rust. `make help` lists the targets.

VERSION    := $(shell sed -n 's/^version *= *"\([^"]*\)".*/\1/p' capi/Cargo.toml | head -1)
ABI        := 0
PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PCDIR      ?= $(LIBDIR)/pkgconfig
DESTDIR    ?=
CARGO      ?= cargo
CARGOFLAGS ?= --locked
PROFILE    ?= release
CC         ?= cc
CXX        ?= c++
INSTALL    ?= install
OBJCOPY    ?= objcopy
LD         ?= ld
AR         ?= ar
NM         ?= nm
PYTHON     ?= python3
VALGRIND   ?= valgrind
CFLAGS     ?= -O2 -g
CXXFLAGS   ?= -O2 -g
LDFLAGS    ?=
# What the Rust standard library needs from the system (rustc --print native-static-libs).
PRIVLIBS   ?= -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
# Cross builds: make CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu CC=aarch64-linux-gnu-gcc LD=... OBJCOPY=... AR=...
RUSTLIB    := $(CARGO_TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)$(PROFILE)/libkv.a

B          := build
SO         := $(B)/libkv.so.$(VERSION)
WARN       := -Wall -Wextra -Wpedantic
CSTD       := -std=c99 $(WARN) -Wstrict-prototypes -D_GNU_SOURCE

EXAMPLES   := $(patsubst examples-c/%.c,$(B)/examples/%,$(wildcard examples-c/*.c))
CTESTS     := $(patsubst tests/c/%.c,%,$(wildcard tests/c/*.c))

.DEFAULT_GOAL := all
.PHONY: all help examples demo test test-programs test-rust test-c test-system crash-sim seeded-bugs fault bit-rot fuzz kill isolation files models \
  power-cut full-disk fault-kernel sanitize soak check-symbols header check-header lint bench bench-all micro count install uninstall clean FORCE
FORCE:

all: $(SO) $(B)/libkv.a $(B)/kv.pc   ## build/libkv.so, build/libkv.a, build/kv.pc

help:                                ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo
	@echo "  Variables: PREFIX LIBDIR INCLUDEDIR DESTDIR CC CXX CFLAGS LDFLAGS CARGO CARGOFLAGS PROFILE CARGO_TARGET_DIR"

# Cargo knows what is out of date. Only the static library: the shared one is linked from it below.
$(RUSTLIB): FORCE
	$(CARGO) rustc $(CARGOFLAGS) --profile $(PROFILE) -p kv-capi --lib --crate-type staticlib

# Linked by the C compiler, so that our version script applies: rustc gives cdylibs an anonymous one of its own, which
# wins in lld (symbols stay without a version, silently) and is an error in GNU ld.
$(SO): $(RUSTLIB) kv.map
	@mkdir -p $(B)
	$(CC) -shared -o $@ -Wl,-soname,libkv.so.$(ABI) -Wl,--version-script=kv.map \
	  -Wl,--whole-archive $< -Wl,--no-whole-archive \
	  -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,defs -Wl,-z,noexecstack \
	  $(LDFLAGS) -Wl,--as-needed $(PRIVLIBS)
	ln -sf libkv.so.$(VERSION) $(B)/libkv.so.$(ABI)
	ln -sf libkv.so.$(VERSION) $(B)/libkv.so

# One object with every symbol but kv_* made local, so that two Rust libraries can be linked into one program.
$(B)/libkv.a: $(RUSTLIB) kv.map
	@mkdir -p $(B)
	$(LD) -r --gc-sections --force-group-allocation \
	  $(shell sed -n 's/^ *\(kv_[a-z0-9_]*\);/-u \1/p' kv.map) -o $(B)/kv.o $<
	$(OBJCOPY) --wildcard --keep-global-symbol='kv_*' -R .llvmbc -R .llvmcmd $(B)/kv.o
	rm -f $@
	$(AR) rcsD $@ $(B)/kv.o

$(B)/kv.pc: kv.pc.in capi/Cargo.toml FORCE
	@mkdir -p $(B)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	     -e 's|@VERSION@|$(VERSION)|' -e 's|@PRIVLIBS@|$(PRIVLIBS)|' $< > $@

# ---- examples -----------------------------------------------------------------------------------------------

examples: $(EXAMPLES)                ## build/examples/*: the programs of examples-c/

$(B)/examples/%: examples-c/%.c include/kv.h $(SO)
	@mkdir -p $(B)/examples
	$(CC) $(CSTD) $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

demo: $(B)/examples/kvfiles          ## import /usr/include and /usr/share/doc, verify, kill an import half-way
	sh scripts/demo.sh $(abspath $(B))

# ---- tests --------------------------------------------------------------------------------------------------

# Two jobs at a time where one leaves a processor idle: the library is compiled and linked in one piece, and half of what
# the later tests do takes one thread. What they print comes when each has ended.
test:                                ## everything below but soak
	$(MAKE) --no-print-directory -j2 all test-programs
	$(MAKE) --no-print-directory test-rust
	$(MAKE) --no-print-directory -j2 --output-sync=target test-c test-system

test-programs:
	$(CARGO) test $(CARGOFLAGS) --workspace --no-run

test-rust: all                       ## cargo test (some tests load build/libkv.so)
	$(CARGO) test $(CARGOFLAGS) --workspace

test-c: all examples $(CTESTS:%=$(B)/tests/%) $(CTESTS:%=$(B)/tests/%-static) $(B)/tests/cpp check-symbols  ## the C side
	B=$(abspath $(B)) PYTHON="$(PYTHON)" VALGRIND="$(VALGRIND)" sh scripts/test-c.sh $(CTESTS)

# What cargo test leaves out, since it needs another build, other programs or the rights of root.
test-system: seeded-bugs models count sanitize fault-kernel full-disk power-cut  ## what cargo test leaves out

$(B)/tests/%: tests/c/%.c tests/c/check.h include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CC) $(CSTD) -Werror $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

$(B)/tests/%-static: tests/c/%.c tests/c/check.h include/kv.h $(B)/libkv.a
	@mkdir -p $(B)/tests
	$(CC) $(CSTD) -Werror $(CFLAGS) -Iinclude -o $@ $< $(B)/libkv.a $(PRIVLIBS)

$(B)/tests/cpp: tests/c/cpp.cpp include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CXX) -std=c++11 $(WARN) -Werror $(CXXFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B))

# Exported by the library = listed in kv.map = declared in kv.h, and each with its version.
check-symbols: $(SO)                 ## compare libkv.so, kv.map and kv.h
	@$(NM) -D --defined-only $(SO) | awk '$$2 == "T" { print $$3 }' | LC_ALL=C sort > $(B)/so.sym
	@sed -n 's/^ *\(kv_[a-z0-9_]*\);/\1/p' kv.map | LC_ALL=C sort > $(B)/map.sym
	@sed -n 's/^KV_API.*[ *]\(kv_[a-z0-9_]*\)(.*/\1/p' include/kv.h | LC_ALL=C sort > $(B)/header.sym
	@diff $(B)/map.sym $(B)/header.sym || { echo "kv.map and include/kv.h differ"; exit 1; }
	@sed 's/$$/@@KV_$(ABI)/' $(B)/map.sym | diff - $(B)/so.sym || { echo "kv.map and libkv.so differ"; exit 1; }
	@echo "ok: $$(wc -l < $(B)/map.sym) symbols"

# ---- tests of one kind ----------------------------------------------------------------------------------------
# Each ends with a line "NAME: N passed, M failed, K skipped (counts)"; docs/testing.md has their settings.

TRIAL = CARGO="$(CARGO)" CARGOFLAGS="$(CARGOFLAGS)" sh scripts/trial.sh
ALONE = -- --nocapture --test-threads 1

crash-sim: seeded-bugs               ## 1,000,000 power cuts and kills, simulated; bugs put in on purpose are found
	@$(TRIAL) crash-sim "--test crash --test crash_db --test several $(ALONE)"

seeded-bugs:                         ## bugs put in on purpose are found
	@$(TRIAL) seeded-bugs "--features seeded-bugs --test seeded_bugs -- --nocapture"

fault:                               ## calls, pages and allocations that fail under a workload, each in turn
	@$(TRIAL) fault "--test faults --test faults_db --test allocation $(ALONE)"

bit-rot:                             ## every byte of a 10 MB database changed, and 2,000 such files through the engine
	@$(TRIAL) bit-rot "--test bit_rot $(ALONE)"

fuzz:                                ## hostile files with repaired checksums for a minute
	@$(TRIAL) fuzz "--test fuzz -- --nocapture"

kill:                                ## kill -9 of processes that share a file; stopped ones; equal process numbers
	@$(TRIAL) kill "--test kill -- --nocapture"

isolation:                           ## 8 processes with 2 threads each on one file for a minute, and threads alone
	@$(TRIAL) isolation "--test isolation --test processes -- --nocapture"

files: all                           ## links, renamed and foreign files, descriptors, permissions, users, limits, mounts
	@NEEDS="setpriv:util-linux" \
	  $(TRIAL) files "--test files --test surroundings --test limits --test mounts -- --nocapture"

models:                              ## orders of accesses to the shared words, tried by a scheduler
	@CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/models \
	  $(TRIAL) models "--release --manifest-path tests/models/Cargo.toml -- --nocapture"

power-cut:                           ## power cuts on ext4, ext4 with fast_commit, xfs (root)
	@MOUNTS=1 NEEDS="mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs" \
	  $(TRIAL) power-cut "--test power_cut -- --include-ignored --nocapture"

full-disk:                           ## disks that run full at many sizes, size limits, read-only file systems (root)
	@MOUNTS=1 NEEDS="mkfs.ext4:e2fsprogs" $(TRIAL) full-disk "--test full_disk -- --include-ignored --nocapture"

fault-kernel: all $(B)/tests/workload ## each system call of a workload fails, once and for ever (strace)
	@sh scripts/test-faults.sh $(abspath $(B))

$(B)/tests/workload: tests/faults/workload.c include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CC) $(CSTD) -Werror $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

sanitize:                            ## the tests under the address and the thread sanitizer
	@CARGO="$(CARGO)" CARGOFLAGS="$(CARGOFLAGS)" sh scripts/test-sanitizers.sh $(SANITIZE)

# Another seed each time; those of a failure are printed. SOAK=10 is some hours, and for ever with ROUNDS=0.
SOAK   ?= 10
ROUNDS ?= 1
soak:                                ## all of these SOAK (10) times as large, with other seeds, ROUNDS (1) times
	n=0; while [ $(ROUNDS) = 0 ] || [ "$$n" -lt $(ROUNDS) ]; do \
	  n=$$((n + 1)); seed=$$(date +%s); echo "round $$n, KV_SEED=$$seed"; \
	  KV_SEED=$$seed KV_CRASH_SEED=$$seed KV_CRASH_POINTS=$(SOAK)000000 KV_FAULT_SEEDS=$(SOAK) \
	  KV_ALLOCATIONS=$$((150 * $(SOAK))) KV_ROT_BYTES=$(SOAK)0000000 KV_ROT_RUNS=$(SOAK)000 \
	  KV_FUZZ_SECONDS=$$((60 * $(SOAK))) KV_KILLS=$(SOAK)000 KV_WRITE_LOCKS=$$((20 * $(SOAK))) \
	  KV_ISOLATION_SECONDS=$$((60 * $(SOAK))) KV_MODEL_SCHEDULES=$$((3000 * $(SOAK))) \
	  KV_SEVERAL=$(SOAK)00 KV_POWER_CUTS=$(SOAK)00 KV_FULL_DISKS=$(SOAK)00 SANITIZE="address thread inside" \
	    $(MAKE) --no-print-directory crash-sim fault bit-rot fuzz kill isolation models sanitize power-cut full-disk || exit 1; done

# ---- the sources -------------------------------------------------------------------------------------------

header:                              ## regenerate include/kv.h from capi/
	KV_HEADER=write $(CARGO) check $(CARGOFLAGS) -p kv-capi --features header

check-header:                        ## fail if include/kv.h is not what capi/ says
	KV_HEADER=check $(CARGO) check $(CARGOFLAGS) -p kv-capi --features header

lint:                                ## rustfmt, clippy, rustdoc: all without a warning
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGOFLAGS) --workspace --all-targets -- -D warnings
	# As others build it: without the feature that shows the rooms to the tests.
	$(CARGO) clippy $(CARGOFLAGS) -p kv-capi -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CARGOFLAGS) --workspace --no-deps

bench: all                           ## libkv and LMDB side by side (bench/README.md); BENCH_SCALE=0.1 is quick
	$(MAKE) -C bench

bench-all: all                       ## libkv and every other engine, then docs/benchmarks.md; hours at full scale
	$(MAKE) -C bench all-engines

micro:                               ## micro-benchmarks (CONTRIBUTING.md); MICRO="--quick leaf_" and the like choose
	CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/micro \
	  $(CARGO) bench $(CARGOFLAGS) --manifest-path micro/Cargo.toml -- $(MICRO)

count: $(B)/bench/count              ## instructions of common calls beside bench/instructions.txt; COUNT=record
	B=$(abspath $(B)) VALGRIND="$(VALGRIND)" COUNT=$(or $(COUNT),check) sh scripts/count-instructions.sh

$(B)/bench/count: bench/count.c include/kv.h $(SO)
	@mkdir -p $(B)/bench
	$(CC) $(CSTD) $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B))

# ---- installing ---------------------------------------------------------------------------------------------

install: all                         ## into DESTDIR, PREFIX, LIBDIR
	$(INSTALL) -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(PCDIR)
	$(INSTALL) -m 0755 $(SO) $(DESTDIR)$(LIBDIR)/
	ln -sf libkv.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libkv.so.$(ABI)
	ln -sf libkv.so.$(ABI) $(DESTDIR)$(LIBDIR)/libkv.so
	$(INSTALL) -m 0644 $(B)/libkv.a $(DESTDIR)$(LIBDIR)/
	$(INSTALL) -m 0644 include/kv.h $(DESTDIR)$(INCLUDEDIR)/
	$(INSTALL) -m 0644 $(B)/kv.pc $(DESTDIR)$(PCDIR)/

uninstall:                           ## what install installed
	rm -f $(DESTDIR)$(LIBDIR)/libkv.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libkv.so.$(ABI) $(DESTDIR)$(LIBDIR)/libkv.so \
	  $(DESTDIR)$(LIBDIR)/libkv.a $(DESTDIR)$(INCLUDEDIR)/kv.h $(DESTDIR)$(PCDIR)/kv.pc

clean:                               ## remove build/ and cargo's output
	rm -rf $(B)
	$(CARGO) clean
