# One word per job; each makes or refreshes .venv first.
#   make demo    simulate, train, reconstruct and evaluate; minutes on two cores
#   make test    the tests          make slow   the long tests as well
#   make check   style and layers   make bench  the benchmarks; make bench-grouping,
#                bench-reconstruction: one of them
#                (which also installs pty-chi, the peer)
#   make docs    the commands that the documents name exist
#   make clean   remove what these made, .venv included

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEER := .venv/.peer
DEMO := runs/demo
EPOCHS ?= 6

# Small arrays: threads cost more than they bring, and two test processes share the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest

.PHONY: demo test check slow bench bench-grouping bench-reconstruction docs clean
.DELETE_ON_ERROR:

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/ptycho simulate --preset demo --output $(DEMO)/scan.npz
	$(BIN)/ptycho_train --train_data_file $(DEMO)/scan.npz --gridsize 2 --n_images 648 --nepochs $(EPOCHS) --output_dir $(DEMO)/model
	$(BIN)/ptycho_inference --model_path $(DEMO)/model --test_data $(DEMO)/scan.npz --comparison_plot --output_dir $(DEMO)/object
	$(BIN)/ptycho evaluate --reconstruction $(DEMO)/object --truth $(DEMO)/scan.npz --output_dir $(DEMO)/evaluation
	@echo "The demo lies in $(DEMO): look at object/comparison_plot.png first"

test: $(READY)
	$(PYTEST) -q -m "not slow" -n 2 --dist loadfile

slow: $(READY)
	$(PYTEST) -q --durations 10

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

bench: bench-grouping $(READY)
	$(BIN)/python benchmarks/networks.py

bench-grouping: $(READY)
	$(BIN)/python benchmarks/grouping.py

$(PEER): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[refine]'
	@# The torchvision of PyPI does not load beside a CPU build of torch; nothing here needs it.
	$(BIN)/python -c 'import torchvision' 2>/dev/null || $(BIN)/python -m pip uninstall --quiet --yes torchvision
	touch $@

bench-reconstruction: $(PEER)
	$(BIN)/python benchmarks/reconstruction.py --reduced

docs: $(READY)
	$(PYTEST) -q tests/test_docs.py

clean:
	rm -rf .venv build dist runs .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find ptycho tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
