# SPDX-License-Identifier: Apache-2.0
"""Access list of the broker: the topics of each name, one block for each.

Does not issue certificates; see `deploy.ops.pki.authority`, which checks the names.
"""

from pathlib import Path

_UNIT_WRITE_TOPICS = ("tele", "state", "event", "cfg/reported", "cfg/config", "cfg/record/+", "ack")
_UNIT_READ_TOPICS = ("cfg/desired", "cfg/chunk", "cmd", "ack")


def head() -> str:
    """Return the first line."""
    return "# Written by `coldloop config pki`; each user has only the rights below its name.\n"


def add_entry(folder: Path, name: str, role: str, site: str) -> None:
    """Add the rights of `name` to the access list of the broker, once."""
    path = folder / "acl"
    existing = path.read_text() if path.exists() else head()
    if f"\nuser {name}\n" in existing:
        return
    if role == "unit":
        base = "coldloop/v1/" + name.replace(".", "/")
        lines = [f"topic write {base}/{topic}" for topic in _UNIT_WRITE_TOPICS]
        lines += [f"topic read {base}/{topic}" for topic in _UNIT_READ_TOPICS]
    else:
        lines = [f"topic write coldloop/v1/{site}/+/{topic}" for topic in _UNIT_READ_TOPICS]
        lines = lines if role == "operator" else []
        lines.append("topic read coldloop/v1/" + ("#" if site == "+" else f"{site}/#"))
    path.write_text(existing + f"\nuser {name}\n" + "\n".join(lines) + "\n")


def remove_entry(folder: Path, name: str) -> None:
    """Remove the rights of `name` from the access list."""
    path = folder / "acl"
    blocks = path.read_text().split("\n\n")
    kept = [block for block in blocks if not block.startswith(f"user {name}\n")]
    text = "\n\n".join(kept)
    path.write_text(text if text.endswith("\n") else text + "\n")


def is_unit(folder: Path, name: str) -> bool:
    """Return whether `name` has the rights of a unit."""
    base = "coldloop/v1/" + name.replace(".", "/")
    return f"topic write {base}/tele\n" in (folder / "acl").read_text()
