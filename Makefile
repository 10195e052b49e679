# make demo: trains a small model and shows it.   make test: every check, the same for a person and CI.
.PHONY: demo test check format sanitize clean

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

demo: .venv/.installed
	$(BIN)/unspool demo

test: .venv/.developing check
	$(BIN)/python -m pytest

check: .venv/.developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/.developing
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The native engine's tests with a library that checks addresses (of whole buffers) and undefined operations.
sanitize: .venv/.developing
	$(BIN)/python -m pip install --quiet --target .sanitize/tools cmake ninja
	PYTHONPATH=.sanitize/tools .sanitize/tools/bin/cmake -S . -B .sanitize -G Ninja -DUNSPOOL_SANITIZE=ON \
		-DCMAKE_MAKE_PROGRAM=$(CURDIR)/.sanitize/tools/bin/ninja -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	PYTHONPATH=.sanitize/tools .sanitize/tools/bin/cmake --build .sanitize
	UNSPOOL_LIBRARY=.sanitize/libunspool.so LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 $(BIN)/python -m pytest tests/engines tests/layers -k "not compile"

clean:
	rm -rf .venv .sanitize

# The library is built by the install, so what it is made of stands here.
.venv/.installed: pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/* src/unspool/cells/*.py src/unspool/equations/*.py)
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/.developing: .venv/.installed
	$(PIP) --editable '.[dev]'
	@touch $@
