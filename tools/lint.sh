#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# `make lint`: what a reviewer should not have to look for.
set -eu
status=0

echo "== files"
for f in $(git ls-files '*.c' '*.h' '*.py' '*.sh' tests/run); do
    head -3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || { echo "$f: no SPDX line"; status=1; }
    [ -z "$(tail -c1 "$f")" ] || { echo "$f: no final newline"; status=1; }
    grep -nE '[[:space:]]+$' "$f" /dev/null && { echo "$f: trailing white space"; status=1; } || true
done

echo "== banned calls"
if git grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strtok|gets|atoi|atol|atof|mktemp|system|popen)\(' -- 'src/*.c' 'src/*.h'; then
    status=1
fi

echo "== imports"
python3 tools/check_imports.py || status=1

if command -v clang-tidy >/dev/null 2>&1 && [ -f build/compile_commands.json ]; then
    echo "== clang-tidy"
    git ls-files 'src/*.c' | grep -v '/arm/' |
        xargs -P 2 -n 8 clang-tidy -p build --quiet 2>/dev/null | tee build/tidy.log
    ! grep -q 'warning:' build/tidy.log || status=1
fi
exit $status
