/* SPDX-License-Identifier: Apache-2.0
 *
 * What the demo model can say: topics with the words that call them up and their answers. */
#ifndef TOOLS_DEMO_TEXT_H
#define TOOLS_DEMO_TEXT_H

#include <stddef.h>

struct demo_topic {
    const char *name;
    const char *keywords; /* lower case, separated by blanks; the last one in a question decides */
    const char *answer;   /* one paragraph */
};

/* The first topic is the answer when no keyword is found. */
extern const struct demo_topic demo_topics[];
extern const size_t demo_n_topics;

#endif
