# Every target does its own set-up; `make demo` and `make test` need nothing from apt.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STARTER := localai/infer/models/starter/starter.gguf

.PHONY: demo test prove bench check starter clean

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

clean:
	rm -rf $(VENV) build dist .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

build/venv-starter/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv build/venv-starter
	build/venv-starter/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[starter]'
	touch $@
