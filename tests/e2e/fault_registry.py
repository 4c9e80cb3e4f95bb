# SPDX-License-Identifier: Apache-2.0
"""A registry that misbehaves on demand, and keeps a record of all that was asked and sent.

    r = FaultRegistry()
    r.add("acme/m", artifact, "v1")           # pull f"{r.host}/acme/m:v1"
    r.on_blob = lambda q: q.reset(1 << 20)    # what to do with a request for a blob; None = the usual
    r.on_request = ...                        # the same for every request, asked first
    r.hold_at = 1 << 20                       # no more body bytes than that, until it is 0 again

A hook gets the request and answers it with one of its methods, or returns False for the usual answer.
"""
import http.server
import json
import os
import re
import select
import socket
import ssl
import struct
import threading
import time

from registry_support import MANIFEST

PIECE = 64 * 1024


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    # ---- answers ----

    def reply(self, status=200, body=b"", headers=None, content_type="application/json"):
        """A whole answer."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.head(status, dict({"Content-Type": content_type, "Content-Length": len(body)}, **(headers or {})))
        if self.command != "HEAD":
            self.send(body)
        return True

    def error(self, status, code="UNKNOWN", message="so it goes", headers=None):
        return self.reply(status, {"errors": [{"code": code, "message": message}]}, headers)

    def head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def send(self, data):
        """Body bytes; they are counted, and paced if the registry is."""
        view = memoryview(data)
        for at in range(0, len(view), PIECE):
            piece = view[at:at + PIECE]
            if self.registry.rate:
                time.sleep(len(piece) / self.registry.rate)
            self.wait_while_held()
            self.wfile.write(piece)
            with self.registry.lock:
                self.record["sent"] += len(piece)

    def wait_while_held(self):
        r = self.registry
        while r.hold_at and sum(q["sent"] for q in r.requests) >= r.hold_at:
            if select.select([self.connection], [], [], 0.01)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                raise OSError("the client hung up")

    def range(self, size):
        """What the Range header asks for: (first, end)."""
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not m:
            return None
        return int(m.group(1)), min(int(m.group(2) or size - 1) + 1, size)

    def blob(self, data=None, ranges=True, limit=None, headers=None, status=None, content_range=None, length=None):
        """A blob. limit: only so many bytes of the body; the rest as the headers announced never comes."""
        data = self.data if data is None else data
        asked = self.range(len(data)) if ranges else None
        first, end = asked or (0, len(data))
        out = {"Content-Type": "application/octet-stream", "Content-Length": end - first if length is None else length}
        if asked:
            out["Content-Range"] = content_range or f"bytes {first}-{end - 1}/{len(data)}"
        out.update(headers or {})
        self.head(status or (206 if asked else 200), {k: v for k, v in out.items() if v is not None})
        if self.command != "HEAD":
            self.record["range"] = (first, end)
            self.send(memoryview(data)[first:end if limit is None else min(end, first + limit)])
            if limit is not None and limit < end - first:
                self.drop()
        return True

    def drop(self):
        """The connection ends, in order."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        return True

    def reset(self, after=0, **kw):
        """The connection is reset after so many bytes of the body (or before any of the answer)."""
        if after:
            data = self.data
            first, end = self.range(len(data)) or (0, len(data))
            if end - first <= after:
                return self.blob(**kw)
            self.head(206 if self.range(len(data)) else 200,
                      {"Content-Length": end - first, "Content-Range": f"bytes {first}-{end - 1}/{len(data)}"})
            self.send(memoryview(data)[first:first + after])
            time.sleep(0.05)  # what was sent is to arrive
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())  # close() would wait for the files made of it
        return True

    def stall(self, after=0):
        """So many bytes, then nothing until the client hangs up."""
        data = self.data
        first, end = self.range(len(data)) or (0, len(data))
        self.head(206 if self.range(len(data)) else 200,
                  {"Content-Length": end - first, "Content-Range": f"bytes {first}-{end - 1}/{len(data)}"})
        self.send(memoryview(data)[first:min(end, first + after)])
        self.wfile.flush()
        self.connection.settimeout(100)
        try:
            self.connection.recv(1)
        except OSError:
            pass
        self.close_connection = True
        return True

    # ---- the protocol ----

    def serve(self):
        self.registry = self.server.registry
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        self.data = b""
        self.record = {"method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                       "sent": 0, "range": None, "time": time.monotonic(), "open": True}
        with self.registry.lock:
            self.registry.requests.append(self.record)
        try:
            self.answer()
        except OSError:
            self.close_connection = True
        self.record["open"] = False

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def answer(self):
        r = self.registry
        m = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/?]+)(\?.*)?", self.path)
        if m and m.group(2) == "blobs":
            self.data = r.blobs.get(m.group(3), b"")
            self.digest = m.group(3)
        if r.on_request and r.on_request(self):
            return
        if self.path in ("/v2/", "/v2"):
            self.reply(200, b"{}")
        elif m and m.group(2) == "manifests":
            found = r.manifests.get((m.group(1), m.group(3)))
            if not found:
                self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            elif not (r.on_manifest and r.on_manifest(self)):
                media_type, digest, data = found
                self.reply(200, data, {"Docker-Content-Digest": digest}, media_type)
        elif m and m.group(3) in r.blobs:
            if not (r.on_blob and self.command == "GET" and r.on_blob(self)):
                self.blob()
        else:
            self.error(404, "BLOB_UNKNOWN", "blob unknown")


class FaultRegistry:
    def __init__(self, address="127.0.0.1", tls=None):
        self.manifests, self.blobs, self.requests = {}, {}, []
        self.on_request = self.on_manifest = self.on_blob = None
        self.rate = 0  # bytes a second of one connection; 0 = as fast as it goes
        self.hold_at = 0
        self.lock = threading.Lock()

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def server_bind(self):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
                socket.socket.bind(self.socket, self.server_address)
                self.server_address = self.socket.getsockname()
                self.server_name, self.server_port = self.server_address[:2]

            def handle_error(self, request, client_address):
                pass

        self.server = Server((address, 0), Request)
        self.server.registry = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{tls}/server.crt", f"{tls}/server.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.host = f"{address}:{self.server.server_port}"
        self.url = ("https" if tls else "http") + "://" + self.host
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, repository, artifact, *tags):
        self.blobs.update(artifact.blobs)
        for which in (*tags, artifact.id):
            self.manifests[repository, which] = (MANIFEST, artifact.id, artifact.manifest)
        return artifact

    def asked(self, part="", method=None):
        with self.lock:
            return [q for q in self.requests if part in q["path"] and method in (None, q["method"])]

    def sent(self, part="/blobs/"):
        """Body bytes that went out in answers to what has `part` in its path."""
        return sum(q["sent"] for q in self.asked(part))

    def is_quiet(self):
        """Nobody is being answered."""
        return not any(q["open"] for q in self.asked())

    def secrets(self):
        """What came here in headers that carry credentials."""
        return [q["headers"][name] for q in self.asked() for name in ("authorization", "cookie") if name in q["headers"]]
