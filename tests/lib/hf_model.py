# SPDX-License-Identifier: Apache-2.0
"""Models in Hugging Face's form, made from GGUF files with f32 weights: what model-engine import reads, from the other end.

    gguf = Gguf("tiny.gguf")
    write_model(gguf, "directory", files=2, tokenizer="sentencepiece")
"""
import json
import os
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
F32 = 0
QWEN2_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
               r"\s+(?!\S)|\s+")


class Gguf:
    """All keys and tensors of a GGUF file: .kv[name], .tensors[name] = (dims, type, bytes); dims fastest first."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.at = 8
        n_tensors, n_kv = self.take("QQ")
        self.kv = {self.string(): self.value(self.take("I")[0]) for _ in range(n_kv)}
        heads = [(self.string(), *self.head()) for _ in range(n_tensors)]
        alignment = self.kv.get("general.alignment", 32)
        start = -(-self.at // alignment) * alignment
        self.tensors = {}
        for name, dims, kind, offset in heads:
            size = 4
            for d in dims:
                size *= d
            self.tensors[name] = (dims, kind, self.data[start + offset:start + offset + size])

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def string(self):
        n, = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            item, n = self.take("IQ")
            return [self.value(item) for _ in range(n)]
        return self.take(SCALARS[kind])[0]

    def head(self):
        n_dims, = self.take("I")
        dims = self.take(f"{n_dims}Q")
        return dims, *self.take("IQ")


def rows_of(data, cols):
    return [data[i:i + 4 * cols] for i in range(0, len(data), 4 * cols)]


def halves(data, cols, head):
    """Rows of neighbouring pairs put in halves, as HF has them."""
    rows, out = rows_of(data, cols), []
    for at in range(0, len(rows), head):
        one = rows[at:at + head]
        out += one[0::2] + one[1::2]
    return b"".join(out)


def minus_one(data):
    values = struct.unpack(f"<{len(data) // 4}f", data)
    return struct.pack(f"<{len(values)}f", *(v - 1 for v in values))


# arch → (HF's name, permuted, norms less one, names that differ)
COMMON = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_qkv": "self_attn.qkv_proj",
}
GEMMA = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
         "post_ffw_norm": "post_feedforward_layernorm"}
MIXTRAL = {"ffn_gate_inp": "block_sparse_moe.gate", "ffn_gate_exps": "block_sparse_moe.experts.#.w1",
           "ffn_down_exps": "block_sparse_moe.experts.#.w2", "ffn_up_exps": "block_sparse_moe.experts.#.w3"}
QWEN_MOE = {"ffn_gate_inp": "mlp.gate", "ffn_gate_exps": "mlp.experts.#.gate_proj", "ffn_down_exps": "mlp.experts.#.down_proj",
            "ffn_up_exps": "mlp.experts.#.up_proj"}
FAMILIES = {
    "llama": ("LlamaForCausalLM", True, False, {}),
    "mixtral": ("MixtralForCausalLM", True, False, MIXTRAL),
    "qwen2": ("Qwen2ForCausalLM", False, False, {}),
    "qwen3": ("Qwen3ForCausalLM", False, False, {}),
    "qwen3moe": ("Qwen3MoeForCausalLM", False, False, QWEN_MOE),
    "gemma": ("GemmaForCausalLM", False, True, {}),
    "gemma2": ("Gemma2ForCausalLM", False, True, GEMMA),
    "gemma3": ("Gemma3ForCausalLM", False, True, GEMMA),
    "phi3": ("Phi3ForCausalLM", False, False, {"ffn_up": "mlp.gate_up_proj"}),
    "granite": ("GraniteForCausalLM", True, False, {}),
    "smollm3": ("SmolLM3ForCausalLM", True, False, {}),
}


def family(gguf):
    arch = gguf.kv["general.architecture"]
    return "mixtral" if arch == "llama" and "llama.expert_count" in gguf.kv else arch


def head_width(gguf):
    arch = gguf.kv["general.architecture"]
    kv = gguf.kv
    return kv.get(f"{arch}.attention.key_length") or kv[f"{arch}.embedding_length"] // kv[f"{arch}.attention.head_count"]


def hf_tensors(gguf):
    """HF's name → (shape, slowest first; bytes)."""
    _, permuted, less_one, names = FAMILIES[family(gguf)]
    ends = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
    out = {}
    for name, (dims, kind, data) in gguf.tensors.items():
        assert kind == F32, name
        if name.startswith("rope_f"):
            continue
        if less_one and name.endswith("norm.weight"):
            data = minus_one(data)
        if name in ends:
            out[ends[name]] = (list(reversed(dims)), data)
            continue
        _, layer, what, suffix = name.split(".")
        if permuted and what in ("attn_q", "attn_k"):
            data = halves(data, 1 if suffix == "bias" else dims[0], head_width(gguf))
        hf = f"model.layers.{layer}.{names.get(what) or COMMON[what]}.{suffix}"
        if "#" not in hf:
            out[hf] = (list(reversed(dims)), data)
            continue
        size = len(data) // dims[2]
        for expert in range(dims[2]):
            out[hf.replace("#", str(expert))] = ([dims[1], dims[0]], data[expert * size:(expert + 1) * size])
    return out


