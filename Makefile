# kv: build, test and install the C library. GNU make, POSIX sh, a C compiler, Rust. `make help` lists the targets.

VERSION    := $(shell sed -n 's/^version *= *"\([^"]*\)".*/\1/p' Cargo.toml | head -1)
ABI        := 0
PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PCDIR      ?= $(LIBDIR)/pkgconfig
CMAKEDIR   ?= $(LIBDIR)/cmake/kv
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions
FISHDIR    ?= $(PREFIX)/share/fish/vendor_completions.d
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
# What the Rust standard library needs from the system (rustc --print native-static-libs), but for the unwinder: the
# compiler adds its own, the shared one or for `-static` the other.
PRIVLIBS   ?= -lutil -lrt -lpthread -lm -ldl -lc
# The symbols and their versions.
MAP        ?= kv.map
# The header whose functions check-symbols compares with it.
HEADER     ?= include/kv.h
# 0: libkv.so is installed as it was linked, for packagers whose tools take the debug information out.
SPLIT_DEBUG ?= 1

# 0: the command kv is neither built nor installed, for those who want the library alone.
CLI        ?= 1
# What runs the command to write its man pages, if it was built for another machine: RUN="qemu-aarch64 -L /usr/...".
RUN        ?=

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
# Cross builds: make CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu CC=aarch64-linux-gnu-gcc LD=... OBJCOPY=... AR=...
RUSTLIB    := $(CARGO_TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)$(PROFILE)/libkv.a

B          := build
SO         := $(B)/libkv.so.$(VERSION)
# The same for users: without its debug information, which lies in a file beside it, where debuggers look for it.
STRIPPED   := $(B)/stripped/libkv.so.$(VERSION)
DEBUGFILE  := $(B)/stripped/.debug/libkv.so.$(VERSION).debug
WARN       := -Wall -Wextra -Wpedantic
CSTD       := -std=c99 $(WARN) -Wstrict-prototypes -D_GNU_SOURCE

# The command as cargo builds it, and what is installed: without its debug information, man pages, completions.
RUSTCLI    := $(dir $(RUSTLIB))kv
COMMAND    := $(if $(filter-out 0,$(CLI)),$(B)/kv $(B)/share/made)

# Man pages of the functions and of the file format, which a script in Python writes; without Python there are none.
MANUALS    := $(if $(or $(shell command -v $(PYTHON) 2>/dev/null),$(wildcard $(B)/man/made)),$(B)/man/made)

# For C++: CXX= leaves out what needs a compiler of it.
CXXWARN    := $(WARN) -Wshadow -Wconversion
CXXTESTS   := $(if $(CXX),cpp hpp-17 hpp-20)

