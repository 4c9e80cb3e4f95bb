#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/engine/kernels/scalar/iq_grids.c: the grids of the IQ weight types, packed.

The grids are constants of the GGUF format, published in llama.cpp's ggml/src/ggml-common.h alone, as
arrays of words with one byte for each value. They follow no formula, but their values come from few
levels: what is written has the number of the level only, in 2 bits (eight to an entry) or in 3 bits
(four to an entry).

Usage: gen_iq_grids.py ggml-common.h >iq_grids.c
"""
import re
import sys

# our name: (name in the source, entries, values in an entry, bits of a level, the levels)
GRIDS = {
    "iq2_xxs": ("iq2xxs_grid", 256, 8, 2, (8, 25, 43)),
    "iq2_xs": ("iq2xs_grid", 512, 8, 2, (8, 25, 43)),
    "iq2_s": ("iq2s_grid", 1024, 8, 2, (8, 25, 43)),
    "iq3_xxs": ("iq3xxs_grid", 256, 4, 3, (4, 12, 20, 28, 36, 44, 52, 62)),
    "iq3_s": ("iq3s_grid", 512, 4, 3, (1, 3, 5, 7, 9, 11, 13, 15)),
    "iq1": ("iq1s_grid", 2048, 8, 2, (255, 0, 1)),
}

HEAD = """\
/* SPDX-License-Identifier: Apache-2.0
 *
 * Made by tools/gen_iq_grids.py: the grids of the IQ types, constants of the GGUF format as
 * llama.cpp's ggml-common.h publishes them. Value i of an entry is the level with the number in its
 * bits 2i (iq2, iq1) or 3i (iq3); dequant_iq.c has the levels. */
#include "engine/kernels/kernels_internal.h"
"""


def packed(text, source, entries, values, bits, levels):
    found = re.search(r"GGML_TABLE_BEGIN\(\w+, %s, \w+\)(.*?)GGML_TABLE_END" % source, text, re.S)
    if not found:
        sys.exit(f"no table {source}: is this ggml-common.h?")
    words = [int(word, 16) for word in re.findall(r"0x[0-9a-fA-F]+", found[1])]
    if len(words) != entries:
        sys.exit(f"{source} has {len(words)} entries, not {entries}")
    return [sum(levels.index(word >> 8 * i & 255) << bits * i for i in range(values)) for word in words]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    print(HEAD, end="")
    for name, grid in GRIDS.items():
        print(f"\nconst uint16_t kernels__{name}_grid[{grid[1]}] = {{")
        codes = packed(text, *grid)
        for i in range(0, len(codes), 12):
            print("    " + ", ".join(f"0x{code:04x}" for code in codes[i:i + 12]) + ",")
        print("};")


main()
