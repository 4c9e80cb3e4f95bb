/* SPDX-License-Identifier: Apache-2.0
 *
 * Multi-head latent attention (DeepSeek-AI, 2024, "DeepSeek-V2"): keys and values of all heads are
 * products of one narrow vector, the latent, and a part of the key that is rotated is shared by
 * all heads. For each head, with r a rotated part and s one that is still:
 *
 *     c = norm(Wkva h)[0 .. rank),  kr = rope(Wkva h)[rank ..)
 *     [qs | qr] = Wq h, or Wqb norm(Wqa h);  qr = rope(qr)
 *     ks = Wk c,  v = Wv c
 *     score = scale * (qs ks + qr kr)
 *
 * Files have the matrices of the heads in one of two forms. In the older, Wk and Wv are one tensor
 * (attn_kv_b), and the cache holds each head's keys and values. In the newer they are two
 * (attn_k_b, which is transposed, and attn_v_b), and the cache holds c and kr once for all heads:
 *
 *     score = scale * ((Wkᵀ qs) c + qr kr),  output = Wv Σ p c
 *
 * The order of the values of a head does not matter for its score: here the rotated ones come
 * first.
 */
#ifndef ENGINE_MODEL_MLA_H
#define ENGINE_MODEL_MLA_H

#include "engine/model/descriptor.h"

/* Behind sizes, rotation and scales of all layers, which it checks. */
int mla_read(const struct gguf *g, struct descriptor *d, struct error *err);

/* Values of a key head that are not rotated. */
uint32_t mla_still(const struct descriptor *d);

#endif
