/* SPDX-License-Identifier: Apache-2.0
 *
 * The trie of words that vocabularies without merges look up. At each place of a text a walk goes
 * as far as a word can reach, so words have a bound: it is that of the time per byte. */
#include "engine/text/vocab.h"

enum { WORD_BYTES_MAX = 1024 }; /* published vocabularies stay below 300 */

int words_no_memory(const struct tokenizer *t, struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a vocabulary of %d tokens", t->n_tokens);
}

int words_init(struct tokenizer *t, struct error *err)
{
    return trie_init(&t->words) < 0 ? words_no_memory(t, err) : 0;
}

int words_add(struct tokenizer *t, struct str word, int32_t id, struct error *err)
{
    if (word.len > WORD_BYTES_MAX)
        return error_set(err, ERR_UNSUPPORTED,
                         "token %d of the vocabulary has %zu bytes, at most %d are possible in one "
                         "without merges",
                         id, word.len, WORD_BYTES_MAX);
    return trie_add(&t->words, word, id) < 0 ? words_no_memory(t, err) : 0;
}