EXAMPLES   := $(patsubst examples-c/%.c,$(B)/examples/%,$(wildcard examples-c/*.c)) \
  $(if $(CXX),$(patsubst examples-c/%.cpp,$(B)/examples/%,$(wildcard examples-c/*.cpp)))
CTESTS     := $(patsubst tests/c/%.c,%,$(wildcard tests/c/*.c))

.DEFAULT_GOAL := all
.PHONY: all help examples demo test test-programs test-rust test-c test-system crash-sim seeded-bugs fault bit-rot fuzz kill isolation files models memory images \
  power-cut full-disk fault-kernel differences sanitize soak deps test-targets test-install test-ruby test-python python book man test-book test-reproducible check-symbols header check-header check-abi abi test-abi check-api api lint dist test-dist bench bench-all micro count install uninstall check-places clean deb deb-copyright test-deb FORCE
FORCE:

all: $(SO) $(STRIPPED) $(B)/libkv.a $(B)/kv.pc $(COMMAND) $(MANUALS) ## build/libkv.so, build/libkv.a, build/kv.pc, build/kv

help:                                ## this list
	@sed -n 's/^\([a-z][a-z -]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo
	@echo "  Variables: PREFIX LIBDIR INCLUDEDIR DESTDIR CC CXX CFLAGS LDFLAGS CARGO CARGOFLAGS PROFILE CARGO_TARGET_DIR CLI"

# Names instead of this machine's directories, so that the same sources give the same library in whatever directory.
CARGO_HOME ?= $(HOME)/.cargo
SOURCE_DIR := /usr/src/kv-$(VERSION)
REMAP      := --remap-path-prefix=$(CARGO_HOME)/registry/src=/usr/src/cargo \
  --remap-path-prefix=$(abspath $(CARGO_TARGET_DIR))=$(SOURCE_DIR)/target --remap-path-prefix=$(CURDIR)=$(SOURCE_DIR)

# Cargo is asked only when a source or a setting has changed, so that `sudo make install` needs no cargo. Installing does
# not look at the settings: root has others.
RUST_SOURCES := Cargo.toml Cargo.lock capi/Cargo.toml build.rs rust-toolchain.toml $(wildcard .cargo/config.toml) \
  $(shell find src capi/src -type d -o -name '*.rs')
SETTINGS   := $(CARGOFLAGS) --profile $(PROFILE) $(RUSTFLAGS) \
  $(shell env | grep '^CARGO_PROFILE_\|^CARGO_ENCODED_RUSTFLAGS=' | LC_ALL=C sort)
INSTALLING := $(and $(MAKECMDGOALS),$(if $(filter-out install uninstall,$(MAKECMDGOALS)),,yes))

$(RUSTLIB).settings: FORCE
	@if [ -z "$(INSTALLING)" ] || [ ! -e $@ ]; then \
	  mkdir -p $(dir $@) && echo '$(subst ','\'',$(SETTINGS))' | cmp -s - $@ || echo '$(subst ','\'',$(SETTINGS))' >$@; fi

# Only the static library: the shared one is linked from it below. The stamp is as old as the beginning of the compilation,
# so that a source that is changed meanwhile is newer; the library's own time is cargo's.
$(RUSTLIB).built: $(RUST_SOURCES) $(RUSTLIB).settings $(if $(wildcard $(RUSTLIB)),,FORCE)
	@command -v $(firstword $(CARGO)) >/dev/null || { echo "The sources are newer than the library, and there is no" \
	  "$(firstword $(CARGO)) to compile them with: run make as the user who has it." >&2; exit 1; }
	@touch $@.begun
	RUSTFLAGS="$(RUSTFLAGS) $(REMAP)" $(CARGO) rustc $(CARGOFLAGS) --profile $(PROFILE) -p kv-capi --lib \
	  --crate-type staticlib
	@mv $@.begun $@

$(RUSTLIB): $(RUSTLIB).built
	@:

# Linked by the C compiler, so that our version script applies: rustc gives cdylibs an anonymous one of its own, which
# wins in lld (symbols stay without a version, silently) and is an error in GNU ld.
$(SO): $(RUSTLIB) $(MAP)
	@mkdir -p $(B)
	$(CC) -shared -o $@ -Wl,-soname,libkv.so.$(ABI) -Wl,--version-script=$(MAP) \
	  -Wl,--whole-archive $< -Wl,--no-whole-archive \
	  -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,defs -Wl,-z,noexecstack -Wl,--build-id=sha1 \
	  $(LDFLAGS) -Wl,--as-needed $(PRIVLIBS)
	ln -sf libkv.so.$(VERSION) $(B)/libkv.so.$(ABI)
	ln -sf libkv.so.$(VERSION) $(B)/libkv.so

$(B)/libkv.so $(B)/libkv.so.$(ABI): $(SO)
	@:

$(STRIPPED): $(SO)
	@mkdir -p $(dir $(DEBUGFILE))
	$(OBJCOPY) --only-keep-debug $(SO) $(DEBUGFILE)
	@chmod 644 $(DEBUGFILE)
	$(OBJCOPY) --strip-unneeded --add-gnu-debuglink=$(DEBUGFILE) $(SO) $@

# One object with every symbol but kv_* made local, so that two Rust libraries can be linked into one program.
$(B)/libkv.a: $(RUSTLIB) $(MAP)
	@mkdir -p $(B)
	$(LD) -r --gc-sections --force-group-allocation \
	  $(shell sed -n 's/^ *\(kv_[a-z0-9_]*\);/-u \1/p' $(MAP) | sort -u) -o $(B)/kv.o $<
	$(OBJCOPY) --wildcard --keep-global-symbol='kv_*' -R .llvmbc -R .llvmcmd $(B)/kv.o
	rm -f $@
	$(AR) rcsD $@ $(B)/kv.o

# ---- the command ----------------------------------------------------------------------------------------------

CLI_SOURCES := $(RUST_SOURCES) cli/Cargo.toml cli/lmdb/Cargo.toml \
  $(shell find cli/src cli/lmdb/src -type d -o -name '*.rs')

# The engine is compiled for the library first, and taken from there.
$(RUSTCLI).built: $(CLI_SOURCES) $(RUSTLIB).settings $(if $(wildcard $(RUSTCLI)),,FORCE) | $(RUSTLIB).built
	@command -v $(firstword $(CARGO)) >/dev/null || { echo "The sources are newer than the command kv, and there is no" \
	  "$(firstword $(CARGO)) to compile them with: run make as the user who has it." >&2; exit 1; }
	@touch $@.begun
	RUSTFLAGS="$(RUSTFLAGS) $(REMAP)" $(CARGO) build $(CARGOFLAGS) --profile $(PROFILE) -p keelkv-cli --bin kv
	@mv $@.begun $@

$(RUSTCLI): $(RUSTCLI).built
	@:

$(B)/kv: $(RUSTCLI)
	@mkdir -p $(B)
	$(OBJCOPY) --strip-all $< $@

# Written by the command itself, from the texts of its help.
$(B)/share/made: $(B)/kv
	@rm -rf $(B)/share && mkdir -p $(B)/share/man1
	$(RUN) $(B)/kv man $(B)/share/man1
	$(RUN) $(B)/kv completions bash >$(B)/share/kv
	$(RUN) $(B)/kv completions zsh >$(B)/share/_kv
	$(RUN) $(B)/kv completions fish >$(B)/share/kv.fish
	@touch $@

# What is told to pkg-config and CMake.
EMPTY      :=
FILL_IN = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
  -e 's|@VERSION@|$(VERSION)|g' -e 's|@ABI@|$(ABI)|g' -e 's|@PRIVLIBS@|$(PRIVLIBS)|g' \
  -e 's|@PRIVLIST@|$(subst $(EMPTY) $(EMPTY),;,$(strip $(PRIVLIBS)))|g'

$(B)/kv.pc: FORCE
	@mkdir -p $(B)
	@$(FILL_IN) kv.pc.in >$@

# ---- examples -----------------------------------------------------------------------------------------------

examples: $(EXAMPLES)                ## build/examples/*: the programs of examples-c/

$(B)/examples/%: examples-c/%.c include/kv.h $(SO)
	@mkdir -p $(B)/examples
	$(CC) $(CSTD) $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

$(B)/examples/%: examples-c/%.cpp include/kv.hpp include/kv.h $(SO)
	@mkdir -p $(B)/examples
	$(CXX) -std=c++17 $(CXXWARN) $(CXXFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B))

# It is not linked with the library, and finds it where the others do.
$(B)/examples/08_dlopen: examples-c/08_dlopen.c include/kv.h $(SO)
	@mkdir -p $(B)/examples
	$(CC) $(CSTD) $(CFLAGS) -Iinclude -o $@ $< -Wl,-rpath,$(abspath $(B)) -ldl

demo: $(B)/examples/kvfiles          ## import /usr/include and /usr/share/doc, verify, kill an import half-way
	sh scripts/demo.sh $(abspath $(B))

# ---- tests --------------------------------------------------------------------------------------------------

# Nothing but this installs anything: a test that lacks a program says so.
deps:                                ## what the tests use besides, and what is missing of it; DO=1 installs that (root)
	@DO=$(or $(DO),0) FOR=$(or $(FOR),tests) sh scripts/deps.sh

# Two jobs at a time where one leaves a processor idle: the library is compiled and linked in one piece, and half of what
# the later tests do takes one thread. What they print comes when each has ended.
test:                                ## the tests of Rust, of C and of everything around them
	$(MAKE) --no-print-directory -j2 all test-programs
	$(MAKE) --no-print-directory test-rust
	$(MAKE) --no-print-directory -j2 --output-sync=target test-c test-system

test-programs:
	$(CARGO) test $(CARGOFLAGS) --workspace --no-run

test-rust: all                       ## cargo test (some tests load build/libkv.so)
	$(CARGO) test $(CARGOFLAGS) --workspace

test-c: all examples $(CTESTS:%=$(B)/tests/%) $(CTESTS:%=$(B)/tests/%-static) $(CXXTESTS:%=$(B)/tests/%) check-symbols  ## the C side
	B=$(abspath $(B)) PYTHON="$(PYTHON)" VALGRIND="$(VALGRIND)" sh scripts/test-c.sh $(CTESTS)

# What cargo test leaves out, since it needs another build, other programs or the rights of root.
test-system: seeded-bugs models count sanitize test-install test-ruby test-python test-book fault-kernel memory images full-disk power-cut  ## what cargo test leaves out

$(B)/tests/%: tests/c/%.c $(wildcard tests/c/*.h) include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CC) $(CSTD) -Werror $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

$(B)/tests/%-static: tests/c/%.c $(wildcard tests/c/*.h) include/kv.h $(B)/libkv.a
	@mkdir -p $(B)/tests
	$(CC) $(CSTD) -Werror $(CFLAGS) -Iinclude -o $@ $< $(B)/libkv.a $(PRIVLIBS)

$(B)/tests/cpp: tests/c/cpp.cpp include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CXX) -std=c++11 $(WARN) -Werror $(CXXFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B))

$(B)/tests/hpp-%: tests/c/hpp.cpp include/kv.hpp include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CXX) -std=c++$* $(CXXWARN) -Werror $(CXXFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

# Exported by the library = listed in kv.map, with the version of its node = declared in kv.h. A name that stands in two
# nodes is exported twice; the later is what new programs get.
check-symbols: $(SO)                 ## compare libkv.so, kv.map and kv.h
	@$(NM) -D --defined-only $(SO) | awk '$$2 == "T" { print $$3 }' | LC_ALL=C sort > $(B)/so.sym
	@awk '$$1 ~ /^KV_[0-9]+$$/ { node = $$1 } \
	  $$1 ~ /^kv_[a-z0-9_]+;$$/ { name = substr($$1, 1, length($$1) - 1); \
	    if (name in last) print name "@" last[name]; last[name] = node } \
	  END { for (name in last) print name "@@" last[name] }' $(MAP) | LC_ALL=C sort > $(B)/versions.sym
	@sed 's/@.*//' $(B)/versions.sym | LC_ALL=C sort -u > $(B)/map.sym
	@sed -n 's/^KV_API.*[ *]\(kv_[a-z0-9_]*\)(.*/\1/p' $(HEADER) | LC_ALL=C sort > $(B)/header.sym
	@diff $(B)/map.sym $(B)/header.sym || { echo "$(MAP) and $(HEADER) differ"; exit 1; }
	@diff $(B)/versions.sym $(B)/so.sym || { echo "$(MAP) and libkv.so differ"; exit 1; }
	@! grep -E '^KV_API kv_status (kv_(db_)?(put|insert|replace|reserve|delete|take|write)|kv_cursor_(put|delete)|kv_table_(create|rename|clear|drop|set)|kv_snapshot_|kv_history|kv_revert|kv_reclaim|kv_compact)' \
	  $(HEADER) || { echo "calls that write have #[must_use] in capi/, which is KV_MUST_CHECK"; exit 1; }
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

files: all                           ## links, renamed, foreign and copied files, descriptors, permissions, limits
	@$(TRIAL) files "--test files --test copies --test opening --test surroundings --test limits --test mounts \
	  --test file_limits --test while_opening -- --nocapture"

differences:                         ## differences of states against those of maps, in 10,000 random histories
	@KV_DIFFERENCES=$${KV_DIFFERENCES:-10000} $(TRIAL) differences "--test difference -- --nocapture"

models:                              ## orders of accesses to the shared words, tried by a scheduler
	@CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/models \
	  $(TRIAL) models "--release --manifest-path tests/models/Cargo.toml -- --nocapture"

power-cut:                           ## power cuts on ext4, ext4 with fast_commit, xfs (root)
	@MOUNTS=1 $(TRIAL) power-cut "--test power_cut -- --include-ignored --nocapture"

full-disk:                           ## disks that run full at many sizes, size limits, read-only file systems (root)
	@MOUNTS=1 $(TRIAL) full-disk "--test full_disk -- --include-ignored --nocapture"

fault-kernel: all $(B)/tests/workload ## each system call of a workload fails, once and for ever (strace)
	@sh scripts/test-faults.sh $(abspath $(B))

memory: all $(B)/tests/memory        ## memory that the system refuses: every function, single requests and all
	@sh scripts/test-memory.sh $(abspath $(B))

$(B)/tests/memory: tests/faults/memory.c $(wildcard tests/faults/*.h) include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CC) $(CSTD) -Werror $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

images: all $(B)/tests/images        ## images of what power cuts leave of the shipped library's database
	@sh scripts/test-images.sh $(abspath $(B))

$(B)/tests/workload $(B)/tests/images: $(B)/tests/%: tests/faults/%.c include/kv.h $(SO)
	@mkdir -p $(B)/tests
	$(CC) $(CSTD) -Werror $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B)) -lpthread

sanitize: all                        ## the tests under the address and the thread sanitizer
	@CARGO="$(CARGO)" CARGOFLAGS="$(CARGOFLAGS)" sh scripts/test-sanitizers.sh $(SANITIZE)

# Another seed each time; those of a failure are printed. SOAK=10 is some hours, and for ever with ROUNDS=0.
SOAK   ?= 10
ROUNDS ?= 1
soak: all                            ## all of these SOAK (10) times as large, with other seeds, ROUNDS (1) times
	n=0; while [ $(ROUNDS) = 0 ] || [ "$$n" -lt $(ROUNDS) ]; do \
	  n=$$((n + 1)); seed=$$(date +%s); echo "round $$n, KV_SEED=$$seed"; \
	  KV_SEED=$$seed KV_CRASH_SEED=$$seed KV_CRASH_POINTS=$(SOAK)000000 KV_FAULT_SEEDS=$(SOAK) \
	  KV_ALLOCATIONS=$$((150 * $(SOAK))) KV_ROT_BYTES=$(SOAK)0000000 KV_ROT_RUNS=$(SOAK)000 \
	  KV_FUZZ_SECONDS=$$((60 * $(SOAK))) KV_KILLS=$(SOAK)000 KV_WRITE_LOCKS=$$((20 * $(SOAK))) \
	  KV_ISOLATION_SECONDS=$$((60 * $(SOAK))) KV_MODEL_SCHEDULES=$$((3000 * $(SOAK))) \
	  KV_SEVERAL=$(SOAK)00 KV_DIFFERENCES=$(SOAK)0000 KV_IMAGES=$(SOAK)0000 KV_POWER_CUTS=$(SOAK)00 KV_FULL_DISKS=$(SOAK)00 \
	  KV_REFUSALS=$$((30 * $(SOAK))) SANITIZE="address thread inside" \
	    $(MAKE) --no-print-directory crash-sim fault bit-rot fuzz kill isolation differences models images sanitize power-cut full-disk memory \
	      test-reproducible || exit 1; \
	  $(MAKE) --no-print-directory test-targets ALL=1 || exit 1; done

python: $(SO) $(STRIPPED) $(B)/libkv.a $(B)/kv.pc ## the wheels of the Python package, bindings/python, in build/python
	@B=$(abspath $(B)) PYTHON="$(PYTHON)" CC="$(CC)" sh scripts/python.sh wheel

test-python: python                  ## install a wheel into a fresh environment and test it with both back ends
	@B=$(abspath $(B)) PYTHON="$(PYTHON)" sh scripts/python.sh test

test-install: all                    ## what is installed, and programs that use it, as README tells
	@B=$(abspath $(B)) CC="$(CC)" MAKE="$(MAKE)" sh scripts/test-install.sh

test-ruby: all                       ## the gem of bindings/ruby: its tests, rubocop, and the gem as it is installed
	@B=$(abspath $(B)) sh scripts/test-ruby.sh

book:                                ## the book of docs/book, into build/book (with MkDocs, which pip fetches)
	@mkdir -p $(B)
	@B=$(abspath $(B)) PYTHON="$(PYTHON)" sh scripts/book.sh

man: $(B)/man/made                   ## man pages of every function of kv.h and of the file format, into build/man
	@echo "man -l $(B)/man/man3/kv.3"

$(B)/man/made: scripts/man.py include/kv.h docs/format.md
	@mkdir -p $(B) && rm -rf $(B)/man && $(PYTHON) scripts/man.py $(B)/man && touch $@

test-book: all python               ## every snippet of the book, its list of statuses, its links; man pages
	@B=$(abspath $(B)) CC="$(CC)" CXX="$(CXX)" PYTHON="$(PYTHON)" sh scripts/test-book.sh

test-reproducible:                   ## two builds in two directories are the same, byte for byte (minutes)
	@mkdir -p $(B)
	@B=$(abspath $(B)) MAKE="$(MAKE)" sh scripts/test-reproducible.sh

# Makes a root with Debian trixie below TARGETS_DIR, and keeps it. ALL=1 also runs tests of Rust: on i386 all of them.
TARGETS     ?= i386 s390x arm64 armhf ppc64el riscv64
TARGETS_DIR ?= $(B)/targets
test-targets: $(B)/libkv.a           ## the oldest Rust, and other machines (root; TARGETS="i386 s390x" chooses)
	@B=$(abspath $(B)) KV_TARGETS=$(abspath $(TARGETS_DIR)) CARGO="$(CARGO)" ALL=$(or $(ALL),0) \
	  sh scripts/test-targets.sh $(TARGETS)

# ---- the sources -------------------------------------------------------------------------------------------

header:                              ## regenerate include/kv.h from capi/
	KV_HEADER=write $(CARGO) check $(CARGOFLAGS) -p kv-capi --features header

check-header:                        ## fail if include/kv.h is not what capi/ says
	KV_HEADER=check $(CARGO) check $(CARGOFLAGS) -p kv-capi --features header

check-abi abi:                       ## compare the binary interface with abi/libkv.abi; `make abi` records it there
	@B=$(abspath $(B)) MAKE="$(MAKE)" VERSION=$(VERSION) PYTHON="$(PYTHON)" TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/abi \
	  ABI_DO=$(if $(filter abi,$@),record,check) sh scripts/check-abi.sh

check-api api:                       ## compare the public items of the crate with abi/keelkv.txt; `make api` records them
	@B=$(abspath $(B)) CARGO="$(CARGO)" CARGOFLAGS="$(CARGOFLAGS)" TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/api \
	  API_DO=$(if $(filter api,$@),record,check) sh scripts/check-api.sh

test-abi:                            ## what check-abi finds, in a copy of the sources (minutes)
	@mkdir -p $(B)
	@B=$(abspath $(B)) MAKE="$(MAKE)" sh scripts/test-abi.sh

lint:                                ## rustfmt, clippy, rustdoc: all without a warning
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGOFLAGS) --workspace --all-targets -- -D warnings
	# As others build it: without the feature that shows the rooms to the tests.
	$(CARGO) clippy $(CARGOFLAGS) -p kv-capi -p keelkv-cli -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CARGOFLAGS) --workspace --no-deps

# ---- releasing ----------------------------------------------------------------------------------------------

dist:                                ## archives of a release, with and without the crates, and their checksums
	B=$(B) CARGO="$(CARGO)" sh scripts/release.sh

test-dist:                           ## both archives can be made, are the same twice, and build without a network
	B=$(abspath $(B)) CARGO="$(CARGO)" MAKE="$(MAKE)" sh scripts/test-dist.sh

deb:                                 ## Debian packages of what is committed, in build/deb
	@CARGO="$(CARGO)" PYTHON="$(PYTHON)" sh scripts/deb.sh source $(B)/deb
	@sh scripts/deb.sh build $(B)/deb

deb-copyright:                       ## write debian/copyright, from what the crates of Cargo.lock state
	@CARGO="$(CARGO)" $(PYTHON) scripts/debian-copyright.py >debian/copyright.new
	@mv debian/copyright.new debian/copyright

# Makes roots with Debian trixie below TARGETS_DIR, and keeps them.
test-deb:                            ## Debian packages are built, looked at, installed, used and removed in clean roots (root)
	@B=$(abspath $(B)) KV_TARGETS=$(abspath $(TARGETS_DIR)) CARGO="$(CARGO)" PYTHON="$(PYTHON)" sh scripts/test-deb.sh

bench: all                           ## libkv and LMDB side by side (bench/README.md); BENCH_SCALE=0.1 is quick
	$(MAKE) -C bench

bench-all: all                       ## libkv and every other engine, then docs/benchmarks.md; hours at full scale
	$(MAKE) -C bench all-engines

micro:                               ## micro-benchmarks (CONTRIBUTING.md); MICRO="--quick leaf_" and the like choose
	CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/micro \
	  $(CARGO) bench $(CARGOFLAGS) --manifest-path micro/Cargo.toml -- $(MICRO)

count: $(B)/bench/count              ## instructions of common calls beside bench/instructions.txt; COUNT=record, lmdb
	B=$(abspath $(B)) CC="$(CC)" VALGRIND="$(VALGRIND)" COUNT=$(or $(COUNT),check) sh scripts/count-instructions.sh

$(B)/bench/count: bench/count.c bench/count.h include/kv.h $(SO)
	@mkdir -p $(B)/bench
	$(CC) $(CSTD) $(CFLAGS) -Iinclude -o $@ $< -L$(B) -lkv -Wl,-rpath,$(abspath $(B))

# ---- installing ---------------------------------------------------------------------------------------------

# Blanks would divide a path, and `uninstall` would remove what has the name of its first part.
PLACES := DESTDIR PREFIX LIBDIR INCLUDEDIR PCDIR CMAKEDIR BINDIR MANDIR BASHDIR ZSHDIR FISHDIR
check-places:
	@$(foreach place,$(PLACES),$(if $(filter-out 0 1,$(words $($(place)))),echo "$(place) is \"$($(place))\": make cannot \
	  install into a path with blanks; give another one" >&2; exit 1;)) :

# Writes nothing but what is installed: whoever installs may be root, whose files the next `make` could not replace.
install: check-places $(SO) $(STRIPPED) $(B)/libkv.a $(COMMAND) $(MANUALS) ## into DESTDIR, PREFIX, LIBDIR
	$(INSTALL) -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(PCDIR) $(DESTDIR)$(CMAKEDIR)
ifeq ($(SPLIT_DEBUG),0)
	$(INSTALL) -m 0755 $(SO) $(DESTDIR)$(LIBDIR)/
else
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/.debug
	$(INSTALL) -m 0755 $(STRIPPED) $(DESTDIR)$(LIBDIR)/
	$(INSTALL) -m 0644 $(DEBUGFILE) $(DESTDIR)$(LIBDIR)/.debug/
endif
	ln -sf libkv.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libkv.so.$(ABI)
	ln -sf libkv.so.$(ABI) $(DESTDIR)$(LIBDIR)/libkv.so
	$(INSTALL) -m 0644 $(B)/libkv.a $(DESTDIR)$(LIBDIR)/
	$(INSTALL) -m 0644 include/kv.h include/kv.hpp $(DESTDIR)$(INCLUDEDIR)/
	$(FILL_IN) kv.pc.in >$(DESTDIR)$(PCDIR)/kv.pc && chmod 644 $(DESTDIR)$(PCDIR)/kv.pc
	for file in kv-config.cmake kv-config-version.cmake; do \
	  $(FILL_IN) cmake/$$file.in >$(DESTDIR)$(CMAKEDIR)/$$file && chmod 644 $(DESTDIR)$(CMAKEDIR)/$$file || exit 1; done
ifneq ($(COMMAND),)
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	$(INSTALL) -m 0755 $(if $(filter 0,$(SPLIT_DEBUG)),$(RUSTCLI),$(B)/kv) $(DESTDIR)$(BINDIR)/kv
	$(INSTALL) -m 0644 $(B)/share/man1/*.1 $(DESTDIR)$(MANDIR)/man1/
	$(INSTALL) -m 0644 $(B)/share/kv $(DESTDIR)$(BASHDIR)/
	$(INSTALL) -m 0644 $(B)/share/_kv $(DESTDIR)$(ZSHDIR)/
	$(INSTALL) -m 0644 $(B)/share/kv.fish $(DESTDIR)$(FISHDIR)/
endif
ifneq ($(MANUALS),)
	$(INSTALL) -d $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man5
	$(INSTALL) -m 0644 $(B)/man/man3/*.3 $(DESTDIR)$(MANDIR)/man3/
	$(INSTALL) -m 0644 $(B)/man/man5/*.5 $(DESTDIR)$(MANDIR)/man5/
endif
	@[ -n "$(DESTDIR)" ] || echo "So that programs find libkv.so.$(ABI) in $(LIBDIR): run ldconfig as root, if the loader" \
	  "looks there; otherwise link them with -Wl,-rpath,$(LIBDIR)."

uninstall: check-places              ## what install installed
	rm -f $(DESTDIR)$(LIBDIR)/libkv.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libkv.so.$(ABI) $(DESTDIR)$(LIBDIR)/libkv.so \
	  $(DESTDIR)$(LIBDIR)/libkv.a $(DESTDIR)$(INCLUDEDIR)/kv.h $(DESTDIR)$(INCLUDEDIR)/kv.hpp $(DESTDIR)$(PCDIR)/kv.pc \
	  $(DESTDIR)$(CMAKEDIR)/kv-config.cmake $(DESTDIR)$(CMAKEDIR)/kv-config-version.cmake \
	  $(DESTDIR)$(LIBDIR)/.debug/libkv.so.$(VERSION).debug
	rm -f $(DESTDIR)$(BINDIR)/kv $(DESTDIR)$(BASHDIR)/kv $(DESTDIR)$(ZSHDIR)/_kv $(DESTDIR)$(FISHDIR)/kv.fish \
	  $(patsubst %,$(DESTDIR)$(MANDIR)/man1/%,$(notdir $(wildcard $(B)/share/man1/*.1))) \
	  $(patsubst $(B)/man/%,$(DESTDIR)$(MANDIR)/%,$(wildcard $(B)/man/man3/*.3 $(B)/man/man5/*.5))
	for dir in $(DESTDIR)$(LIBDIR)/.debug $(DESTDIR)$(CMAKEDIR); do \
	  [ ! -d $$dir ] || rmdir --ignore-fail-on-non-empty $$dir || exit 1; done

clean:                               ## remove build/ and cargo's output
	rm -rf $(B)
	$(CARGO) clean
