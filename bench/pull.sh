#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Transfer and store, side by side in one run: a pull from a local docker-registry against curl and
# skopeo, several connections against one over a line with a round trip of 20 ms and 50 MB/s for each
# stream, the daemon's peak of memory, and list, tag and rm among 2,000 models.
#
#   bench/pull.sh BUILD_DIR [--gb N] [--rounds N] [--only fast,shaped,store]
set -eu
build=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
MR_BUILD=$build MR_ROOT=$root exec python3 "$root/bench/pull.py" "$@"
