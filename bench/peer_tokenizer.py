#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same as bench_tokenizer, by llama.cpp itself:

    peer_tokenizer.py DIRECTORY_OF_LIBRARIES VOCABULARY.gguf TEXT...  →  TEXT  tokens  MB/s

The libraries are those of the npm package @node-llama-cpp/linux-x64, which the llamacpp test leaves in
BUILD/llamacpp/node_modules."""
import ctypes
import glob
import os
import sys
import time

VOCAB_ONLY, EXTRA_BUFFERS = 72, 74  # in the parameters of a model; the defaults are checked


class Params(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]  # larger than they are


def main():
    directory, vocabulary, *texts = sys.argv[1:]
    for pattern in ("libggml-base.so", "libggml.v*.so"):
        ctypes.CDLL(glob.glob(os.path.join(directory, pattern))[0], mode=ctypes.RTLD_GLOBAL)
    lib = ctypes.CDLL(glob.glob(os.path.join(directory, "libllama.v*.so"))[0])
    pointer, ids = ctypes.c_void_p, ctypes.POINTER(ctypes.c_int32)
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, pointer)(lambda level, text, _: None)
    for name, result, arguments in [
            ("llama_model_default_params", Params, []), ("llama_model_load_from_file", pointer, [ctypes.c_char_p, Params]),
            ("llama_model_get_vocab", pointer, [pointer]),
            ("llama_tokenize", ctypes.c_int32, [pointer, ctypes.c_char_p, ctypes.c_int32, ids, ctypes.c_int32, ctypes.c_bool,
                                                ctypes.c_bool])]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    lib.llama_log_set(quiet, None)
    lib.llama_backend_init()
    params = lib.llama_model_default_params()
    if (params.bytes[VOCAB_ONLY], params.bytes[EXTRA_BUFFERS]) != (0, 1):
        sys.exit("this is another release of llama.cpp: its parameters lie elsewhere")
    params.bytes[VOCAB_ONLY] = 1
    model = lib.llama_model_load_from_file(vocabulary.encode(), params)
    if not model:
        sys.exit("llama.cpp does not load this file")
    vocab = lib.llama_model_get_vocab(model)
    for path in texts:
        with open(path, "rb") as f:
            text = f.read()
        out = (ctypes.c_int32 * (len(text) + 16))()
        best, spent, n = float("inf"), 0, 0
        for _ in range(3):
            start = time.perf_counter()
            n = lib.llama_tokenize(vocab, text, len(text), out, len(out), True, False)
            best = min(best, time.perf_counter() - start)
            spent += best
            if spent > 10:
                break
        print(f"{path}\t{n}\t{len(text) / best / 1e6:.2f}", flush=True)


if __name__ == "__main__":
    main()
