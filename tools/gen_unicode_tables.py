#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/engine/text/unicode_tables.c from a UnicodeData.txt.

    tools/gen_unicode_tables.py UnicodeData.txt 15.1 > src/engine/text/unicode_tables.c

The tables are committed: token ids must not depend on the Unicode version of whatever library the
machine has. Run this again only to move to another version of Unicode on purpose.
"""
import sys

CLASSES = {'N': 'UC_NUMBER', 'L': 'UC_LETTER', 'P': 'UC_PUNCT', 'M': 'UC_MARK', 'S': 'UC_SYMBOL',
           'Z': 'UC_SEPARATOR', 'C': 'UC_CONTROL'}


def read(path):
    """Per code point: category, simple lower case, first code point of its decomposition."""
    category, lower, decomposed, first = {}, {}, {}, None
    for line in open(path, encoding='ascii'):
        f = line.rstrip('\n').split(';')
        cp = int(f[0], 16)
        if f[1].endswith(', First>'):
            first = cp
            continue
        for c in range(first if first is not None else cp, cp + 1):
            category[c] = f[2]
        first = None
        if f[13]:
            lower[cp] = int(f[13], 16)
        if f[5] and not f[5].startswith('<'):
            decomposed[cp] = int(f[5].split()[0], 16)
    base = {}
    for cp in decomposed:
        c = cp
        while c in decomposed:
            c = decomposed[c]
        base[cp] = c
    return category, lower, base


def emit_pairs(name, comment, pairs):
    print(f'\n/* {comment} */')
    print(f'const struct unicode_pair {name}[] = {{')
    items = [f'{{0x{a:05x}, 0x{b:05x}}},' for a, b in sorted(pairs.items())]
    for i in range(0, len(items), 4):
        print('    ' + ' '.join(items[i:i + 4]))
    print('};')
    print(f'const size_t {name}_n = {len(items)};')


def main():
    category, lower, base = read(sys.argv[1])
    print('/* SPDX-License-Identifier: Apache-2.0')
    print(' *')
    print(f' * Properties of characters, Unicode {sys.argv[2]}. Made by tools/gen_unicode_tables.py;')
    print(' * do not edit. */')
    print('#include "engine/text/unicode_tables.h"\n')
    print('/* A class holds from its code point to the one of the next entry. */')
    print('const struct unicode_range unicode_ranges[] = {')
    items, last = [], None
    for cp in range(0x110000):
        c = CLASSES[category[cp][0]] if cp in category else 'UC_NONE'
        if c != last:
            items.append(f'{{0x{cp:06x}, {c}}},')
            last = c
    for i in range(0, len(items), 3):
        print('    ' + ' '.join(items[i:i + 3]))
    print('};')
    print(f'const size_t unicode_ranges_n = {len(items)};')
    emit_pairs('unicode_lower', 'Simple lower case.', lower)
    emit_pairs('unicode_base', 'First character of the canonical decomposition; Hangul is computed.',
               base)


main()
