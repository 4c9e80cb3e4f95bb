#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# `make fuzz`: builds the libFuzzer targets with clang, AddressSanitizer and UBSan, and runs each of
# them for SECONDS on its corpus. New inputs stay in the build directory; a crash ends the run and
# its input is named.
#
#   tools/fuzz.sh BUILD_DIR SECONDS [TARGET...]
set -eu

build=$1
seconds=$2
shift 2

if [ ! -f "$build/build.ninja" ]; then
    CC=clang meson setup "$build" --buildtype=debugoptimized -Dfuzz=true -Dtests=false \
        -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
fi
ninja -C "$build" --quiet

targets=${*:-$(cd "$build/fuzz" && ls fuzz_* | grep -v '\.p$' | grep -v '\.')}
for target in $targets; do
    name=${target#fuzz_}
    found="$build/corpus/$name"
    mkdir -p "$found"
    echo "== $target: $seconds s"
    "$build/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$build/crash-$name-" \
        "$found" "fuzz/corpora/$name" 2>"$build/$target.log" ||
        { tail -40 "$build/$target.log"; exit 1; }
    grep -E 'stat::(number_of_executed_units|average_exec_per_sec)' "$build/$target.log"
done
