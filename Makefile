# Two commands are all: `make run` to see usher at work, `make test` to check it.

CARGO ?= cargo
# What the program says of itself.
USHER_COMMIT ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2> /dev/null)
# How long each fuzz target runs, in seconds.
FUZZ_SECONDS ?= 60

.PHONY: run release deb image sbom reproducible book test proof lint audit bench profile fuzz peers toolchain

# usher with sample users and three sample archive servers, on unprivileged ports.
run: toolchain
	$(CARGO) build --profile trial --no-default-features --package usher --package usher-tests --bin usher --bin quickstart
	./target/trial/quickstart

# The program that is given to others. The places of the source and of the crates are left out of it.
release: toolchain
	USHER_COMMIT=$(USHER_COMMIT) RUSTFLAGS="$(foreach place,$(PLACES),--remap-path-prefix=$(place))" CFLAGS="$(foreach place,$(PLACES),-ffile-prefix-map=$(place))" \
	    $(CARGO) build --release --locked --package usher --bin usher

PLACES = $(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo $(CURDIR)=/usher

# It is built twice, and compared.
reproducible: toolchain
	packaging/reproduce

# usher_*.deb and its debug symbols, in target/debian.
deb: release
	mkdir -p target/debian
	packaging/debian/build target/release/usher target/debian

# An image for containers, called usher:latest, by buildah.
image: release
	packaging/container/build target/release/usher usher:latest

# What usher is made of, as CycloneDX, and under which licences, in target/sbom.
sbom: toolchain
	command -v cargo-cyclonedx > /dev/null || $(CARGO) install --locked --quiet cargo-cyclonedx
	command -v cargo-deny > /dev/null || $(CARGO) install --locked --quiet cargo-deny
	mkdir -p target/sbom
	$(CARGO) cyclonedx --quiet --format json --spec-version 1.5 --manifest-path proxy/Cargo.toml --override-filename usher.cdx
	mv proxy/usher.cdx.json target/sbom/
	rm -f */usher.cdx.json
	$(CARGO) deny list --layout crate --format human > target/sbom/licences.txt
	echo "lit-html@3.3.3 (1): BSD-3-Clause, in the console" >> target/sbom/licences.txt

# The book, in target/book.
book: toolchain
	command -v mdbook > /dev/null || $(CARGO) install --locked --quiet mdbook
	for page in commands configuration; do \
	    $(CARGO) run --quiet --package usher --bin usher -- reference $$page > target/$$page.md && \
	    mv target/$$page.md docs/book/src/$$page.md || exit 1; \
	done
	mdbook build docs/book --dest-dir ../../target/book

# All tests, among them those with real mail servers and clients.
test: toolchain peers
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace

# What takes too long for every day: hundreds of crashes, moves by the ten thousand.
proof: toolchain peers
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --tests -- --ignored --nocapture --test-threads 1

lint: toolchain
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet
	$(CARGO) run --quiet --package usher-tests --bin structure

# What may come into the build: licences, banned crates, sources.
audit: toolchain
	command -v cargo-deny > /dev/null || $(CARGO) install --locked --quiet cargo-deny
	$(CARGO) deny check licenses bans sources

# What usher costs, by itself and side by side with others.
bench: toolchain
	./tests/install-peers bench
	$(CARGO) build --release --workspace --bins
	./target/release/bench

# What usher calls often at its daily work, for the compiler: see docs/decisions/0025-profile.md.
profile: toolchain
	./tests/install-peers bench
	USHER_COUNTING=1 CARGO_TARGET_DIR=$(COUNTING) $(CARGO) build --release --locked --package usher --bin usher
	rm -rf $(COUNTING)/calls
	USHER_PROGRAM=$(COUNTING)/release/usher LLVM_PROFILE_FILE=$(COUNTING)/calls/%p.profraw \
	    $(CARGO) run --package usher-benches --bin bench -- train
	$(LLVM_PROFDATA) merge --sparse --output=packaging/profile/usher.profdata $(COUNTING)/calls/*.profraw
	# Cargo does not see that crates from elsewhere would be other ones now.
	$(CARGO) clean --release

COUNTING = $(CURDIR)/target/counting
# Of the compiler's own LLVM or a later one: `rustup component add llvm-tools`.
LLVM_PROFDATA ?= $(shell rustc --print sysroot)/lib/rustlib/$(HOST)/bin/llvm-profdata

# Every fuzz target for FUZZ_SECONDS. libFuzzer's instrumentation is LLVM's own, so the stable compiler does.
fuzz: toolchain
	cd tests/fuzz && RUSTC_WRAPPER= RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --release --target $(HOST)
	for target in preauth sasl backend_reply tracker proxy_header http_request http_response http2_frames field path; do \
	    mkdir -p tests/fuzz/target/found/$$target; \
	    FUZZ_TARGET=$$target tests/fuzz/target/$(HOST)/release/fuzz -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 \
	        -artifact_prefix=tests/fuzz/target/ tests/fuzz/target/found/$$target tests/corpus/$$target || exit 1; \
	done

HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_FLAGS = --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

# The mail servers and clients that tests talk to, from the system's packages.
peers:
	./tests/install-peers

toolchain:
	@command -v $(CARGO) > /dev/null || { echo "Rust is missing; install it from https://rustup.rs"; exit 1; }
