#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MB/s of tokenizers on texts of 1 MB, beside llama.cpp's.

    bench/tokenizers.py BUILD_DIR VOCABULARY.gguf... [--peer DIRECTORY_OF_LIBRARIES]

The texts are prose, code, and what is hard: no spaces, one character, digits, emoji, white space.
"""
import argparse
import os
import random
import subprocess
import tempfile

SIZE = 1_000_000
HERE = os.path.dirname(os.path.abspath(__file__))


def texts():
    r = random.Random(1)

    def of(alphabet):
        return "".join(r.choice(alphabet) for _ in range(SIZE))
    root = os.path.dirname(HERE)
    words = [w for name in ("README.md", "ARCHITECTURE.md", "docs/user-guide.md", "docs/api.md")
             for w in open(os.path.join(root, name), encoding="utf-8").read().split(" ")]
    code = open(os.path.join(root, "src/engine/run/batcher.c"), encoding="utf-8").read()
    return {
        "prose": " ".join(r.choice(words) for _ in range(SIZE // 5)),
        "code": code * (SIZE // len(code) + 1),
        "chinese": "".join(chr(r.randrange(0x4e00, 0x9fa5)) for _ in range(SIZE // 3)),
        "letters": of("abcdefghijklmnopqrstuvwxyz"),
        "digits": of("0123456789"),
        "emoji": "😀👨‍👩‍👧🎉" * (SIZE // 26),
        "one": "a" * SIZE,
        "spaces": " " * SIZE,
    }


def run(argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        return {}
    return {line.split("\t")[0]: float(line.split("\t")[2]) for line in done.stdout.splitlines()}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("vocabularies", nargs="+")
    p.add_argument("--peer", help="libraries of llama.cpp, see peer_tokenizer.py")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for name, text in texts().items():
            paths.append(os.path.join(directory, name))
            with open(paths[-1], "wb") as f:
                f.write(text.encode("utf-8")[:SIZE])
        for vocabulary in args.vocabularies:
            ours = run([os.path.join(args.build, "bench", "bench_tokenizer"), vocabulary, *paths])
            peer = run(["python3", os.path.join(HERE, "peer_tokenizer.py"), args.peer, vocabulary, *paths]) if args.peer else {}
            print(os.path.basename(vocabulary))
            for path in paths:
                mine, other = ours.get(path), peer.get(path)
                beside = f"{other:8.2f}  {mine / other:5.1f}x" if mine and other else ""
                print(f"  {os.path.basename(path):8} {mine or 0:8.2f} {beside}", flush=True)


if __name__ == "__main__":
    main()
