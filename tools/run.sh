#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# `make run`: answers one prompt through CLI, daemon and engine, and leaves nothing running that it
# started. A runner that is up already is used; else one is started on a private socket with a
# store of its own in the build directory.
#
#   tools/run.sh BUILD_DIR MODEL PROMPT      (MODEL or PROMPT may be empty)
set -eu

build=$1
model=${2:-}
prompt=${3:-}
[ -n "$model" ] || model="$build/tools/demo.gguf"
[ -n "$prompt" ] || prompt="Hello, who are you?"

private=""
runner=""
# Invoked below by the trap, on every way out.
finish() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$runner" ]; then
        kill -TERM "$runner" 2>/dev/null || true
        wait "$runner" 2>/dev/null || true
    fi
    [ -z "$private" ] || rm -rf "$private"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! "$build/docker-model" status >/dev/null 2>&1; then
    private=$(mktemp -d "${TMPDIR:-/tmp}/model-runner.XXXXXX")
    "$build/model-runner" serve --socket "$private/model-runner.sock" \
        --models-path "$build/run-models" --log-level warn 2>"$private/log" &
    runner=$!
    MODEL_RUNNER_HOST="unix://$private/model-runner.sock"
    export MODEL_RUNNER_HOST
    tries=0
    until "$build/docker-model" status >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$runner" 2>/dev/null; then
            echo "The runner did not start:" >&2
            cat "$private/log" >&2
            exit 1
        fi
        sleep 0.1
    done
fi

# What is piped into make is not for the model.
"$build/docker-model" run "$model" "$prompt" </dev/null
