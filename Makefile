# make demo   trains, evaluates and predicts on the built-in street scenes
# make test   runs the tests
# Both make their own .venv first.

VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
READY := $(VENV)/ready

.PHONY: demo test test-slow test-fuzz test-cpus test-faults test-gpu-path test-pythons test-wheel bench docs lint format clean

# what `make test` runs: make test T=tests/models
T := tests

# The picture is twice as large as the scenes that the network sees in training, hence --scales.
demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/mxnetseg predict --checkpoint streets demo/photo.jpg --side-by-side --alpha 0.6 --out $(DEMO)/streets
	$(BIN)/mxnetseg train --config configs/synthetic/demo.yaml --out $(DEMO)/train
	$(BIN)/mxnetseg eval --checkpoint $(DEMO)/train/best.params --mode val --ms --out $(DEMO) \
		--predictions --metrics boundary_iou boundary_distance calibration bootstrap
	$(BIN)/mxnetseg predict --checkpoint $(DEMO)/train/best.params demo/street.jpg --scales 0.5 --flip --out $(DEMO)
	$(BIN)/mxnetseg report $(DEMO)
	@echo
	@echo "a page to look at    $(DEMO)/report.html"
	@echo "scores               $(DEMO)/results.json"
	@echo "coloured predictions $(DEMO)/color/"
	@echo "a drawn street       $(DEMO)/overlay/street.png"
	@echo "a photograph         $(DEMO)/streets/overlay/photo.png"

# Two processes of one thread each: the tests' networks are too small to share out one layer.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(T)

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# Under the instruction sets of other processors, as far as this one has them.
test-cpus: $(READY)
	tests/cpus.sh $(BIN)/python $(T)

# Kills, signals and full disks at random moments.
test-faults: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults tests/training/test_kills.py

# CPU contexts take the ways of GPUs.
test-gpu-path: $(READY)
	MXNETSEG_GPU_PATH=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal \
		tests/losses tests/training tests/inference tests/test_runtime.py tests/test_smoke.py

# 1,000 damaged images, masks, configurations and checkpoints each.
test-fuzz: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow tests/test_fuzz.py

test-pythons:
	tests/pythons.sh

# The wheel, in empty environments.
test-wheel:
	tests/wheel.sh

# Against GluonCV, the usual way of many rows.
bench: $(VENV)/gluoncv
	$(BIN)/python -m tests.benchmarks

# The pages that follow from the code.
docs: $(READY)
	$(BIN)/python docs/generate.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO)

# A file that is there when the environment is complete: an interrupted installation starts anew.
$(READY): pyproject.toml requirements.txt tests/find_python.sh
	@python="$$(tests/find_python.sh)" && rm -rf $(VENV) && "$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt mxnet
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -e .[dev,safetensors]
	@touch $@

$(VENV)/gluoncv: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -e .[gluoncv]
	@touch $@
