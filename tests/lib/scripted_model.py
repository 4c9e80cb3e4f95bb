# SPDX-License-Identifier: Apache-2.0
"""Model files that say one text, whatever they are asked: what an engine makes of a model's words, from its real
decoder to its HTTP API, can be tried with words that are known.

It is a GPT-2 without attention or feed-forward to speak of. Of its learned positions the one at which the prompt ends
points to the first token of the text, the next one to the second, and so on. Tokens are single bytes, and the marks
of the family as tokens of their own, as in real vocabularies."""

import struct

from hf_model import write_gguf

WIDTH = 32  # of rows, at least


def byte_names():
    """The 256 names of bytes in byte-level vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, more = {b: chr(b) for b in plain}, 256
    for b in range(256):
        if b not in names:
            names[b] = chr(more)
            more += 1
    return [names[b] for b in range(256)]


def floats(n, value=0.0):
    return struct.pack("<f", value) * n


def tokens_of(text, marks):
    """Ids: marks where they stand, longest first, else bytes."""
    ids, rest = [], text
    while rest:
        mark = next((m for m in sorted(marks, key=len, reverse=True) if rest.startswith(m)), None)
        if mark:
            ids.append(256 + marks.index(mark))
            rest = rest[len(mark):]
        else:
            ids += list(rest[0].encode())
            rest = rest[1:]
    return ids


def write_scripted_model(path, template, text, n_prompt, marks, n_ctx=8192):
    """Says text behind a prompt of n_prompt tokens, then ends."""
    ids = tokens_of(text, marks)
    n_embd = -(-(len(ids) + 1) // WIDTH) * WIDTH
    vocab = byte_names() + marks + ["<end>", "ab"]
    eos = 256 + len(marks)
    positions = bytearray(floats(n_ctx * n_embd))
    for p in range(max(n_prompt - 1, 0), n_ctx):
        k = min(p - (n_prompt - 1), len(ids))
        struct.pack_into("<f", positions, 4 * (p * n_embd + k), 1.0)
    output = bytearray(floats(len(vocab) * n_embd))
    for k, token in enumerate(ids + [eos]):
        struct.pack_into("<f", output, 4 * (token * n_embd + k), 10.0)
    n_ff = WIDTH
    tensors = {
        "token_embd.weight": ((n_embd, len(vocab)), floats(n_embd * len(vocab))),
        "position_embd.weight": ((n_embd, n_ctx), bytes(positions)),
        "output_norm.weight": ((n_embd,), floats(n_embd, 1.0)),
        "output_norm.bias": ((n_embd,), floats(n_embd)),
        "output.weight": ((n_embd, len(vocab)), bytes(output)),
    }
    for name, dims in {"attn_norm": (n_embd,), "attn_qkv": (n_embd, 3 * n_embd), "attn_output": (n_embd, n_embd),
                       "ffn_norm": (n_embd,), "ffn_up": (n_embd, n_ff), "ffn_down": (n_ff, n_embd)}.items():
        size = dims[0] * (dims[1] if len(dims) > 1 else 1)
        tensors[f"blk.0.{name}.weight"] = (dims, floats(size))
        tensors[f"blk.0.{name}.bias"] = ((dims[-1],), floats(dims[-1]))
    write_gguf(path, {
        "general.architecture": "gpt2",
        "gpt2.context_length": n_ctx,
        "gpt2.embedding_length": n_embd,
        "gpt2.block_count": 1,
        "gpt2.feed_forward_length": n_ff,
        "gpt2.attention.head_count": 1,
        "gpt2.attention.layer_norm_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": vocab,
        "tokenizer.ggml.token_type": [1] * 256 + [3] * (len(marks) + 1) + [1],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.eos_token_id": eos,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template,
    }, tensors)
