# A fresh machine needs Python 3.11 or newer and make, nothing else. `make` alone lists the targets.

# The first Python that is new enough and can make virtual environments.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

# Where to look for torch besides the default index, whose Linux builds bring gigabytes of CUDA.
TORCH_INDEX ?= $(shell [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 \
	&& echo https://download.pytorch.org/whl/cpu)

# How many files of tests, or notebooks, go side by side: each takes a core and up to 1.5 GB.
JOBS ?= 2

BIN := .venv/bin
READY := .venv/ready
NOTEBOOKS = $(sort $(wildcard notebooks/[0-9]*.ipynb))
SOLUTIONS = $(sort $(wildcard notebooks/solutions/*.ipynb))

.PHONY: help quickstart test lab pretrain notebooks solutions links
.DELETE_ON_ERROR:

help:
	@echo 'make quickstart   one clip in, its motion in new videos out: results in outputs/quickstart/'
	@echo 'make test         every test, and every notebook from top to bottom'
	@echo 'make lab          JupyterLab with the notebooks'
	@echo 'make pretrain     train the tiny cascade from nothing'
	@echo 'make notebooks    execute the notebooks anew and keep their text twins in step'
	@echo 'make solutions    write notebooks/solutions from the solutions in the notebooks'
	@echo 'make links        write links and badges for the address in pyproject.toml'
	@echo
	@echo 'PYTHON=...        the Python to build .venv with'
	@echo 'JOBS=...          how many tests and notebooks go side by side in make test'
	@echo 'TORCH_INDEX=...   where torch comes from; empty for the default index'

quickstart: $(READY)
	$(BIN)/python tools/notebooks.py run notebooks/00_quickstart.ipynb outputs/quickstart

test: $(READY)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile \
	--nbval-lax tests $(NOTEBOOKS) $(SOLUTIONS)

lab: $(READY)
	$(BIN)/jupyter lab --notebook-dir=notebooks

pretrain: $(READY)
	$(BIN)/vmc pretrain

notebooks: $(READY)
	$(BIN)/python tools/notebooks.py refresh $(NOTEBOOKS)
	$(BIN)/python tools/solutions.py $(NOTEBOOKS)

solutions: $(READY)
	$(BIN)/python tools/solutions.py $(NOTEBOOKS)

links: $(READY)
	$(BIN)/python tools/links.py README.md $(NOTEBOOKS)

# torch goes first and alone, so that its index serves nothing else.
$(READY): requirements.lock pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo 'No Python 3.11 or newer with the venv module was found:' \
	'install one (on Debian and Ubuntu also python3-venv), or name it with make PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --retries 2 $(addprefix --extra-index-url ,$(TORCH_INDEX)) \
	--no-deps $$(grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --requirement requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $@
