/* SPDX-License-Identifier: Apache-2.0
 *
 * The formats of JSON Schema 2020-12, from their RFCs (3339, 3986, 4122, 4291, 5321, 1123, 6901),
 * within what validators accept. */
#include "engine/grammar/format.h"

#include <stddef.h>

#include "base/compiler.h"

#define LEAP "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
#define DATE                                                                               \
    "(\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-" \
    "(0[1-9]|1\\d|2[0-8]))|" LEAP "-02-29)"
#define TIME "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define LABEL(n) "[A-Za-z0-9]([A-Za-z0-9-]{0," n "}[A-Za-z0-9])?"
#define OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 "(" OCTET "\\.){3}" OCTET
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                  \
    "((" H16 ":){6}" LS32 "|::(" H16 ":){5}" LS32 "|(" H16 ")?::(" H16 ":){4}" LS32 "|((" H16 \
    ":){0,1}" H16 ")?::(" H16 ":){3}" LS32 "|((" H16 ":){0,2}" H16 ")?::(" H16 ":){2}" LS32   \
    "|((" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|((" H16 ":){0,4}" H16 ")?::" LS32 "|((" H16 \
    ":){0,5}" H16 ")?::" H16 "|((" H16 ":){0,6}" H16 ")?::)"
#define UNRESERVED "[A-Za-z0-9._~!$&'()*+,;=-]"
#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define AUTHORITY                                                                              \
    "((" UNRESERVED "|:|%[0-9A-Fa-f]{2})*@)?([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\[" IPV6 \
    "\\])(:\\d{1,5})?"
#define TAIL "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define URI \
    "[A-Za-z][A-Za-z0-9+.-]*:(//" AUTHORITY "(/" PCHAR "*)*|/?" PCHAR "+(/" PCHAR "*)*)" TAIL
#define ATEXT "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration",
     "^P((\\d+Y(\\d+M)?(\\d+D)?|\\d+M(\\d+D)?|\\d+D)(T(\\d+H(\\d+M)?(\\d+S)?|\\d+M(\\d+S)?|"
     "\\d+S))?|T(\\d+H(\\d+M)?(\\d+S)?|\\d+M(\\d+S)?|\\d+S)|\\d+W)$"},
    {"uuid", "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"},
    {"email", "^" ATEXT "(\\." ATEXT ")*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\\.)+"
              "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"},
    /* 253 characters at most: a few long labels or some short ones */
    {"hostname",
     "^(" LABEL("61") "(\\." LABEL("61") "){0,2}|" LABEL("14") "(\\." LABEL("14") "){0,13})$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^" IPV6 "$"},
    {"uri", "^" URI "$"},
    {"uri-reference", "^(" URI "|(//" AUTHORITY "(/" PCHAR "*)*|/(" PCHAR "+(/" PCHAR
                      "*)*)?|" UNRESERVED "+(/" PCHAR "*)*)?" TAIL ")$"},
    {"json-pointer", "^(/([^~/]|~0|~1)*)*$"},
    {"relative-json-pointer", "^(0|[1-9]\\d*)(#|(/([^~/]|~0|~1)*)*)$"},
};

const char *format_pattern(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (str_eq_c(name, formats[i].name))
            return formats[i].pattern;
    return NULL;
}

bool format_is_annotation(struct str name)
{
    static const char *const names[] = {"password", "float", "double", "textarea"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_c(name, names[i]))
            return true;
    return false;
}
