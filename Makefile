# Every target does its own set-up; `make demo` and `make test` need nothing from apt.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STARTER := localai/infer/models/starter/starter.gguf

.PHONY: demo test prove bench check starter minilm clean

demo: $(VENV)/.ready
	$(BIN)/ai demo

test: $(VENV)/.ready
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile -m "not prove"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The full counts, and what needs Debian packages; a missing part fails.
prove: $(VENV)/.ready
	scripts/debian-packages
	PROVE=1 $(BIN)/pytest -n 2 --dist loadfile -m "prove or counted"

# Ratios measured in one run; run it on a quiet machine.
bench: $(VENV)/.ready
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/rag.py
	$(BIN)/python benchmarks/governance.py --only checks decisions million
	$(BIN)/python benchmarks/agent.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/serve.py --only approvals gateway

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Trains the chat model that ships, for an hour and more; run again, it goes on where it stopped.
starter: build/venv-starter/.ready
	build/venv-starter/bin/python training/starter/train.py --out build/starter
	build/venv-starter/bin/python training/starter/export.py --run build/starter $(STARTER)
	build/venv-starter/bin/python training/starter/evaluate.py

# Makes the wheel of the English embedding model that can be installed beside localai.
minilm: build/venv-minilm/.ready
	build/venv-minilm/bin/python training/embedding/minilm.py --out companions/minilm/localai_minilm/model
	cd companions/minilm && $(abspath build/venv-minilm/bin/python) -m hatchling build -t wheel -d $(abspath dist)

clean:
	rm -rf $(VENV) build dist companions/minilm/localai_minilm/model .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# GCC before 13.3 miscompiles llama.cpp's matrix tiles, and the first product of such a build crashes;
# pip may have kept one.
AMX := $(shell grep -qs amx_int8 /proc/cpuinfo && echo -mno-amx-int8)
FORGET = $(if $(AMX),-$(@D)/bin/python -m pip cache remove --quiet llama_cpp_python)
%/.ready: export CFLAGS += $(AMX)
%/.ready: export CXXFLAGS += $(AMX)

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(FORGET)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

build/venv-starter/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv build/venv-starter
	$(FORGET)
	build/venv-starter/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[starter]'
	touch $@

build/venv-minilm/.ready: training/embedding/requirements.txt
	$(PYTHON) -m venv build/venv-minilm
	build/venv-minilm/bin/python -m pip install --quiet --no-deps -r training/embedding/requirements.txt
	build/venv-minilm/bin/python -m pip install --quiet hatchling==1.33.0
	touch $@
