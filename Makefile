# make launch                                  the rehearsal: a whole recipe on this machine's CPU
# make launch RECIPE=gad-7b CLOUD=runpod       a recipe on rented GPUs
# make launch RECIPE=gad-tiny CLOUD=docker     in the recipe's image
# make image RECIPE=gad-7b PUSH=ghcr.io/acme   a recipe's image, built and pushed; make images: all of them
# make test                                    the tests
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
LANES ?= 3

hash = $(shell cat $(1) | sha256sum | cut -c1-16)
LIGHT := .venv/made-$(call hash,locks/launcher.lock)
CLOUDS := .venv/clouds-$(call hash,locks/launcher.lock locks/clouds.lock)
CPU := .venv-cpu/made-$(call hash,locks/cpu.lock)
GIVEN := $(if $(DATA),--data train=$(DATA)) $(if $(VAL),--data val=$(VAL)) $(ARGS)

# a cluster that SkyPilot holds allocations of
VIA_SKY = $(shell grep -qsE '\bvia"?: *"?sky' "$${XDG_CONFIG_HOME:-$$HOME/.config}/launcher/site.yaml" && \
  echo setup-clouds)
# the rehearsals of all families but gad, whose tests are the ones with kills and damage
FAMILIES := $(patsubst recipes/%/recipe.yaml,tests/rehearsal/test_%.py,$(filter-out recipes/gad/%,$(wildcard recipes/*/recipe.yaml)))
IMAGE := $(if $(VARIANT),--variant $(VARIANT)) $(if $(BASE),--base $(BASE)) $(if $(PUSH),--push $(PUSH))

.PHONY: launch plan image images setup setup-clouds setup-cpu lint test faults test-light test-clouds test-recipes \
  test-rehearsal test-families faults-runpod faults-lambda faults-here faults-launches faults-trainings check lock audit \
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

setup-cpu: setup $(CPU)

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

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# two at a time, on one Docker engine: rented machines mostly wait, trainings do not
test: setup setup-cpu setup-clouds
	.venv/bin/python -m tests.engine $(MAKE) --no-print-directory -j2 --output-sync=target \
	  test-clouds test-rehearsal test-light test-recipes test-families

test-light: setup-clouds
	.venv/bin/python -m pytest tests --ignore=tests/recipes --ignore=tests/rehearsal --ignore=tests/images \
	  --ignore=tests/clouds --ignore=tests/fuzz/recipes

test-clouds: setup-clouds
	.venv/bin/python -m pytest tests/images tests/clouds

test-recipes: setup-cpu
	.venv-cpu/bin/python -m pytest tests/recipes tests/fuzz/recipes

test-rehearsal: setup-cpu setup-clouds
	.venv/bin/python -m pytest tests/rehearsal $(addprefix --ignore=,$(FAMILIES))

test-families: setup-cpu
	.venv/bin/python -m pytest $(FAMILIES)

# all of what a test run takes by chance, LANES of five parts at a time; the fault matrix writes its page. It takes hours:
# CELLS=left goes on, with the cells that have not passed yet, and of each other part what failed, or all if it never ended
LEFT := $(filter left,$(CELLS))
faults: setup-cpu setup-clouds
	.venv/bin/python -m tests.engine $(MAKE) --no-print-directory -j$(LANES) --output-sync=target \
	  faults-runpod faults-lambda faults-here faults-launches faults-trainings

faults-%: export FAULTS = $(CELLS)
faults-%: export RELIABILITY = $(CURDIR)/docs/reliability.md
faults-launches faults-trainings: export FAULTS = all

# pytest's 5: none is left
faults-runpod faults-lambda: faults-%:
	.venv/bin/python -m pytest tests/clouds/test_matrix.py -k $* || [ $$? = 5 ]

faults-here:
	.venv/bin/python -m pytest tests/faults

# $(1): a name; $(2): a Python; $(3): tests
memory = .pytest_cache/faults-$(1)
part = $(if $(LEFT),[ -e $(memory)/passed ] ||,rm -rf $(memory);) { $(2) -m pytest -o cache_dir=$(memory) \
  $(if $(LEFT),--last-failed) $(3) && touch $(memory)/passed; }

faults-launches:
	$(call part,launches,.venv/bin/python,tests/clouds tests/rehearsal/test_kills.py tests/rehearsal/test_slurm.py \
	  tests/launcher/backends/test_slurm.py tests/launcher/backends/test_held.py --ignore=tests/clouds/test_matrix.py)

faults-trainings:
	$(call part,fuzz,.venv/bin/python,tests/fuzz --ignore=tests/fuzz/recipes)
	$(call part,trainings,.venv-cpu/bin/python,tests/recipes/*/test_training.py tests/fuzz/recipes)

check: lint test

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
	rm -rf .venv .venv-cpu .venv-bench runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
