#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for llama.cpp's llama-server, which is not in the distribution: it takes the same
command line, prints its version in the same way, answers /health with 503 while it loads, and speaks
its protocol on the Unix socket that --host names. What it says is who it is and what it was started
with. Where a real llama-server is on PATH (or MODEL_RUNNER_TEST_LLAMA_SERVER names one), the tests
run with that as well.

MR_LLAMA_BUILD: the number of the build (default 9879). MR_LLAMA_LOG: where it writes its argv.
MR_LLAMA_FAIL: what it prints before it exits with 1 instead of serving.
"""
import json
import os
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

args = sys.argv[1:]
if "--version" in args:
    sys.stderr.write(f"version: {os.environ.get('MR_LLAMA_BUILD', '9879')} (0123abcd)\n"
                     "built with cc (Debian 12.2.0-14) for x86_64-linux-gnu\n")
    sys.exit(0)
with open(os.environ["MR_LLAMA_LOG"], "a", encoding="utf-8") as log:
    log.write(json.dumps(args) + "\n")
if os.environ.get("MR_LLAMA_FAIL"):
    sys.stderr.write(os.environ["MR_LLAMA_FAIL"] + "\n")
    sys.exit(1)


def value_of(flag):
    return args[args.index(flag) + 1] if flag in args else None


host = value_of("--host")
with open(value_of("--model"), "rb") as model:
    magic = model.read(4)
if magic != b"GGUF":
    sys.stderr.write(f"gguf_init_from_file_impl: invalid magic characters: '{magic!r}', expected 'GGUF'\n"
                     "llama_model_load: error loading model\nmain: exiting due to model loading error\n")
    sys.exit(1)
ready = time.monotonic() + 0.1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status, kind, message):
        self.answer(status, {"error": {"code": status, "message": message, "type": kind}})

    def do_GET(self):
        if self.path != "/health":
            return self.fail(404, "not_found_error", "File Not Found")
        if time.monotonic() < ready:
            return self.fail(503, "unavailable_error", "Loading model")
        return self.answer(200, {"status": "ok"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        embeds = "--embeddings" in args
        if self.path == "/v1/embeddings":
            if not embeds:
                return self.fail(501, "not_supported_error",
                                 "This server does not support embeddings. Start it with `--embeddings`")
            return self.answer(200, {"model": body["model"], "object": "list", "usage": {
                "prompt_tokens": 2, "total_tokens": 2}, "data": [
                    {"embedding": [0.6, 0.8], "index": 0, "object": "embedding"}]})
        if self.path in ("/rerank", "/v1/rerank"):
            if "--reranking" not in args:
                return self.fail(501, "not_supported_error",
                                 "This server does not support reranking. Start it with `--reranking`")
            return self.answer(200, {"model": body["model"], "object": "list", "usage": {
                "prompt_tokens": 2, "total_tokens": 2}, "results": [
                    {"index": i, "relevance_score": -float(i)} for i in range(len(body["documents"]))]})
        if self.path != "/v1/chat/completions":
            return self.fail(404, "not_found_error", "File Not Found")
        words = ["llama", ".cpp", " here"]
        common = {"id": "chatcmpl-x", "created": 1, "model": body["model"], "system_fingerprint": "b9879-0123abcd"}
        usage = {"completion_tokens": 3, "prompt_tokens": 2, "total_tokens": 5}
        if not body.get("stream"):
            return self.answer(200, {"choices": [{"finish_reason": "stop", "index": 0, "message": {
                "role": "assistant", "content": "".join(words)}}], "object": "chat.completion",
                "usage": usage, **common})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def event(choices, **more):
            text = json.dumps({"choices": choices, "object": "chat.completion.chunk", **common, **more})
            self.chunk(f"data: {text}\n\n".encode())
        for word in words:
            event([{"finish_reason": None, "index": 0, "delta": {"content": word}}])
        event([{"finish_reason": "stop", "index": 0, "delta": {}}])
        if body.get("stream_options", {}).get("include_usage"):
            event([], usage=usage)
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")
        return None

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self):
        self.socket.bind(self.server_address)

    def get_request(self):
        request, _ = super().get_request()
        return request, ("unix", 0)


assert host.endswith(".sock"), "llama-server takes another host for a TCP address"
threading.excepthook = lambda _: None
Server(host, Handler).serve_forever()