def config(gguf):
    arch = gguf.kv["general.architecture"]
    key = {k[len(arch) + 1:]: v for k, v in gguf.kv.items() if k.startswith(arch + ".")}
    name = FAMILIES[family(gguf)][0]
    gemma = arch.startswith("gemma")
    c = {
        "architectures": [name],
        "hidden_act": "gelu_pytorch_tanh" if gemma else "silu",
        "hidden_size": key["embedding_length"],
        "intermediate_size": key["feed_forward_length"],
        "num_hidden_layers": key["block_count"],
        "num_attention_heads": key["attention.head_count"],
        "num_key_value_heads": key["attention.head_count_kv"],
        "head_dim": head_width(gguf),
        "max_position_embeddings": key["context_length"],
        "rms_norm_eps": key["attention.layer_norm_rms_epsilon"],
        "rope_theta": key["rope.freq_base"],
        "vocab_size": len(gguf.kv["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
    }
    if arch == "qwen3moe":
        c.update(num_experts=key["expert_count"], num_experts_per_tok=key["expert_used_count"],
                 moe_intermediate_size=key["feed_forward_length"], norm_topk_prob=True)
    elif "expert_count" in key:
        c.update(num_local_experts=key["expert_count"], num_experts_per_tok=key["expert_used_count"])
    if arch in ("gemma2", "gemma3"):
        c["sliding_window"] = key["attention.sliding_window"]
        c["query_pre_attn_scalar"] = head_width(gguf)
    if arch == "gemma2":
        c.update(attn_logit_softcapping=50.0, final_logit_softcapping=30.0)
    for field, suffix in (("embedding_multiplier", "embedding_scale"), ("residual_multiplier", "residual_scale"),
                          ("attention_multiplier", "attention.scale"), ("logits_scaling", "logit_scale")):
        if arch == "granite" and suffix in key:
            c[field] = key[suffix]
    if "rope.scaling.type" in key and key["rope.scaling.type"] in ("linear", "yarn"):
        c["rope_scaling"] = {"rope_type": key["rope.scaling.type"], "factor": key["rope.scaling.factor"],
                             "original_max_position_embeddings": key["rope.scaling.original_context_length"]}
    if "rope_freqs.weight" in gguf.tensors:
        c["rope_scaling"] = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                             "original_max_position_embeddings": 8192}
    return c


# ---- tokenizers ----


def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, float):
        return varint(number << 3 | 5) + struct.pack("<f", content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def sentencepiece(kv):
    """The bytes of a tokenizer.model."""
    out = b""
    for text, score, kind in zip(kv["tokenizer.ggml.tokens"], kv["tokenizer.ggml.scores"], kv["tokenizer.ggml.token_type"], strict=True):
        piece = field(1, text.encode()) + field(2, float(score))
        out += field(1, piece + (b"" if kind == 1 else field(3, kind)))
    trainer = field(3, 2) + field(40, 0) + field(41, 1) + field(42, 2)
    return out + field(2, trainer) + field(3, field(1, b"identity") + field(3, 1))


def added(kv):
    return [{"id": i, "content": text, "special": kind == 3, "normalized": False}
            for i, (text, kind) in enumerate(zip(kv["tokenizer.ggml.tokens"], kv["tokenizer.ggml.token_type"], strict=True)) if kind in (3, 4)]


def byte_level(kv, pairs=False):
    """The object of a tokenizer.json with byte-level BPE and Qwen's pre-tokenizer."""
    special = {t["id"] for t in added(kv)}
    vocab = {text: i for i, text in enumerate(kv["tokenizer.ggml.tokens"])
             if i not in special and kv["tokenizer.ggml.token_type"][i] == 1}
    merges = [m.split(" ") for m in kv["tokenizer.ggml.merges"]] if pairs else kv["tokenizer.ggml.merges"]
    return {
        "added_tokens": added(kv),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN2_REGEX}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]},
        "model": {"type": "BPE", "byte_fallback": False, "vocab": vocab, "merges": merges},
    }


