#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Structured output against an independent judge: texts that random walks through the masks of a schema's grammar
wrote are valid JSON of that schema for Ajv. The schemas are those of schema_walk/ and, where it is present, of
../shared/conformance/schema."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.environ["MR_ROOT"]
BUILD = os.environ["MR_BUILD"]
HERE = os.path.join(ROOT, "tests", "conformance", "schema_walk")
SHARED = os.environ.get("MR_SHARED") or os.path.join(ROOT, "..", "shared")
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import npm  # noqa: E402

WALKS = 40


class SchemaWalk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = os.path.join(BUILD, "schema_walk")
        npm.install(HERE, cls.node)

    def judge(self, schemas, seed):
        """What Ajv says of each schema's texts: [{"valid", "cut", "refused"}]."""
        with tempfile.TemporaryDirectory() as work:
            given, texts = os.path.join(work, "schemas.jsonl"), os.path.join(work, "texts.jsonl")
            with open(given, "w") as f:
                f.write("".join(json.dumps(s) + "\n" for s in schemas))
            with open(given) as f, open(texts, "w") as out:
                walked = subprocess.run([os.environ["SCHEMA_WALK"], str(WALKS), str(seed)], stdin=f, stdout=out,
                                        stderr=subprocess.PIPE, text=True, timeout=120)
            self.assertEqual(walked.returncode, 0, walked.stderr)
            judged = subprocess.run(["node", "validate.mjs", given, texts], cwd=self.node, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(judged.returncode, 0, judged.stderr)
        answer = json.loads(judged.stdout)
        self.assertEqual(answer["wrong"], 0, judged.stderr[:20000])
        self.assertEqual(len(answer["tally"]), len(schemas))
        return answer["tally"]

    def test_own_schemas(self):
        with open(os.path.join(HERE, "schemas.jsonl")) as f:
            schemas = [json.loads(line) for line in f]
        for schema, tally in zip(schemas, self.judge(schemas, seed=1)):
            with self.subTest(schema=schema):
                self.assertEqual(tally["refused"], "")
                self.assertGreater(tally["valid"], WALKS // 2)

    def test_shared_schemas(self):
        path = os.path.join(SHARED, "conformance", "schema", "cases.jsonl")
        if not os.path.exists(path):
            self.skipTest(f"{path} is not present")
        with open(path) as f:
            schemas = [json.loads(line)["schema"] for line in f]
        for schema, tally in zip(schemas, self.judge(schemas, seed=2)):
            with self.subTest(schema=schema):
                self.assertTrue(tally["refused"] or tally["valid"] > WALKS // 2, tally)


if __name__ == "__main__":
    unittest.main(verbosity=0)
