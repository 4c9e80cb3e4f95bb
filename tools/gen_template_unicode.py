#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/engine/template/unicode_data.h: the character properties that Python's str methods look at, as ranges.

    tools/gen_template_unicode.py > src/engine/template/unicode_data.h

The data come from this Python's unicodedata and str methods. Run it again only to move to a newer
Unicode version.
"""
import sys
import unicodedata

MAX = 0x110000


def chars():
    for cp in range(MAX):
        if not 0xD800 <= cp <= 0xDFFF:
            yield cp, chr(cp)


def ranges(test):
    out = []
    for cp, c in chars():
        if test(c):
            if out and out[-1][1] == cp - 1:
                out[-1][1] = cp
            else:
                out.append([cp, cp])
    return out


def print_ranges(name, what, rows):
    print(f"/* {what} */")
    print(f"static const struct cp_range {name}[] = {{")
    line = "   "
    for a, b in rows:
        item = f" {{0x{a:X}, 0x{b:X}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n")


def print_mapping(name, what, method):
    """Runs of characters whose partner is at the same distance, `step` apart."""
    pairs = [(cp, ord(method(c))) for cp, c in chars() if len(method(c)) == 1 and method(c) != c]
    rows = []
    for cp, to in pairs:
        delta = to - cp
        if rows:
            first, last, step, d = rows[-1]
            if d == delta and (cp - last == step or (first == last and cp - last in (1, 2))):
                rows[-1] = (first, cp, cp - last, d)
                continue
        rows.append((cp, cp, 1, delta))
    print(f"/* {what} */")
    print(f"static const struct cp_map {name}[] = {{")
    line = "   "
    for first, last, step, delta in rows:
        item = f" {{0x{first:X}, 0x{last:X}, {step}, {delta}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n")


def print_special(name, what, method):
    print(f"/* {what} */")
    print(f"static const struct cp_special {name}[] = {{")
    line = "   "
    for cp, c in chars():
        m = method(c)
        if len(m) > 1:
            to = ", ".join(f"0x{ord(x):X}" for x in m)
            item = f" {{0x{cp:X}, {{{to}}}}},"
            if len(line) + len(item) > 100:
                print(line)
                line = "   "
            line += item
    print(line)
    print("};\n")


def title(c):
    return c.title()


print(f"""/* SPDX-License-Identifier: Apache-2.0
 *
 * Character properties as Python's str methods see them, Unicode {unicodedata.unidata_version}.
 * Written by tools/gen_template_unicode.py; not edited by hand. Included by unicode.c only. */
""")
print_mapping("to_upper", "one character to one: str.upper()", str.upper)
print_mapping("to_lower", "one character to one: str.lower()", str.lower)
print_mapping("to_title", "one character to one: str.title()", title)
print_special("to_upper_many", "one character to several: str.upper()", str.upper)
print_special("to_title_many", "one character to several: str.title()", title)
print_ranges("is_upper", "str.isupper()", ranges(str.isupper))
print_ranges("is_lower", "str.islower()", ranges(str.islower))
print_ranges("is_alpha", "str.isalpha()", ranges(str.isalpha))
print_ranges("is_decimal", "str.isdecimal()", ranges(str.isdecimal))
print_ranges("is_digit", "str.isdigit()", ranges(str.isdigit))
print_ranges("is_numeric", "str.isnumeric()", ranges(str.isnumeric))
print_ranges("is_space", "str.isspace()", ranges(str.isspace))
print_ranges("not_printable", "the opposite of str.isprintable()", ranges(lambda c: not c.isprintable()))
print_ranges("is_case_ignorable", "skipped when looking for a final sigma",
             ranges(lambda c: unicodedata.category(c) in ("Mn", "Me", "Cf", "Lm", "Sk") or
                    c in "'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a"))
sys.stdout.flush()