def tokenizer_config(kv):
    tokens = kv["tokenizer.ggml.tokens"]
    out = {"chat_template": kv.get("tokenizer.chat_template")}
    for name, key in (("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")):
        if "tokenizer.ggml." + key in kv:
            out[name] = {"content": tokens[kv["tokenizer.ggml." + key]]}
    if "tokenizer.ggml.add_bos_token" in kv:
        out["add_bos_token"] = kv["tokenizer.ggml.add_bos_token"]
    return out


# ---- files ----


def write_safetensors(path, tensors, dtype="F32"):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            f.write(data)


def write_json(directory, name, value):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False)


def write_model(gguf, directory, files=1):
    os.makedirs(directory, exist_ok=True)
    tensors = hf_tensors(gguf)
    if files == 1:
        write_safetensors(os.path.join(directory, "model.safetensors"), tensors)
    else:
        index = {}
        for i in range(files):
            name = f"model-{i + 1:05}-of-{files:05}.safetensors"
            part = dict(list(tensors.items())[i::files])
            write_safetensors(os.path.join(directory, name), part)
            index.update({tensor: name for tensor in part})
        write_json(directory, "model.safetensors.index.json", {"metadata": {}, "weight_map": index})
    write_json(directory, "config.json", config(gguf))
    write_json(directory, "tokenizer_config.json", tokenizer_config(gguf.kv))
    if gguf.kv["tokenizer.ggml.model"] == "llama":
        with open(os.path.join(directory, "tokenizer.model"), "wb") as f:
            f.write(sentencepiece(gguf.kv))
    else:
        write_json(directory, "tokenizer.json", byte_level(gguf.kv, pairs=files > 1))


# ---- GGUF ----


def gguf_string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_value(value):
    """The type and the bytes of a value: bool, u32, f32, string, or a list of i32, f32 or strings."""
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, gguf_string(value)
    kind = {str: 8, float: 6, int: 5}[type(value[0])]
    items = b"".join(gguf_string(v) for v in value) if kind == 8 else struct.pack(f"<{len(value)}{SCALARS[kind]}", *value)
    return 9, struct.pack("<IQ", kind, len(value)) + items


def write_gguf(path, kv, tensors):
    """tensors: name → (dims, fastest first; bytes), of f32 or of the type that comes third."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(kv))
    for key, value in kv.items():
        kind, data = gguf_value(value)
        head += gguf_string(key) + struct.pack("<I", kind) + data
    body = b""
    for name, (dims, data, *kind) in tensors.items():
        head += gguf_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, *(kind or [F32]), len(body))
        body += data + b"\0" * (-len(data) % 32)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32) + body)
