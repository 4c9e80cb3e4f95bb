#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# `make bench`: figures of this machine, for comparing two builds or two settings on it, in one run.
# Absolute figures of different days or machines say little: quote ratios. bench/README.md keeps some.
#
#   bench/run.sh BUILD_DIR
set -eu

build=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/model-runner-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

echo "== start of docker-model (milliseconds, 50 starts: least, median)"
python3 - "$build/docker-model" <<'PYTHON'
import subprocess, sys, time
def start():
    began = time.perf_counter()
    subprocess.run([sys.argv[1], "docker-cli-plugin-metadata"], stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - began)
times = sorted(start() for _ in range(50))
print(f"{times[0]:.1f}  {times[25]:.1f}")
PYTHON

echo "== kernels"
if [ -x "$build/tests/kernels/test_kernels" ]; then
    "$build/tests/kernels/test_kernels" --bench
else
    echo "(build with tests: make test)"
fi

echo "== engine: tokens/s, models with the shape of SmolLM2-135M and random weights"
for type in Q8_0 Q4_K F16; do
    if "$build/tools/make_tiny_model" --shape smollm2-135m --type "$type" "$work/m.gguf" >/dev/null 2>&1; then
        echo "$type"
        "$build/model-engine" bench --model "$work/m.gguf" -p 512 -n 128 -r 3 --json
    fi
done

echo "== tokenizers: MB/s on 1 MB of text; NODE_LLAMA_CPP=node_modules/node-llama-cpp puts llama.cpp beside"
shared=${MR_SHARED:-$(dirname "$0")/../../shared}/conformance/tokenizers
if [ -d "$shared" ] && [ -x "$build/bench/bench_tokenizer" ]; then
    "$(dirname "$0")/tokenizers.py" "$build" "$shared"/ggml-vocab-llama-bpe.gguf \
        "$shared"/ggml-vocab-qwen2.gguf "$shared"/ggml-vocab-llama-spm.gguf "$shared"/ggml-vocab-bert-bge.gguf \
        ${NODE_LLAMA_CPP:+--peer "$NODE_LLAMA_CPP"}
    echo "== grammars: masks over 128,256 tokens"
    "$build/bench/bench_grammar" "$shared/ggml-vocab-llama-bpe.gguf"
else
    echo "(the vocabularies of ../shared are not here)"
fi
