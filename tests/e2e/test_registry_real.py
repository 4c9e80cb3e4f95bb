#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pull and push against the distribution's docker-registry, and skopeo at its other side."""
import hashlib
import json
import os
import unittest

from cli_support import main
from registry_support import (LAYER_GGUF, PASSWORD, READY, REGISTRY, SKOPEO, DockerRegistry, RegistryTest, TokenService,
                              gguf, make_certificates)

SIZE = 3 << 20


@unittest.skipUnless(READY and REGISTRY and SKOPEO, "the programs, docker-registry or skopeo are missing")
class RealRegistry(RegistryTest):
    def setUp(self):
        super().setUp()
        self.file = gguf(SIZE, out=os.path.join(self.home, "m.gguf"))

    def registry(self, name="registry", **kw):
        r = DockerRegistry(os.path.join(self.home, name), **kw)
        self.addCleanup(r.stop)
        return r

    def token_service(self, **kw):
        t = TokenService(os.path.join(self.home, "token"), **kw)
        self.addCleanup(t.close)
        return t

    def id_of(self, name):
        return json.loads(self.ok("inspect", name))["id"]

    def there_and_back(self, host, repository="acme/m"):
        """Package, push, and pull into another store; the ID stays."""
        name = f"{host}/{repository}:v1"
        self.runner()
        self.ok("package", "--gguf", self.file, name)
        pushed = self.id_of(name)
        self.assertIn("Model pushed successfully\n", self.ok("push", name))
        self.runner()
        self.assertEqual(self.ok("ls", "-q"), "")
        self.assertIn("Model pulled successfully\n", self.ok("pull", name))
        self.assertEqual(self.ok("ls", "-q"), pushed[7:19] + "\n")
        self.assertEqual(self.id_of(name), pushed)
        self.verify_clean()
        return name, pushed

    def test_plain(self):
        r = self.registry()
        name, pushed = self.there_and_back(r.host)
        # What skopeo reads is what we wrote.
        raw = self.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
        self.assertEqual("sha256:" + hashlib.sha256(raw).hexdigest(), pushed)
        manifest = json.loads(raw)
        self.assertEqual([layer["mediaType"] for layer in manifest["layers"]], [LAYER_GGUF])
        with open(self.file, "rb") as f:
            self.assertEqual(manifest["layers"][0]["digest"], "sha256:" + hashlib.sha256(f.read()).hexdigest())
        # What skopeo copied, out of the registry and back under another name, we read.
        self.skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"oci:{self.home}/oci:x")
        self.skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{self.home}/oci:x", f"docker://{r.host}/copied/by:skopeo")
        self.runner()
        self.ok("pull", f"{r.host}/copied/by:skopeo")
        self.assertEqual(self.id_of(f"{r.host}/copied/by:skopeo"), pushed)
        # Once more: nothing but the tag is asked for.
        gets = r.count("GET", "/blobs/")
        self.assertIn("Using cached model: ", self.ok("pull", f"{r.host}/copied/by:skopeo"))
        self.assertEqual(r.count("GET", "/blobs/"), gets)
        self.verify_clean()

    def test_push_sends_only_what_is_missing(self):
        r = self.registry()
        self.runner()
        self.ok("package", "--gguf", self.file, f"{r.host}/a/m:v1")
        self.ok("push", f"{r.host}/a/m:v1")
        uploads = r.count("PATCH", "/blobs/uploads/") + r.count("PUT", "/blobs/uploads/")
        self.ok("tag", f"{r.host}/a/m:v1", f"{r.host}/a/m:v2")
        self.ok("push", f"{r.host}/a/m:v2")
        self.assertEqual(r.count("PATCH", "/blobs/uploads/") + r.count("PUT", "/blobs/uploads/"), uploads)
        # Into another repository of the same registry: mounted, not sent.
        self.ok("tag", f"{r.host}/a/m:v1", f"{r.host}/b/m:v1")
        self.ok("push", f"{r.host}/b/m:v1")
        self.assertEqual(r.count("PATCH", "/b/m/blobs/uploads/") + r.count("PUT", "/b/m/blobs/uploads/"), 0)
        self.runner()
        self.ok("pull", f"{r.host}/b/m:v1")
        self.verify_clean()

    def test_tls_with_private_authority(self):
        certificates = make_certificates(os.path.join(self.home, "pki"))
        r = self.registry(tls=certificates)
        self.runner()
        self.ok("package", "--gguf", self.file, f"{r.host}/acme/m")
        for verb in ("push", "pull"):
            self.assertIn("certificate", self.fails(verb, f"{r.host}/acme/m"))
        trusted = os.path.join(self.docker_config, "certs.d", r.host)
        os.makedirs(trusted)
        with open(os.path.join(certificates, "ca.crt"), "rb") as f, open(os.path.join(trusted, "ca.crt"), "wb") as out:
            out.write(f.read())
        self.there_and_back(r.host)

    def test_tls_unverified_by_opt_in(self):
        r = self.registry(tls=make_certificates(os.path.join(self.home, "pki"), "DNS:another.example"))
        self.env["INSECURE_REGISTRY"] = r.host
        self.there_and_back(r.host)

    def test_client_certificate(self):
        certificates = make_certificates(os.path.join(self.home, "pki"))
        r = self.registry(tls=certificates, client_ca=os.path.join(certificates, "ca.crt"))
        trusted = os.path.join(self.docker_config, "certs.d", r.host)
        os.makedirs(trusted)
        os.symlink(os.path.join(certificates, "ca.crt"), os.path.join(trusted, "ca.crt"))
        self.runner()
        self.fails("pull", f"{r.host}/acme/m")
        for name in ("client.cert", "client.key"):
            os.symlink(os.path.join(certificates, name), os.path.join(trusted, name))
        self.there_and_back(r.host)

    def test_basic_auth(self):
        r = self.registry(basic=True)
        self.runner()
        self.ok("package", "--gguf", self.file, f"{r.host}/acme/m")
        for verb in ("push", "pull"):
            self.assertIn("UNAUTHORIZED", self.fails(verb, f"{r.host}/acme/m").upper())
        self.log_in(r.host, password="wrong")
        err = self.fails("pull", f"{r.host}/acme/m")
        self.assertIn("UNAUTHORIZED", err.upper())
        self.assertNotIn("wrong", err)
        self.log_in(r.host)
        self.there_and_back(r.host)

    def test_credential_helper(self):
        r = self.registry(basic=True)
        bin_dir = os.path.join(self.home, "bin")
        os.makedirs(bin_dir)
        helper = os.path.join(bin_dir, "docker-credential-tests")
        with open(helper, "w") as f:
            f.write('#!/bin/sh\nread -r host\ntest "$1" = get || exit 1\n'
                    f'printf \'{{"ServerURL":"%s","Username":"tester","Secret":"{PASSWORD}"}}\' "$host"\n')
        os.chmod(helper, 0o755)
        self.env["PATH"] = bin_dir + ":" + self.env["PATH"]
        with open(os.path.join(self.docker_config, "config.json"), "w") as f:
            json.dump({"credHelpers": {r.host: "tests"}}, f)
        self.there_and_back(r.host)

    def test_token_service(self):
        t = self.token_service()
        r = self.registry(token=t)
        self.runner()
        self.ok("package", "--gguf", self.file, f"{r.host}/public/m")
        self.assertIn("UNAUTHORIZED", self.fails("push", f"{r.host}/public/m").upper())
        self.log_in(r.host)
        name, pushed = self.there_and_back(r.host, "public/m")
        scopes = {s for q in t.requests for s in q["query"].get("scope", [])}
        self.assertTrue(any(s.startswith("repository:public/m:") and "push" in s for s in scopes), scopes)
        # Without credentials what is public is there, and what is private is not.
        os.unlink(os.path.join(self.docker_config, "config.json"))
        del t.requests[:]
        self.runner()
        self.ok("pull", name)
        self.assertFalse([q for q in t.requests if "Authorization" in q["headers"]])
        self.assertIn("UNAUTHORIZED", self.fails("pull", f"{r.host}/private/m").upper())
        self.assertEqual(self.id_of(name), pushed)

    def test_identity_token(self):
        t = self.token_service()
        r = self.registry(token=t)
        with open(os.path.join(self.docker_config, "config.json"), "w") as f:
            json.dump({"auths": {r.host: {"identitytoken": "refresh-me"}}}, f)
        self.there_and_back(r.host)
        self.assertTrue(any(q["method"] == "POST" and q["query"].get("grant_type") == ["refresh_token"]
                            for q in t.requests))

    def test_missing(self):
        r = self.registry()
        self.runner()
        err = self.fails("pull", f"{r.host}/no/such:model")
        self.assertRegex(err, "MANIFEST_UNKNOWN|NAME_UNKNOWN")
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        self.assertIn("not found", self.fails("push", f"{r.host}/no/such:model"))
        for verb in ("pull", "push"):
            self.assertIn("invalid:reference:format", self.fails(verb, "invalid:reference:format"))

    def test_inspect_remote(self):
        r = self.registry()
        name, pushed = self.there_and_back(r.host)
        self.runner()
        self.assertEqual(json.loads(self.ok("inspect", "--remote", name))["id"], pushed)
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        self.fails("inspect", "--remote", f"{r.host}/no/such")


if __name__ == "__main__":
    main()
