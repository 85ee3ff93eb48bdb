"""Is what was installed still what was packed? Looked at once, at the start of the process.

The Debian package holds a list, `coldloop.sums`, of the SHA-256 of every file beside it, bytecode
included, in the form of sha256sum. A file that differs is told on stderr and the agent starts all
the same: a rack that may be cooled is not left alone for a file that may not even be used. Not a
guard against somebody with root's rights, who can change the list as well; `dpkg --verify` has its
own. A checkout, a wheel and an update in its slot have no list (the slot has a hash of its own).
"""

import hashlib
from pathlib import Path

SUMS = "coldloop.sums"


def changed_files(folder: Path) -> list[str]:
    """Name the files of the list in `folder` that are not there or not the same, in its order."""
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
    """Say what is wrong, in one line; empty when nothing is."""
    names = changed_files(folder)
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{folder / names[0]}{more}: not as it was packed; install the package again"
