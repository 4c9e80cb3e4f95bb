#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker model skills: texts for coding assistants, where they look for them."""
import os
import re

from cli_support import CliTest, main

FILE = os.path.join("docker-model-runner", "SKILL.md")


class Skills(CliTest):
    def read(self, *parts):
        with open(os.path.join(self.home, *parts), encoding="utf-8") as f:
            return f.read()

    def test_targets(self):
        out = self.ok("skills", "--codex", "--claude", "--opencode", "--dest", os.path.join(self.home, "x"))
        places = [".codex/skills", ".claude/skills", ".config/opencode/skills", "x"]
        self.assertEqual(out, "".join(f"Installed Docker Model Runner skills to {self.home}/{p}\n" for p in places))
        texts = {self.read(p, FILE) for p in places}
        self.assertEqual(len(texts), 1)
        self.assertTrue(re.match(r"---\nname: docker-model-runner\ndescription: \S.*\n(  .*\n)?---\n\n# ", texts.pop()))

    def test_every_command_of_the_text_exists(self):
        self.ok("skills", "--claude")
        names = set(re.findall(r"docker model ([a-z]+)", self.read(".claude/skills", FILE)))
        self.assertGreater(len(names), 10)
        for name in names:
            self.assertIn(f"docker model {name}", self.ok(name, "--help"))

    def test_nothing_is_overwritten_by_itself(self):
        self.ok("skills", "--claude")
        path = os.path.join(self.home, ".claude/skills", FILE)
        with open(path, "w", encoding="utf-8") as f:
            f.write("mine")
        self.assertEqual(self.fails("skills", "--claude"), f"file already exists: {path} (use --force to overwrite)\n")
        self.assertEqual(self.read(".claude/skills", FILE), "mine")
        self.ok("skills", "--claude", "-f")
        self.assertNotEqual(self.read(".claude/skills", FILE), "mine")

    def test_links_are_not_followed(self):
        elsewhere = os.path.join(self.home, "elsewhere")
        os.makedirs(elsewhere)
        os.makedirs(os.path.join(self.home, "d"))
        os.symlink(elsewhere, os.path.join(self.home, "d", "docker-model-runner"))
        self.assertIn("is no directory", self.fails("skills", "--force", "--dest", os.path.join(self.home, "d")))
        self.assertEqual(os.listdir(elsewhere), [])

    def test_no_target(self):
        self.assertEqual(self.fails("skills"),
                         "no target specified. Use --codex, --claude, --opencode, or --dest\n")


if __name__ == "__main__":
    main()
