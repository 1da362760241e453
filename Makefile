# Everything here works on a machine with no more than Python 3.11 and apt. `make demo` and `make test` are the two to know.

PYTHON ?= python3
PYTEST := .venv/bin/python -m pytest
PYTEST_ARGS ?=
BENCH_ARGS ?=
BENCH := $(PYTEST) -q tests/benchmarks --write

# What the tests use besides Python: a registry, bases, accounts, and other people's tools to read and run the results.
TEST_PACKAGES := attr busybox-static buildah debootstrap docker-registry git libcap2-bin nginx-light podman skopeo time tinyproxy uidmap
DEMO_PACKAGES := busybox-static docker-registry uidmap

.PHONY: help demo test test-all lint format bench bench-all clean

help:
	@echo "make demo      build and push examples/hello to a registry on this machine (KEEP=1 keeps the registry running)"
	@echo "make test      install what the tests need and run them"
	@echo "make test-all  the same with every combination and large inputs"
	@echo "make lint      ruff and mypy alone"
	@echo "make format    let ruff put the code into shape"
	@echo "make bench     five workloads beside Buildah, into docs/performance.md (BENCH_ARGS=\"--runs 5\")"
	@echo "make bench-all  caches, in place and growth, too"
	@echo "make clean     remove what the others made here"

demo: .venv/.installed
	scripts/packages $(DEMO_PACKAGES)
	scripts/demo

test: .venv/.installed-dev
	scripts/packages $(TEST_PACKAGES)
	$(PYTEST) -m "not large and not exhaustive" --durations=15 $(PYTEST_ARGS)

test-all: .venv/.installed-dev
	scripts/packages $(TEST_PACKAGES)
	$(PYTEST) --durations=25 $(PYTEST_ARGS)

lint: .venv/.installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/.installed-dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/.installed-dev
	scripts/packages $(TEST_PACKAGES)
	$(BENCH) -k table $(BENCH_ARGS)

bench-all: .venv/.installed-dev
	scripts/packages $(TEST_PACKAGES)
	$(BENCH) $(BENCH_ARGS)

.venv/.installed: pyproject.toml
	PYTHON="$(PYTHON)" scripts/venv .
	touch $@

.venv/.installed-dev: pyproject.toml
	PYTHON="$(PYTHON)" scripts/venv ".[dev]"
	touch $@ .venv/.installed

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- The builder's own images -------------------------------------------------------------------------------------

# Their tests need a container engine and what runs GitLab's jobs on it; npm may be of another source than Debian.
TEST_PACKAGES += docker.io musl-tools rsync strace $(if $(shell which npm),,npm)
IMAGE_FLAGS ?=

.PHONY: images

# Build the images and push them: make images REGISTRY=registry.example.com/group [IMAGE_FLAGS="--build-arg BASE=..."]
images: .venv/.installed
	@test -n "$(REGISTRY)" || { echo "error: say where they are pushed to: make images REGISTRY=..." >&2; exit 1; }
	for target in executor debug warmer; do \
		.venv/bin/builder --context . --dockerfile images/Dockerfile --target $$target \
			--destination $(REGISTRY)/builder:$$target $(IMAGE_FLAGS) || exit 1; \
	done

# --- Several platforms --------------------------------------------------------------------------------------------

# Commands for other processors are run under QEMU, which the tests register with the kernel themselves.
TEST_PACKAGES += qemu-user-static
