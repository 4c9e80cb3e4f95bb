/* SPDX-License-Identifier: Apache-2.0
 *
 * Searching for models that could be pulled: the "ai" organisation of Docker Hub and the models of
 * Hugging Face that run here. Each source is one or a few requests, whatever the number of results.
 *
 *     DOCKER_HUB_URL   another Docker Hub, default https://hub.docker.com
 *     HF_ENDPOINT      a mirror of Hugging Face, default https://huggingface.co
 *     HF_TOKEN         sent to it, for private models */
#ifndef CLI_SEARCH_H
#define CLI_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum search_source { SEARCH_HUB, SEARCH_HF, SEARCH_SOURCES };

struct search_hit {
    char *name; /* as pull takes it: "ai/smollm2", "hf.co/Org/Repo" */
    char *description;
    char *updated; /* RFC 3339, "" = not told */
    char *backend; /* "llama.cpp", "vllm", "diffusers", "llama.cpp, vllm", "unknown" */
    int64_t downloads, stars;
    int64_t size; /* bytes of the whole repository; 0 = not told */
    enum search_source source;
};

struct search_results {
    struct search_hit *hits; /* Docker Hub's first, then by downloads */
    size_t n;
};

/* "all" or "" (both), "dockerhub", "docker", "hub", "huggingface", "hf". */
int search_sources_parse(const char *text, bool ret[SEARCH_SOURCES], struct error *err);

const char *search_source_name(enum search_source s); /* "Docker Hub" */

/* term: NULL or "" = everything. Asks the sources side by side; failed[s] tells what went wrong
 * with one. At most `limit` hits, of which each source gets its share when both have plenty. Fails
 * only when all that were asked did. */
int search_run(const char *term, size_t limit, const bool sources[SEARCH_SOURCES],
               struct search_results *ret, struct error failed[SEARCH_SOURCES], struct error *err);
void search_results_release(struct search_results *r);

/* ---- the answers, as pure text ---- */

/* Adds the hits of one page whose name or description has the term in it; next: path and query of
 * the following page for the caller to free, NULL at the end. */
int search_read_hub(struct str json, const char *term, size_t limit, struct search_results *r,
                    char **ret_next, struct error *err);
int search_read_hf(struct str json, size_t limit, struct search_results *r, struct error *err);

#endif
