/* SPDX-License-Identifier: Apache-2.0
 *
 * The unit file for systemd: for the user's own manager, and for the system's. */
#include "base/alloc.h"
#include "cli/service.h"

/* %E is the directory of configurations: ~/.config or /etc. */
static const char common[] =
    "[Unit]\n"
    "Description=Docker Model Runner\n"
    "Documentation=man:model-runner(1)\n"
    "%s"
    "\n"
    "[Service]\n"
    "ExecStart=\"%s\" serve\n"
    "EnvironmentFile=-%%E/model-runner/service.env\n"
    "Restart=on-failure\n"
    "# The daemon ends its engines itself; systemd's kill is the second net.\n"
    "KillMode=mixed\n"
    "TimeoutStopSec=20\n"
    "NoNewPrivileges=yes\n"
    "%s"
    "\n"
    "[Install]\n"
    "WantedBy=%s\n";

/* A user of its own that owns nothing but /var/lib/model-runner. A GPU whose device files are for a
 * group needs a drop-in with SupplementaryGroups=. */
static const char system_rules[] =
    "DynamicUser=yes\n"
    "StateDirectory=model-runner\n"
    "StateDirectoryMode=0700\n"
    "RuntimeDirectory=model-runner\n"
    "Environment=HOME=/var/lib/model-runner XDG_RUNTIME_DIR=/run/model-runner\n"
    "ProtectHome=yes\n"
    "ProtectKernelTunables=yes\n"
    "ProtectControlGroups=yes\n"
    "RestrictSUIDSGID=yes\n";

char *service_unit_text(bool system, const char *program)
{
    return xasprintf(
        common, system ? "Wants=network-online.target\nAfter=network-online.target\n" : "", program,
        system ? system_rules : "", system ? "multi-user.target" : "default.target");
}
