/* SPDX-License-Identifier: Apache-2.0
 *
 * LoRA adapters in the API, as llama-server has them: each has a number, its "id", and a scale that
 * counts where a request says nothing; a request may give a list of its own.
 *
 *     GET  /lora-adapters    [{"id": 0, "path": "a.gguf", "scale": 1.0}]
 *     POST /lora-adapters    [{"id": 0, "scale": 0.5}]                      for all later requests
 *     "lora": [{"id": 0, "scale": 0.5}]                                     in a completion
 *
 * Adapters that a list leaves out have the scale 0. */
#ifndef ENGINE_API_LORA_H
#define ENGINE_API_LORA_H

#include <pthread.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "engine/run/lm.h"

struct lora {
    uint32_t n; /* adapters; never changes */
    pthread_mutex_t lock;
    float scales[ADAPTERS_MAX]; /* guarded by: lock */
};

void lora_init(struct lora *l, const float *scales, uint32_t n);
void lora_release(struct lora *l);

/* The scales where nothing is said; of no adapters for NULL. Any thread. */
void lora_current(struct lora *l, float ret[ADAPTERS_MAX]);

/* Reads a list for n adapters; ERR_INVALID names what is wrong. */
int lora_parse(const struct json *list, uint32_t n, float ret[ADAPTERS_MAX], struct error *err);

#endif
