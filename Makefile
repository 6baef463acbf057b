# pintle: `make help` lists what there is to make. GNU make, a POSIX shell, and Rust; what is missing for the static
# binary, cross/toolchain installs (as root on Debian) or names.

DESTDIR ?=
PREFIX ?= /usr
BINDIR ?= $(PREFIX)/sbin

B := build
CARGO_OUT := $(B)/cargo
PROGRAMS := $(patsubst tests/programs/%.c,$(B)/programs/%,$(wildcard tests/programs/*.c))
# The cargo of the tests: this machine's own target, debug. The binary's is in build/toolchain.
CARGO ?= cargo
export CARGO_TERM_PROGRESS_WHEN ?= never

all: $(B)/pintle $(PROGRAMS)

help:
	@echo 'make                 build/pintle (static, musl, stripped) and the small test programs in build/programs'
	@echo 'make install         one file and its links, under DESTDIR= PREFIX= ($(PREFIX)) BINDIR= ($(BINDIR)); uninstall'
	@echo 'make check           everything that must hold: format, lints, library tests, black-box tests'
	@echo 'make sim             worlds from seeds, one thousand after the other, until one breaks or you stop it; FIRST=0'
	@echo 'make explore         every state of every small graph: hours; ended, it goes on there with the same sources'
	@echo 'make torture         the supervisor crashes behind each of its system calls, once and twice; the logger is killed in 100 MB'
	@echo 'make mutants         bugs made on purpose, one after the other: each has to be found'
	@echo 'make demo            a small machine comes up, changes and goes down, in its own namespaces; KEEP=1: a shell in it'
	@echo 'make bench           the numbers, against a bare spawn loop and other service managers that are installed'
	@echo 'make size            size of the binary by area and symbol, and what changed; size-baseline keeps this one'
	@echo 'make size-profiles   size of the binary by compiler settings'
	@echo 'make clean           removes build/ and target/'

# What builds the binary, found once: shell assignments. RELOCATION=pie (a static PIE) and LIBRARY=built (core and alloc
# as they come, though their source is there) are taken from the environment.
$(B)/toolchain: cross/toolchain Makefile
	@mkdir -p $(B)
	@sh cross/toolchain $(B) >$@.new
	@mv $@.new $@

# cargo knows what has changed; the copies change only when the binary does. pintle.symbols is the same program with its
# symbol table, for `make size` and gdb.
$(B)/pintle: $(B)/toolchain FORCE
	@. ./$(B)/toolchain && $$CARGO build --release --locked --bin pintle --target-dir $(CARGO_OUT) $$CARGO_ARGS
	@. ./$(B)/toolchain && new=$(CARGO_OUT)/$$TARGET/release/pintle && \
		if ! cmp -s $$new $(B)/pintle.symbols || [ ! -e $@ ]; then \
			cp $$new $(B)/pintle.symbols && strip -s -R .comment -o $@.new $$new && sh cross/drop-sections $@.new && mv $@.new $@ && \
			sh cross/is-static $(B)/pintle.symbols && wc -c $@; \
		fi

$(B)/programs/%: tests/programs/%.c tests/programs/common.h $(B)/toolchain
	@mkdir -p $(@D)
	@. ./$(B)/toolchain && echo "  CC $@" && $$PROGRAM_CC -std=c11 -Os -Wall -Wextra -static -s -o $@ $<

# The same program with another layout of the board, for the test that upgrades to it.
$(B)/programs/wide/pintle: $(B)/pintle
	@mkdir -p $(@D)
	@. ./$(B)/toolchain && $$CARGO build --release --locked --bin pintle --features wide --target-dir $(CARGO_OUT) $$CARGO_ARGS && \
		strip -s -o $@ $(CARGO_OUT)/$$TARGET/release/pintle

# A kernel and what else is booted with it, for the test that does.
$(B)/guest/vmlinuz: tests/guest/fetch
	@sh tests/guest/fetch $(B)/guest

# Links are relative, so that DESTDIR, chroots and images work.
install: $(B)/pintle
	install -d "$(DESTDIR)$(BINDIR)"
	install -m 755 $(B)/pintle "$(DESTDIR)$(BINDIR)/pintle"
	@$(B)/pintle --links | while read -r name; do \
		echo "ln -sf pintle $(DESTDIR)$(BINDIR)/$$name" && ln -sf pintle "$(DESTDIR)$(BINDIR)/$$name" || exit; done

# Removes only links that lead to pintle: another package may own the name by now.
uninstall: $(B)/pintle
	@$(B)/pintle --links | while read -r name; do \
		if [ "$$(readlink "$(DESTDIR)$(BINDIR)/$$name")" = pintle ]; then rm "$(DESTDIR)$(BINDIR)/$$name"; fi; done
	rm -f "$(DESTDIR)$(BINDIR)/pintle"

size: $(B)/pintle
	@sh cross/size report $(B)/pintle.symbols $(B)/pintle tests/bench/size-baseline.txt

size-baseline: $(B)/pintle
	@sh cross/size list $(B)/pintle.symbols $(B)/pintle >tests/bench/size-baseline.txt
	@head -n 1 tests/bench/size-baseline.txt

size-profiles: $(B)/toolchain
	@sh cross/size-profiles $(B)

check: all $(B)/programs/wide/pintle $(B)/guest/vmlinuz
	@sh tests/needs
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --locked --all-targets -- -D warnings
	@CARGO='$(CARGO)' PINTLE_BIN='$(CURDIR)/$(B)/pintle' PINTLE_PROGRAMS='$(CURDIR)/$(B)/programs' sh tests/run

FIRST ?= 0
sim:
	@first=$(FIRST); while PINTLE_SIM_FIRST=$$first PINTLE_SIM_SEEDS=1000 \
		$(CARGO) test --quiet --locked --profile simulate --features proof --example proof simulate::worlds -- --nocapture; do \
		first=$$((first + 1000)); done; exit 1

explore:
	PINTLE_EXPLORE=all PINTLE_EXPLORE_DONE='$(CURDIR)/$(B)/explored' \
		$(CARGO) test --quiet --locked --profile simulate --features proof --example proof explore -- --nocapture --test-threads=1

# The supervisor crashes behind each of its system calls in turn, and once more soon after.
torture: all $(B)/programs/wide/pintle
	PINTLE_TORTURE=1 PINTLE_BIN='$(CURDIR)/$(B)/pintle' PINTLE_PROGRAMS='$(CURDIR)/$(B)/programs' \
		$(CARGO) test --quiet --locked --test blackbox -- recovery::wherever logs::a_logger --nocapture

mutants:
	@CARGO='$(CARGO)' sh tests/mutate $(B)/mutants $(MUTANT)

demo: all
	@PINTLE_BIN='$(CURDIR)/$(B)/pintle' PINTLE_PROGRAMS='$(CURDIR)/$(B)/programs' KEEP='$(KEEP)' sh tests/demo/demo.sh

# The harness is a debug build: it waits and counts, the programs it measures are the release ones. The engine by itself
# is measured as it is shipped.
bench: all
	@over=0; PINTLE_BIN='$(CURDIR)/$(B)/pintle' PINTLE_PROGRAMS='$(CURDIR)/$(B)/programs' \
		$(CARGO) bench --quiet --locked --profile dev --bench bench -- $(BENCH) || over=1; \
		$(CARGO) bench --quiet --locked --bench engine || over=1; exit $$over

clean:
	rm -rf $(B) target

FORCE:
.PHONY: all help install uninstall size size-baseline size-profiles check sim explore torture mutants demo bench clean FORCE
.DELETE_ON_ERROR:
