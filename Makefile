# Everything a contributor needs; `make` alone lists it. Set-up happens by itself where a target needs it.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo starter test check format lock clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(READY) ## make .venv and install Myna with all it needs, in locked versions

$(READY): pyproject.toml requirements.lock scripts/create-venv.sh scripts/install.py
	@scripts/create-venv.sh $(VENV)
	@$(BIN)/python scripts/install.py
	@touch $@

demo: $(READY) ## the whole story on the model that comes along: data, scores, training, asking, fusing
	@$(BIN)/myna demo build/demo

starter: $(READY) ## train the starter model anew, in about five hours; DATA=folder of the data sets
	@recipes/starter/make.sh $(DATA)

# Tests run tiny models: more than one thread costs more than it gives.
test: $(READY) ## run the tests; SLOW=1 runs the slow ones too
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(if $(SLOW),,-m "not slow")

check: $(READY) ## formatter, linter, type checker, import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY) ## write requirements.lock anew from pyproject.toml, in the newest versions
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra torch --extra sql --extra mlx --extra dev --upgrade \
		--config-file scripts/lock.toml --custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml

clean: ## remove everything that was made, .venv and build/ included; runs/ stays
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
