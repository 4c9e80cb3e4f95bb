#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker model gateway says that there is none."""
from cli_support import CliTest, main


class Gateway(CliTest):
    def test_says_that_it_is_not_there(self):
        for flags in ((), ("-c", "router.yaml"), ("--config=r.yaml", "--host", "0.0.0.0", "-p", "4000", "-v")):
            self.assertTrue(self.fails("gateway", *flags).startswith("gateway is not available in this build"))

    def test_wrong_options_are_told_as_ever(self):
        self.assertIn("unknown flag: --foo", self.fails("gateway", "--foo"))
        self.assertIn("--port", self.fails("gateway", "--port", "0"))


if __name__ == "__main__":
    main()
