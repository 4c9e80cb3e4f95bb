# SPDX-License-Identifier: Apache-2.0
#
# The verbs of this project. Meson does the work; `make help` lists what there is.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
MODEL   ?=
PROMPT  ?=
FUZZ_SECONDS ?= 60

SHELL = /bin/bash
.SHELLFLAGS = -o pipefail -c

MESON = meson
NINJA = ninja

.DEFAULT_GOAL := all
.PHONY: all run test asan tsan fuzz soak bench lint fmt install clean help setup

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run MODEL=path/to/model.gguf PROMPT='Why is the sky blue?'"
	@echo "  make install PREFIX=/usr DESTDIR=/tmp/image"

setup:
	@tools/setup.sh

$(BUILD)/build.ninja: | setup
	@$(MESON) setup $(BUILD) --prefix=$(PREFIX) -Dtests=false >$(BUILD).log 2>&1 \
	    || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

all: $(BUILD)/build.ninja ## build build/docker-model, build/model-runner, build/model-engine
	@$(NINJA) -C $(BUILD) --quiet | sed '/^ninja: no work to do/d'

run: all ## answer PROMPT with MODEL (a .gguf file or a model's name; the built-in demo by default)
	@tools/run.sh $(BUILD) "$(MODEL)" "$(PROMPT)"

test: ## build with tests and run everything; ends with "N passed, N failed"
	@tools/setup.sh --test
	@tests/run $(BUILD)

asan: ## the tests of C code under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/setup.sh --test
	@tests/run $(BUILD)-asan --sanitize=address,undefined

tsan: ## the tests of C code under ThreadSanitizer
	@tools/setup.sh --test
	@tests/run $(BUILD)-tsan --sanitize=thread

fuzz: ## run every fuzz target for FUZZ_SECONDS (60)
	@tools/setup.sh --test
	@tools/fuzz.sh $(BUILD)-fuzz $(FUZZ_SECONDS)

soak: all ## kill two runners on one store 300 times, and look at the store every time
	@tools/setup.sh --test
	@MR_BUILD=$(abspath $(BUILD)) tests/soak/run.py --kills 300

bench: all ## measure the kernels and the engine on this machine
	@bench/run.sh $(BUILD)

lint: ## formatting, imports between folders, spelling of SPDX lines, static analysis
	@tools/setup.sh --test
	@tools/lint.sh

fmt: ## format the C sources
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: all ## install below DESTDIR/PREFIX
	@$(MESON) configure $(BUILD) --prefix=$(PREFIX)
	@DESTDIR=$(DESTDIR) $(MESON) install -C $(BUILD) --quiet

clean: ## remove what was built
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
