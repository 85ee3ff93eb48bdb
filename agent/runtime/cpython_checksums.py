# SPDX-License-Identifier: Apache-2.0
"""Check of the installed files against their checksums, once at the start of the process.

Does not protect against an attacker with root rights, who can change the list too.

The Debian package contains a list, `coldloop.sums`: the SHA-256 of each of its files, bytecode
included, in the format of sha256sum. A changed file is reported on stderr. The agent starts anyway,
because cooling is more important than a file that may not even be used. `dpkg --verify` has its own
list. A checkout, a wheel and an update in a slot have no list; a slot has its own hash.
"""

import hashlib
from pathlib import Path

SUMS = "coldloop.sums"


def changed_files(folder: Path) -> list[str]:
    """Return the listed files in `folder` that are missing or changed, in the order of the list."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    changed = []
    for line in lines:
        digest, _, name = line.partition("  ")
        try:
            same = hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        except OSError:
            same = False
        if not same:
            changed.append(name)
    return changed


def checksum_warning(folder: Path) -> str:
    """Return a one-line warning. Empty: no file is changed."""
    names = changed_files(folder)
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{folder / names[0]}{more}: changed since it was packed; install the package again"
