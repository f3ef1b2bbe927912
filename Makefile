# make help says what there is. Wanted: Python 3.11 or 3.12 with venv and headers, g++, make, and what
# pip reaches; everything else, CMake too, is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
OUT ?= out
DATA ?= ../shared/data/synthetic_tabletop ../shared/data/ycb_tabletop
FRAMES_HZ ?= 30
SOAK ?=
KILLS ?=
FUZZ ?=
BACKENDS ?= lift,hull,alpha,poisson

# The CPU build of the pinned torch. For CUDA: export TORCH=torch==2.13.0 (or any other
# requirement, or pip's --index-url before it), then make env in a clone without .venv.
TORCH ?= $(shell sed -n 's/^torch==.*/&+cpu/p' constraints.txt)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

ifeq ($(strip $(VENV)),)
# make VENV= TARGET: the Python of the ROS environment that is sourced, after colcon build.
RUN := $(PYTHON)
READY :=
else
PREFIX := $(abspath $(VENV))
RUN := $(PREFIX)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check
READY := $(PREFIX)/interfaces.stamp
export PATH := $(PREFIX)/bin:$(PATH)
export AMENT_PREFIX_PATH := $(PREFIX)
export CMAKE_PREFIX_PATH := $(PREFIX)
# What a sourced ROS environment leaves behind would mix two ROS installations.
unexport PYTHONPATH PYTHONHOME RMW_IMPLEMENTATION _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifdef ROS_DISTRO
unexport LD_LIBRARY_PATH
endif
endif

INTERFACES := package.xml CMakeLists.txt setup.py setup.cfg pyproject.toml \
  $(wildcard cmake/*.cmake cmake/tf2_msgs/* cmake/tf2_msgs/msg/* msg/* srv/* action/* \
    config/* config/cameras/* launch/* scripts/*)

.PHONY: help env demo test lint format smoke bench soak fuzz evaluate clean

help:
	@echo "make env       .venv with everything, and nothing else"
	@echo "make demo      a rendered table top over DDS: node, replay, listener; results in $(OUT)/demo"
	@echo "make test      all tests"
	@echo "make lint      ruff, mypy, import directions"
	@echo "make format    let ruff format the code"
	@echo "make smoke     every stage of the training in minutes; fails unless each learns"
	@echo "make bench     times, memory and loss of the running node and of the models"
	@echo "make soak      20,000 frames at FRAMES_HZ=$(FRAMES_HZ), objects coming and going, then 50 deaths;"
	@echo "              SOAK=\"--frames N --warm N\" makes it shorter"
	@echo "make fuzz      10,000 hostile messages; FUZZ=\"--messages N --seconds S --seed K\""
	@echo "make evaluate  compare BACKENDS=$(BACKENDS)"
	@echo "              with the truth of DATA=$(DATA)"
	@echo "make clean     remove what was built, and .venv"
	@echo "make VENV= TARGET runs in the ROS environment that is sourced instead of .venv"

env: $(READY)

demo: $(READY)
	$(RUN) -m sam3d_ros.apps demo -o $(OUT)/demo

test: $(READY)
	$(RUN) -m pytest

lint: $(READY)
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	lint-imports

format: $(READY)
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

smoke: $(READY)
	rm -rf $(OUT)/smoke
	$(RUN) -m sam3d_ros.apps train all --preset smoke -o $(OUT)/smoke

bench: $(READY)
	$(RUN) -m sam3d_ros.apps bench -o $(OUT)/bench

soak: $(READY)
	$(RUN) -m sam3d_ros.apps soak --hz $(FRAMES_HZ) -o $(OUT)/soak $(SOAK)
	$(RUN) -m sam3d_ros.apps kills -o $(OUT)/kills $(KILLS)

fuzz: $(READY)
	$(RUN) -m sam3d_ros.apps fuzz -o $(OUT)/fuzz $(FUZZ)

evaluate: $(READY)
	$(RUN) -m sam3d_ros.apps evaluate $(DATA) --backend $(BACKENDS) -o $(OUT)/evaluate

clean:
	rm -rf build install log $(OUT) *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
ifneq ($(strip $(VENV)),)
	rm -rf $(PREFIX)
endif

ifneq ($(strip $(VENV)),)
$(PREFIX)/packages.stamp: constraints.txt cmake/preflight.py
	@$(PYTHON) cmake/preflight.py
	@echo "installing the packages of constraints.txt into $(VENV), some minutes"
	@$(PYTHON) -m venv $(PREFIX)
	@touch $(PREFIX)/COLCON_IGNORE
	@$(PIP) install -qq $(TORCH) 2>/dev/null || \
	  $(PIP) install --extra-index-url $(TORCH_INDEX) $(TORCH)
	@grep -v '^torch==' constraints.txt | $(PIP) install -qq --no-deps --requirement /dev/stdin
	@touch $@

# Editable: Python is taken from this folder, so that only what CMake builds needs this again.
$(PREFIX)/interfaces.stamp: $(PREFIX)/packages.stamp $(INTERFACES)
	@echo "building the messages into $(VENV)"
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@
endif
