# Targets; each creates or updates .venv first.
#   make demo    simulate, train, reconstruct and evaluate; minutes on two cores
#   make fast    unit tests in about a minute, without checking annotations
#   make test    tests              make slow   all tests
#   make check   style, imports, types;  make docs   commands named in the documents
#   make bench   benchmarks of networks and grouping; bench-grouping alone; bench-reconstruction,
#                which also installs pty-chi for comparison; bench-calibration, spoiled scans, hours;
#                bench-peers, other packages read our files, in an environment of their own (2 GB);
#                bench-alarms, warnings of ptycho inspect on good scans, half an hour;
#                bench-speed, the main loop against its Fourier transforms and pty-chi
#   make clean   remove all of these files, .venv included

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEER := .venv/.peer
PEERS := .venv/.peers
DEMO := runs/demo
EPOCHS ?= 6

# Small arrays: threads cost more than they gain, and two test processes share the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest
UNITS := $(addprefix tests/,physics grouping io metrics networks scan settings simulation)
# Checking every annotation on every call doubles the time of whole runs, so only tests that call
# functions on their own do it.
EXAMPLES := tests/test_python_api_examples.py
CHECKED := $(UNITS) $(addprefix tests/,engines learning runs) $(filter-out $(EXAMPLES),$(wildcard tests/test_*.py))
WHOLE := $(addprefix tests/,api calibration commands integration report view) $(EXAMPLES)
UNCHECKED := -o addopts="--import-mode=importlib --strict-markers --strict-config"
PARALLEL := -q -m "not slow" -n 2 --dist loadfile

.PHONY: demo fast test check slow bench bench-grouping bench-reconstruction bench-calibration bench-peers bench-alarms bench-speed docs clean
.DELETE_ON_ERROR:

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/ptycho simulate --preset demo --output $(DEMO)/scan.npz --overwrite
	$(BIN)/ptycho_train --train_data_file $(DEMO)/scan.npz --gridsize 2 --n_images 648 --nepochs $(EPOCHS) --output_dir $(DEMO)/model --overwrite
	$(BIN)/ptycho_inference --model_path $(DEMO)/model --test_data $(DEMO)/scan.npz --comparison_plot --output_dir $(DEMO)/object --overwrite
	$(BIN)/ptycho evaluate --reconstruction $(DEMO)/object --truth $(DEMO)/scan.npz --output_dir $(DEMO)/evaluation --overwrite
	@echo "The demo is in $(DEMO): see object/comparison_plot.png first"

fast: $(READY)
	$(PYTEST) -q -m "not slow" $(UNCHECKED) $(UNITS)

test: $(READY)
	$(PYTEST) $(PARALLEL) $(CHECKED); first=$$?; $(PYTEST) $(PARALLEL) $(UNCHECKED) $(WHOLE) && exit $$first

slow: $(READY)
	$(PYTEST) -q --durations 10

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: bench-grouping $(READY)
	$(BIN)/python benchmarks/networks.py

bench-grouping: $(READY)
	$(BIN)/python benchmarks/grouping.py

$(PEER): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[refine]'
	@# The torchvision of PyPI does not load with a CPU build of torch; nothing here needs it.
	$(BIN)/python -c 'import torchvision' 2>/dev/null || $(BIN)/python -m pip uninstall --quiet --yes torchvision
	touch $@

bench-reconstruction: $(PEER)
	$(BIN)/python benchmarks/reconstruction.py --reduced

bench-calibration: $(READY)
	$(BIN)/python benchmarks/calibration.py

$(PEERS)/.ready: $(READY)
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet 'torch>=2.6,<2.14' cdtools-py ptychodus pandas tqdm
	@# pty-chi also asks for torchvision, which does not load with a CPU build; nothing here needs it.
	$(PEERS)/bin/python -m pip install --quiet --no-deps ptychi
	touch $@

bench-peers: $(PEERS)/.ready
	$(BIN)/python benchmarks/peers_read.py

bench-speed: $(PEER)
	$(BIN)/python benchmarks/speed.py

bench-alarms: $(READY)
	$(BIN)/python benchmarks/false_alarms.py

docs: $(READY)
	$(PYTEST) -q tests/test_docs.py

clean:
	rm -rf .venv build dist runs .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find ptycho tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
