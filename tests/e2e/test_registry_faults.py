#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Registries that break, lie and attack: a clear error or a completed pull, nothing wrong in the store, and no
secret at the wrong host.

Every case has a registry, a runner and a store of its own; the cases run side by side, because most of their time is
waiting.
"""
import base64
import concurrent.futures
import gzip
import hashlib
import json
import os
import socket
import time
import unittest

from cli_support import main
from fault_registry import FaultRegistry
from registry_support import (CONFIG_V01, LAYER_GGUF, MANIFEST, PASSWORD, READY, Artifact, RegistryTest, gguf,
                              make_certificates, model, noise, sha256)

MIB = 1 << 20
SMALL = model(MIB, seed=1, licence=b"do what you like")
LARGE = model(24 * MIB, seed=2)
LARGE_LAYER = LARGE.layers[0]
CDN, STRANGER = "127.0.0.2", "127.0.0.3"


class SideBySide(unittest.TestSuite):
    def run(self, result, debug=False):
        tests = list(self._leaves(self))
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda test: test(result), tests))
        return result

    def _leaves(self, suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                yield from self._leaves(test)
            else:
                yield test


def load_tests(loader, tests, pattern):
    return SideBySide([tests])


@unittest.skipUnless(READY, "the programs are not built")
class FaultTest(RegistryTest):
    def registry(self, artifact=LARGE, address="127.0.0.1", tls=None):
        r = FaultRegistry(address, tls)
        self.addCleanup(r.close)
        self.artifact = artifact
        if artifact:
            r.add("acme/m", artifact, "v1")
        return r

    def pull(self, registry, repository="acme/m:v1", runner=None, **env):
        self.daemon = runner or self.runner(**env)
        return self.daemon.pull(f"{registry.host}/{repository}")

    def clean(self):
        """Nothing wrong in the store, and no daemon that died or swelled."""
        self.assertIsNone(self.daemon.process.poll(), self.daemon.log()[-3000:])
        self.verify_clean(self.daemon)
        self.assertLess(self.daemon.memory(), 100)
        blobs = os.path.join(self.daemon.store, "blobs", "sha256")
        for name in os.listdir(blobs) if os.path.isdir(blobs) else []:
            if len(name) == 64:
                with open(os.path.join(blobs, name), "rb") as f:
                    self.assertEqual(hashlib.sha256(f.read()).hexdigest(), name)

    def completes(self, pulled, artifact=None):
        artifact = artifact or self.artifact
        self.assertTrue(pulled.ok, f"{pulled.status} {pulled.message}")
        self.assertEqual(pulled.backwards(), [])
        self.assertEqual([m["id"] for m in self.daemon.models()], [artifact.id])
        for digest, data in artifact.blobs.items():
            with open(os.path.join(self.daemon.store, "blobs", "sha256", digest[7:]), "rb") as f:
                self.assertEqual(f.read(), data)
        self.clean()

    def refused(self, pulled, pattern):
        self.assertFalse(pulled.ok, pulled.text[-300:])
        self.assertRegex(pulled.message, pattern)
        self.assertLess(len(pulled.message), 2000)
        self.assertEqual(self.daemon.models(), [])
        self.clean()

    def first(self, n, fault):
        """A hook: the first n requests get the fault."""
        count = [0]

        def hook(q):
            count[0] += 1
            return fault(q) if count[0] <= n else False
        return hook

    def of_the_layer(self, fault):
        """A hook: only requests for the first layer get the fault."""
        return lambda q: fault(q) if q.digest == self.artifact.layers[0] else False


class Lines(FaultTest):
    """Connections that break and stall, servers that are busy."""

    def test_nothing_wrong(self):
        r = self.registry()
        self.completes(self.pull(r))
        # When little is left, a connection may give half of its part to another; what is then under way is lost.
        self.assertLess(r.sent(LARGE_LAYER), len(LARGE.blobs[LARGE_LAYER]) + 8 * MIB)

    def test_resets_after_a_megabyte(self):
        r = self.registry()
        r.on_blob = self.first(6, lambda q: q.reset(MIB))
        self.completes(self.pull(r))
        # What arrived before a reset may get lost in the kernel, but no more than that.
        self.assertLess(r.sent(LARGE_LAYER), len(LARGE.blobs[LARGE_LAYER]) + 7 * MIB)

    def test_every_connection_resets(self):
        r = self.registry()
        r.on_blob = lambda q: q.reset(3 * MIB)
        self.completes(self.pull(r))

    def test_resets_before_a_byte(self):
        r = self.registry()
        r.on_blob = self.first(3, lambda q: q.reset())
        self.completes(self.pull(r))

    def test_only_resets(self):
        r = self.registry()
        r.on_blob = lambda q: q.reset()
        self.refused(self.pull(r), "(?i)reset|connection|no answer")
        self.assertLess(len(r.asked("/blobs/")), 40)

    def test_resets_of_the_manifest(self):
        r = self.registry(SMALL)
        r.on_manifest = self.first(2, lambda q: q.reset())
        self.completes(self.pull(r))

    def test_too_many_requests(self):
        r = self.registry()
        r.on_blob = self.of_the_layer(
            self.first(2, lambda q: q.error(429, "TOOMANYREQUESTS", headers={"Retry-After": "2"})))
        self.completes(self.pull(r))
        times = [q["time"] for q in r.asked(LARGE_LAYER, "GET")]
        self.assertGreater(max(b - a for a, b in zip(times, times[1:])), 1.8)

    def test_too_many_requests_at_the_manifest(self):
        r = self.registry(SMALL)
        r.on_manifest = self.first(2, lambda q: q.error(429, "TOOMANYREQUESTS", headers={"Retry-After": "1"}))
        self.completes(self.pull(r))

    def test_too_many_requests_for_ever(self):
        r = self.registry()
        r.on_blob = lambda q: q.error(429, "TOOMANYREQUESTS")
        self.refused(self.pull(r), "(?i)429|TOOMANYREQUESTS|too many")
        self.assertLess(len(r.asked("/blobs/")), 40)

    def test_wait_until_tomorrow(self):
        r = self.registry(SMALL)
        r.on_request = self.first(100, lambda q: q.error(429, "TOOMANYREQUESTS", headers={"Retry-After": "86400"}))
        began = time.monotonic()
        self.refused(self.pull(r), "(?i)429|TOOMANYREQUESTS|too many")
        self.assertLess(time.monotonic() - began, 600)

    def test_unavailable_for_a_while(self):
        r = self.registry()
        r.on_blob = self.first(3, lambda q: q.reply(503, b"<html>busy</html>", content_type="text/html"))
        self.completes(self.pull(r))

    def test_unavailable_for_ever(self):
        r = self.registry()
        r.on_blob = lambda q: q.error(503, "UNAVAILABLE")
        self.refused(self.pull(r), "503|UNAVAILABLE")

    def test_stall(self):
        r = self.registry()
        r.on_blob = self.first(2, lambda q: q.stall(MIB))
        began = time.monotonic()
        self.completes(self.pull(r))
        self.assertLess(time.monotonic() - began, 110)

    def test_ends_after_a_while(self):
        r = self.registry()
        r.on_blob = self.first(5, lambda q: q.blob(limit=2 * MIB))
        self.completes(self.pull(r))

    def test_always_short(self):
        r = self.registry()
        r.on_blob = self.of_the_layer(lambda q: q.blob(ranges=False, length=5 * MIB, limit=4 * MIB))
        self.refused(self.pull(r), "(?i)bytes|short|size|fewer")

    def test_missing_blob(self):
        r = self.registry()
        r.on_blob = lambda q: q.error(404, "BLOB_UNKNOWN")
        self.refused(self.pull(r), "BLOB_UNKNOWN|404|not found")

    def test_nobody_there(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))  # and does not listen
            self.daemon = self.runner()
            pulled = self.daemon.pull(f"127.0.0.1:{s.getsockname()[1]}/acme/m")
        self.refused(pulled, "(?i)connect|refused")


class Ranges(FaultTest):
    def test_no_ranges(self):
        r = self.registry()
        r.on_blob = lambda q: q.blob(ranges=False)
        self.completes(self.pull(r))
        self.assertLess(r.sent(LARGE_LAYER), len(LARGE.blobs[LARGE_LAYER]) * 3 // 2)

    def test_no_ranges_and_a_break(self):
        r = self.registry()
        r.on_blob = self.first(1, lambda q: q.blob(ranges=False, limit=10 * MIB) if q.digest == LARGE_LAYER else False)
        inner = r.on_blob
        r.on_blob = lambda q: inner(q) or q.blob(ranges=False)
        self.completes(self.pull(r))

    def test_ranges_are_refused(self):
        r = self.registry()
        r.on_blob = lambda q: q.error(416, "RANGE_INVALID") if q.headers.get("Range") else False
        self.completes(self.pull(r))

    def lie(self, text):
        r = self.registry()
        r.on_blob = lambda q: q.blob(content_range=text) if q.headers.get("Range") else False
        pulled = self.pull(r)
        self.completes(pulled) if pulled.ok else self.refused(pulled, "(?i)range|bytes")

    def test_range_elsewhere(self):
        self.lie("bytes 5-1048580/25165824")

    def test_range_of_another_size(self):
        self.lie("bytes 0-8388607/999")

    def test_range_of_nonsense(self):
        self.lie("bytes 18446744073709551615-1/*")

    def test_range_not_told(self):
        r = self.registry()
        r.on_blob = lambda q: q.blob(headers={"Content-Range": None}) if q.headers.get("Range") else False
        pulled = self.pull(r)
        self.completes(pulled) if pulled.ok else self.refused(pulled, "(?i)range|bytes")

    def test_right_header_wrong_bytes(self):
        """A cache that answers every range with the first one."""
        data = LARGE.blobs[LARGE_LAYER]
        wrong = data[:8 * MIB] * 4
        r = self.registry()
        r.on_blob = lambda q: q.blob(wrong[:len(data)]) if q.headers.get("Range") else False
        self.refused(self.pull(r), "(?i)digest|corrupt")

    def test_unasked_range(self):
        r = self.registry(SMALL)
        size = len(SMALL.blobs[SMALL.layers[0]])
        r.on_blob = self.of_the_layer(
            lambda q: q.blob(ranges=False, status=206, headers={"Content-Range": f"bytes 0-{size - 1}/{size}"}))
        pulled = self.pull(r)
        self.completes(pulled) if pulled.ok else self.refused(pulled, "(?i)range|bytes")


class Lies(FaultTest):
    """Content that is not what it should be."""

    def test_wrong_digest(self):
        r = self.registry()
        data = bytearray(LARGE.blobs[LARGE_LAYER])
        data[20 * MIB] ^= 1
        r.on_blob = lambda q: q.blob(bytes(data)) if q.digest == LARGE_LAYER else False
        pulled = self.pull(r)
        self.refused(pulled, "(?i)digest|corrupt")
        self.assertIn(LARGE_LAYER[7:19], pulled.message)
        # The registry is mended: the wrong bytes do not stay in the way.
        r.on_blob = None
        self.completes(self.daemon.pull(f"{r.host}/acme/m:v1"))

    def test_wrong_config(self):
        r = self.registry(SMALL)
        config = SMALL.blobs[SMALL.config]
        r.on_blob = lambda q: q.blob(config.replace(b"llama", b"lemma")) if q.digest == SMALL.config else False
        self.refused(self.pull(r), "(?i)digest|corrupt")

    def test_wrong_manifest(self):
        r = self.registry(SMALL)
        other = SMALL.manifest.replace(b"file-0", b"file-9")
        r.manifests["acme/m", SMALL.id] = r.manifests["acme/m", "v1"] = (MANIFEST, SMALL.id, other)
        self.refused(self.pull(r), "expected sha256:\\w+, got sha256:")
        self.refused(self.pull(r, "acme/m@" + SMALL.id, self.daemon), "expected sha256:\\w+, got sha256:")

    def test_body_longer_than_told(self):
        r = self.registry(SMALL)
        r.on_blob = lambda q: q.blob(q.data + bytes(MIB), ranges=False)
        self.refused(self.pull(r), "(?i)bytes|size")

    def test_body_shorter_than_told(self):
        r = self.registry(SMALL)
        r.on_blob = lambda q: q.blob(q.data[:1000], ranges=False) if len(q.data) > 1000 else False
        self.refused(self.pull(r), "(?i)bytes|size")

    def test_body_without_length(self):
        r = self.registry(SMALL)

        def endless(q):
            q.head(200, {"Connection": "close"})
            q.close_connection = True
            for _ in range(64):
                q.send(bytes(MIB))
            return True
        r.on_blob = endless
        self.refused(self.pull(r), "(?i)bytes|size|digest")
        self.assertLess(r.sent(SMALL.layers[0]), 60 * MIB)

    def test_gzip_bomb(self):
        bomb = gzip.compress(bytes(64 * MIB))
        for name in ("on_manifest", "on_blob"):
            with self.subTest(name):
                r = self.registry(SMALL)
                setattr(r, name, lambda q: q.reply(200, bomb, {"Content-Encoding": "gzip"}, MANIFEST))
                self.refused(self.pull(r), ".")

    def test_manifest_of_64_megabytes(self):
        document = dict(SMALL.document, annotations={"x": "y" * (64 * MIB)})
        data = json.dumps(document).encode()
        for told in (True, False):
            with self.subTest(told=told):
                r = self.registry(None)
                r.manifests["acme/m", "v1"] = (MANIFEST, sha256(data), data)

                def untold(q):
                    q.head(200, {"Content-Type": MANIFEST, "Connection": "close"})
                    q.close_connection = True
                    q.send(data)
                    return True
                r.on_manifest = None if told else (lambda q: q.command == "GET" and untold(q))
                self.refused(self.pull(r), "(?i)large|limit|MiB|MB|bytes")
                self.assertLess(r.sent("/manifests/"), 48 * MIB)

    def test_deep_manifest(self):
        r = self.registry(None)
        data = b'{"a":' * 100000 + b"1" + b"}" * 100000
        r.manifests["acme/m", "v1"] = (MANIFEST, sha256(data), data)
        self.refused(self.pull(r), ".")

    def test_html_instead_of_a_manifest(self):
        r = self.registry(None)
        data = b"<html><body>Please log in to the guest network</body></html>"
        r.manifests["acme/m", "v1"] = ("text/html", sha256(data), data)
        self.refused(self.pull(r), ".")

    def bad_manifest(self, change, pattern):
        artifact = model(MIB, seed=3)
        change(artifact.document)
        artifact.seal()
        r = self.registry(artifact)
        self.refused(self.pull(r), pattern)
        return r

    def test_digest_with_a_path(self):
        for digest in ("sha256:../../../../../../etc/passwd", "sha256:" + "../" * 20 + "etc/passwd",
                       "../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "", "sha512:" + "0" * 64):
            with self.subTest(digest):
                r = self.bad_manifest(lambda d: d["layers"][0].update(digest=digest), "(?i)digest|sha")
                self.assertFalse([q for q in r.asked() if ".." in q["path"]])

    def test_digest_header_with_a_path(self):
        r = self.registry(SMALL)
        r.manifests["acme/m", "v1"] = (MANIFEST, "sha256:../../../evil", SMALL.manifest)
        pulled = self.pull(r)
        self.completes(pulled) if pulled.ok else self.refused(pulled, "(?i)digest")

    def test_file_path_out_of_the_store(self):
        for path in ("../../../../evil.gguf", f"{self.home}/evil.gguf", "a/../../../evil.gguf", "x\0y"):
            with self.subTest(path):
                artifact = model(MIB, seed=4)
                artifact.document["layers"][0]["annotations"] = {"org.cncf.model.filepath": path}
                artifact.seal()
                r = self.registry(artifact)
                pulled = self.pull(r)
                self.completes(pulled) if pulled.ok else self.refused(pulled, "(?i)path|name")
                self.cli("run", f"{r.host}/acme/m:v1", "hi", timeout=60)
                found = [f for _, _, files in os.walk(self.home) for f in files if f.startswith("evil")]
                self.assertEqual(found, [])

    def test_sizes(self):
        for size in (-1, 2**63, 1e300, "12", None, 1.5):
            with self.subTest(size):
                self.bad_manifest(lambda d: d["layers"][0].update(size=size), ".")

    def test_size_other_than_the_blob(self):
        self.bad_manifest(lambda d: d["layers"][0].update(size=5000), "(?i)bytes|size|digest")

    def test_more_than_the_disk(self):
        r = self.bad_manifest(lambda d: d["layers"][0].update(size=1 << 50), "(?i)space|disk")
        self.assertEqual(r.asked(self.artifact.layers[0], "GET"), [])

    def test_many_layers(self):
        def change(d):
            d["layers"] = d["layers"] * 100000
        self.bad_manifest(change, ".")

    def test_same_layer_twice(self):
        artifact = model(MIB, seed=5)
        artifact.document["layers"] *= 2
        artifact.seal()
        r = self.registry(artifact)
        pulled = self.pull(r)
        self.completes(pulled) if pulled.ok else self.refused(pulled, ".")

    def test_unknown_config(self):
        artifact = Artifact([(LAYER_GGUF, noise(1000))], "application/vnd.docker.ai.model.config.v99.0+json")
        r = self.registry(artifact)
        pulled = self.pull(r)
        self.assertEqual(pulled.status, 422)
        self.refused(pulled, "config type \"application/vnd.docker.ai.model.config.v99.0.json\" is not supported")
        self.assertEqual(r.asked(artifact.layers[0]), [])

    def test_config_of_nonsense(self):
        for config in (b"", b"null", b"[]", b'{"config":7}', b'{"config":{"gguf":' + b"[" * 50000, b"\xff\xfe"):
            with self.subTest(config[:20]):
                r = self.registry(Artifact([(LAYER_GGUF, gguf(1000))], config=config))
                pulled = self.pull(r)
                self.clean() if pulled.ok else self.refused(pulled, ".")

    def test_index(self):
        r = self.registry(SMALL)
        entry = {"mediaType": MANIFEST, "digest": SMALL.id, "size": len(SMALL.manifest)}
        for entries, good in (([entry], True), ([], False), ([dict(entry, digest="sha256:" + "0" * 64)], False)):
            with self.subTest(good):
                index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                                    "manifests": entries}).encode()
                r.manifests["acme/m", "v1"] = ("application/vnd.oci.image.index.v1+json", sha256(index), index)
                pulled = self.pull(r)
                self.completes(pulled) if good else self.refused(pulled, ".")

    def test_index_of_itself(self):
        r = self.registry(SMALL)
        index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + "1" * 64, "size": 100}]})
        r.on_manifest = lambda q: q.reply(200, index.encode(), content_type="application/vnd.oci.image.index.v1+json")
        self.refused(self.pull(r), ".")
        self.assertLess(len(r.asked("/manifests/")), 20)


class Redirects(FaultTest):
    def redirecting(self, artifact=LARGE, tls=None, status=307):
        """A registry with credentials whose blobs lie at another host."""
        cdn = self.registry(artifact, CDN)
        cdn.tickets = 10**9

        def serve(q):
            cdn.tickets -= 1
            digest = q.path.split("/")[-1].split("?")[0]
            q.data = cdn.blobs[digest]
            q.digest = digest
            return q.error(403, "DENIED") if cdn.tickets < 0 else q.blob()
        cdn.on_request = serve
        r = self.registry(artifact, tls=tls)
        basic = "Basic " + base64.b64encode(f"tester:{PASSWORD}".encode()).decode()

        def guard(q):
            if q.headers.get("Authorization") != basic:
                return q.error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": 'Basic realm="tests"'})
            if q.digest_is_blob():
                return q.reply(status, b"", {"Location": f"{cdn.url}/cdn/{q.digest}?signature=x"})
            return False
        r.on_request = lambda q: guard(with_helper(q))
        self.log_in(r.host)
        return r, cdn

    def test_to_another_host(self):
        for status in (301, 302, 303, 307, 308):
            with self.subTest(status):
                r, cdn = self.redirecting(status=status)
                self.completes(self.pull(r))
                self.assertEqual(cdn.secrets(), [])
                self.assertGreater(len([q for q in cdn.asked(LARGE_LAYER) if "range" in q["headers"]]), 1)

    def test_signed_address_that_expires(self):
        r, cdn = self.redirecting()
        cdn.tickets = 2
        asked = r.asked
        real = cdn.on_request

        def again(q):  # whoever asked the registry anew gets in
            if len(asked(LARGE_LAYER, "GET")) > 2:
                cdn.tickets = 10
            return real(q)
        cdn.on_request = again
        self.completes(self.pull(r))
        self.assertEqual(cdn.secrets(), [])

    def test_the_other_host_wants_credentials(self):
        r, cdn = self.redirecting()
        cdn.on_request = lambda q: q.error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": 'Basic realm="give"'})
        self.refused(self.pull(r), ".")
        self.assertEqual(cdn.secrets(), [])

    def test_of_the_manifest(self):
        cdn = self.registry(SMALL, CDN)
        r, _ = self.redirecting(SMALL)
        guard = r.on_request
        r.on_request = lambda q: guard(q) or ("/manifests/" in q.path and q.reply(307, b"", {"Location": cdn.url + q.path}))
        pulled = self.pull(r)
        self.completes(pulled, SMALL)
        self.assertEqual(cdn.secrets(), [])

    def test_from_tls_to_plain(self):
        pki = make_certificates(os.path.join(self.home, "pki"))
        r, cdn = self.redirecting(tls=pki)
        trusted = os.path.join(self.docker_config, "certs.d", r.host)
        os.makedirs(trusted)
        os.symlink(os.path.join(pki, "ca.crt"), os.path.join(trusted, "ca.crt"))
        pulled = self.pull(r)
        self.completes(pulled) if pulled.ok else self.refused(pulled, "(?i)http|TLS|plain|redirect")
        self.assertEqual(cdn.secrets(), [])
        self.assertTrue(r.secrets())

    def bad_target(self, location, pattern):
        r = self.registry(SMALL)
        r.on_blob = lambda q: q.reply(307, b"", {"Location": location})
        self.refused(self.pull(r), pattern)

    def test_to_inner_addresses(self):
        for host in ("169.254.169.254", "10.1.2.3", "[::ffff:169.254.169.254]", "[fd00::1]", "2852039166", "0xa9fea9fe",
                     "192.168.1.1:8080", "[fe80::1]"):
            with self.subTest(host):
                self.bad_target(f"http://{host}/latest/meta-data/", "(?i)private|link-local|address|refuse|host")

    def test_to_files_and_other_schemes(self):
        for location in ("file:///etc/passwd", "gopher://127.0.0.1:1/x", "ftp://127.0.0.1/x", "", "http://", "\\\\x"):
            with self.subTest(location):
                self.bad_target(location, ".")

    def test_in_a_circle(self):
        r = self.registry(SMALL)
        r.on_blob = lambda q: q.reply(307, b"", {"Location": q.path})
        self.refused(self.pull(r), "(?i)redirect")
        self.assertLess(len(r.asked("/blobs/")), 80)


def with_helper(q):
    q.digest_is_blob = lambda: bool(q.data)
    return q


class Credentials(FaultTest):
    BASIC = "Basic " + base64.b64encode(f"tester:{PASSWORD}".encode()).decode()

    def challenging(self, realm, artifact=SMALL, scheme="Bearer", **kw):
        """A registry that wants a token from `realm`, or a password."""
        r = self.registry(artifact, **kw)
        header = f'{scheme} realm="{realm}",service="tests",scope="repository:acme/m:pull"'
        r.token = "good-token"
        r.on_request = lambda q: (q.headers.get("Authorization") != f"Bearer {r.token}" and
                                  q.error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": header}))
        return r

    def token_service(self, address, **kw):
        t = self.registry(None, address, **kw)
        t.answer = {"token": "good-token", "expires_in": 300}
        t.on_request = lambda q: q.reply(200, t.answer)
        return t

    def test_own_token_service(self):
        t = self.token_service("127.0.0.1")
        r = self.challenging(t.url + "/token")
        self.log_in(r.host)
        self.artifact = SMALL
        self.completes(self.pull(r))
        self.assertEqual(set(t.secrets()), {self.BASIC})
        self.assertNotIn(self.BASIC, r.secrets())

    def test_strange_token_service(self):
        t = self.token_service(STRANGER)
        r = self.challenging(t.url + "/token")
        self.log_in(r.host)
        self.artifact = SMALL
        pulled = self.pull(r)
        self.completes(pulled) if pulled.ok else self.refused(pulled, ".")
        self.assertEqual(t.secrets(), [])
        self.assertFalse([q for q in t.asked() if "tester" in q["path"]])

    def test_stranger_asks_for_a_password(self):
        """Credentials of one registry are for that one alone, port included."""
        other = self.registry(SMALL)
        self.log_in(other.host)
        self.log_in("https://index.docker.io/v1/")
        for address in ("127.0.0.1", STRANGER):
            with self.subTest(address):
                r = self.registry(SMALL, address)
                r.on_request = lambda q: q.error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": 'Basic realm="x"'})
                self.refused(self.pull(r, DOCKER_USERNAME="hub", DOCKER_PASSWORD="hub-word"), "(?i)unauthorized")
                self.assertEqual(r.secrets(), [])

    def test_realm_on_an_inner_address(self):
        for realm in ("http://169.254.169.254/latest/api/token", "http://10.0.0.1/token", "http://2852039166/token",
                      "http://[::ffff:169.254.169.254]/", "http://192.168.0.1:8080/t", "http://[fd00:ec2::254]/t",
                      "file:///etc/passwd", "http://", "gopher://127.0.0.1:70/"):
            with self.subTest(realm):
                r = self.challenging(realm)
                self.log_in(r.host)
                # Refused, and not tried in vain.
                self.refused(self.pull(r), "private|link-local|only http and https|not a URL")

    def test_realm_redirects_inwards(self):
        t = self.token_service("127.0.0.1")
        t.on_request = lambda q: q.reply(302, b"", {"Location": "http://169.254.169.254/latest/api/token"})
        r = self.challenging(t.url + "/token")
        self.log_in(r.host)
        self.refused(self.pull(r), "a redirect, which is not followed")

    def test_plain_realm_of_a_tls_registry(self):
        pki = make_certificates(os.path.join(self.home, "pki"))
        t = self.token_service("127.0.0.1")
        r = self.challenging(t.url + "/token", tls=pki)
        trusted = os.path.join(self.docker_config, "certs.d", r.host)
        os.makedirs(trusted)
        os.symlink(os.path.join(pki, "ca.crt"), os.path.join(trusted, "ca.crt"))
        self.log_in(r.host)
        self.refused(self.pull(r), ".")
        self.assertEqual(t.secrets(), [])

    def test_answers_of_a_broken_token_service(self):
        for answer in (b"", b"{}", b'{"token":""}', b'{"token":7}', b'{"token":"a\\r\\nX-Evil: 1"}', b"<html>",
                       b'{"token":"' + b"x" * (2 * MIB) + b'"}', b"[" * 100000):
            with self.subTest(answer[:20]):
                t = self.token_service("127.0.0.1")
                t.on_request = lambda q: q.reply(200, answer)
                r = self.challenging(t.url + "/token")
                self.refused(self.pull(r), ".")
                self.assertFalse([q for q in r.asked() if "x-evil" in q["headers"]])

    def test_secrets_of_the_service_are_not_repeated(self):
        t = self.token_service("127.0.0.1")
        t.on_request = lambda q: q.reply(403, {"details": "your AWS key is AKIA-very-secret"})
        r = self.challenging(t.url + "/token")
        self.log_in(r.host)
        pulled = self.pull(r)
        self.refused(pulled, ".")
        self.assertNotIn("AKIA", pulled.text + self.daemon.log())
        self.assertNotIn(PASSWORD, pulled.text + self.daemon.log())

    def test_token_that_ends_in_the_middle(self):
        t = self.token_service("127.0.0.1")
        r = self.challenging(t.url + "/token", artifact=LARGE)
        guard = r.on_request

        def hook(q):
            if guard(q):
                return True
            if r.token == "good-token" and q.data and q.command == "GET" and len(q.data) > MIB:
                r.token = "second-token"  # all that was given out is worth nothing now
                t.answer = {"token": "second-token"}
                return q.blob(limit=MIB)  # so that the rest must be asked for, however few requests that takes
            return False
        r.on_request = hook
        self.artifact = LARGE
        self.completes(self.pull(r))
        self.assertGreaterEqual(len(t.asked("/token")), 2)

    def test_token_that_never_helps(self):
        t = self.token_service("127.0.0.1")
        r = self.challenging(t.url + "/token")
        r.token = "never-given"
        self.refused(self.pull(r), "(?i)unauthorized")
        self.assertLess(len(t.asked("/token")), 5)
        self.assertLess(len(r.asked()), 20)

    def test_nonsense_challenges(self):
        for header in ("", "Bearer", "Bearer realm=", 'Bearer realm="', "Negotiate", "Bearer " + "a=b," * 5000,
                       'Basic realm="x", Bearer realm="http://169.254.169.254/"', "\xff\xfe=\x01"):
            with self.subTest(header[:30]):
                r = self.registry(SMALL)
                r.on_request = lambda q: q.error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": header})
                self.refused(self.pull(r), ".")


if __name__ == "__main__":
    main()
