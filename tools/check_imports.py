#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every #include between the folders of src/ against the table in ARCHITECTURE.md.

usage: tools/check_imports.py

The table's rows are `| folder | may include |`; a folder may always include itself. The longest
folder name that fits a file is its folder. Prints one line an arrow that is not in the table.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read_table():
    table = {}
    inside = False
    for line in open(os.path.join(ROOT, "ARCHITECTURE.md"), encoding="utf-8"):
        cells = [c.strip().strip("`") for c in line.strip().strip("|").split("|")]
        if cells[:2] == ["folder", "may include"]:
            inside = True
        elif inside and not line.startswith("|"):
            inside = False
        elif inside and not cells[0].startswith("-"):
            table[cells[0]] = [] if cells[1] == "nothing" else [c.strip().strip("`") for c in cells[1].split(",")]
    return table


def folder_of(path, table):
    fits = [f for f in table if path == f or path.startswith(f + "/")]
    return max(fits, key=len) if fits else None


def main():
    table = read_table()
    if not table:
        sys.exit("check_imports: no table with the columns 'folder' and 'may include' in ARCHITECTURE.md")
    bad = 0
    for base, _, names in os.walk(os.path.join(ROOT, "src")):
        for name in sorted(names):
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.relpath(os.path.join(base, name), os.path.join(ROOT, "src"))
            mine = folder_of(path, table)
            if mine is None:
                print(f"src/{path}: its folder is not in ARCHITECTURE.md's table")
                bad += 1
                continue
            for number, line in enumerate(open(os.path.join(base, name), encoding="utf-8"), 1):
                m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if not m or "/" not in m.group(1):
                    continue
                theirs = folder_of(m.group(1), table)
                allowed = table[mine]
                if theirs != mine and theirs not in allowed and m.group(1) not in allowed:
                    print(f"src/{path}:{number}: {mine} may not include {m.group(1)}")
                    bad += 1
    sys.exit(1 if bad else 0)


main()
