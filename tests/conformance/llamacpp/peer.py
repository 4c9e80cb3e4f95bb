#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp as a program: JSON lines in, JSON lines out. One request a line:

    {"model": FILE, "ids": [1, 2], "greedy": 32}   → {"logits": [of the last id], "greedy": [ids], "margins": [logits]}
    {"model": FILE, "ids": [1, 2], "embed": true}  → {"embedding": [pooled as the file says]}
    {"dequantize": "nvfp4", "data": HEX, "n": 64}  → {"f32": HEX}

or {"error": …}. usage: peer.py DIRECTORY_OF_LIBRARIES

A process of its own, so that a crash in a foreign library fails one case and no test program. The few fields of its
parameter structs that matter are set at the offsets of the release that package-lock.json pins; their defaults are
checked first, so that another release is noticed and not misread."""
import ctypes
import glob
import json
import os
import struct
import sys

N_CTX, N_BATCH, N_UBATCH, FLASH_ATTN = 0, 4, 8, 52
F32, F16 = 0, 1


class Params(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]  # larger than any of them


class Batch(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("n_seq", ctypes.POINTER(ctypes.c_int32)),
                ("seq", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


def open_library(directory):
    def load(pattern, mode=ctypes.RTLD_GLOBAL):
        return ctypes.CDLL(glob.glob(os.path.join(directory, pattern))[0], mode=mode)

    load("libggml-base.so")
    ggml = load("libggml.v*.so")
    lib = load("libllama.v*.so")
    ggml.ggml_backend_load_all_from_path(directory.encode())
    ctx, floats = ctypes.c_void_p, ctypes.POINTER(ctypes.c_float)
    for name, result, arguments in [
            ("llama_model_default_params", Params, []), ("llama_context_default_params", Params, []),
            ("llama_model_load_from_file", ctx, [ctypes.c_char_p, Params]), ("llama_model_free", None, [ctx]),
            ("llama_init_from_model", ctx, [ctx, Params]), ("llama_free", None, [ctx]),
            ("llama_model_get_vocab", ctx, [ctx]), ("llama_vocab_n_tokens", ctypes.c_int32, [ctx]),
            ("llama_set_n_threads", None, [ctx, ctypes.c_int32, ctypes.c_int32]),
            ("llama_model_n_embd", ctypes.c_int32, [ctx]), ("llama_set_embeddings", None, [ctx, ctypes.c_bool]),
            ("llama_batch_init", Batch, [ctypes.c_int32] * 3), ("llama_batch_free", None, [Batch]),
            ("llama_decode", ctypes.c_int32, [ctx, Batch]), ("llama_encode", ctypes.c_int32, [ctx, Batch]),
            ("llama_get_logits_ith", floats, [ctx, ctypes.c_int32]),
            ("llama_get_embeddings_seq", floats, [ctx, ctypes.c_int32])]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@LOG
def quiet(level, text, _):
    if os.environ.get("LLAMA_LOG") or level >= 4:
        sys.stderr.write(text.decode(errors="replace"))


def context_params(lib, n_ctx):
    params = lib.llama_context_default_params()
    raw = bytearray(bytes(params.bytes))
    if struct.unpack_from("<II", raw, N_BATCH) != (2048, 512) or struct.unpack_from("<i", raw, FLASH_ATTN) != (-1,):
        raise ValueError("this is another release of llama.cpp: its parameters lie elsewhere")
    types = next(at for at in range(FLASH_ATTN, 200, 4) if struct.unpack_from("<ii", raw, at) == (F16, F16))
    struct.pack_into("<III", raw, N_CTX, n_ctx, n_ctx, n_ctx)
    struct.pack_into("<i", raw, FLASH_ATTN, 0)
    struct.pack_into("<ii", raw, types, F32, F32)  # of keys and values
    ctypes.memmove(ctypes.byref(params), bytes(raw), len(raw))
    return params


def run(lib, ctx, ids, first, what):
    batch = lib.llama_batch_init(len(ids), 0, 1)
    batch.n = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq[i], batch.logits[i] = token, first + i, 1, 1
        batch.seq[i][0] = 0
    if what(ctx, batch) != 0:
        raise ValueError("llama.cpp cannot compute this")
    lib.llama_batch_free(batch)


def dequantize(request):
    data = bytes.fromhex(request["data"])
    out = (ctypes.c_float * request["n"])()
    function = getattr(ctypes.CDLL(glob.glob(os.path.join(sys.argv[1], "libggml-base.so"))[0]),
                       "dequantize_row_" + request["dequantize"])
    function.restype, function.argtypes = None, [ctypes.c_char_p, ctypes.POINTER(ctypes.c_float), ctypes.c_int64]
    function(data, out, request["n"])
    return {"f32": bytes(out).hex()}


def answer(lib, request):
    if "dequantize" in request:
        return dequantize(request)
    model = lib.llama_model_load_from_file(request["model"].encode(), lib.llama_model_default_params())
    if not model:
        raise ValueError("llama.cpp does not load this file")
    ctx = lib.llama_init_from_model(model, context_params(lib, request.get("n_ctx", 512)))
    if not ctx:
        raise ValueError("llama.cpp makes no context for this file")
    lib.llama_set_n_threads(ctx, 1, 1)  # its threads wait for each other by spinning
    ids = request["ids"]
    try:
        if request.get("embed"):
            lib.llama_set_embeddings(ctx, True)
            run(lib, ctx, ids, 0, lib.llama_decode)
            return {"embedding": lib.llama_get_embeddings_seq(ctx, 0)[:lib.llama_model_n_embd(model)]}
        n_vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        run(lib, ctx, ids, 0, lib.llama_decode)
        logits = first = lib.llama_get_logits_ith(ctx, len(ids) - 1)[:n_vocab]
        greedy, margins = [], []
        for i in range(request.get("greedy", 0)):
            best = max(range(n_vocab), key=logits.__getitem__)
            margins.append(logits[best] - max(logits[:best] + logits[best + 1:]))
            greedy.append(best)
            run(lib, ctx, [best], len(ids) + i, lib.llama_decode)
            logits = lib.llama_get_logits_ith(ctx, 0)[:n_vocab]
        return {"logits": first, "greedy": greedy, "margins": margins}
    finally:
        lib.llama_free(ctx)
        lib.llama_model_free(model)


def main():
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    lib = open_library(sys.argv[1])
    lib.llama_log_set(quiet, None)
    lib.llama_backend_init()
    for line in sys.stdin:
        try:
            out = answer(lib, json.loads(line))
        except (ValueError, StopIteration) as e:
            out = {"error": str(e) or "no such parameter"}
        print(json.dumps(out), file=results, flush=True)


if __name__ == "__main__":
    main()
