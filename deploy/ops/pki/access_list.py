# SPDX-License-Identifier: Apache-2.0
"""Access list of the broker: the topics of each name, one block for each.

Does not issue certificates; see `deploy.ops.pki.authority`, which checks the names. A block goes
from its line `user` to the next one, whatever spaces and empty lines are in it.
"""

from pathlib import Path

from deploy.errors import OpsError
from deploy.ops.pki import store

_UNIT_WRITE_TOPICS = ("tele", "state", "event", "cfg/reported", "cfg/config", "cfg/record/+", "ack")
_UNIT_READ_TOPICS = ("cfg/desired", "cfg/chunk", "cmd", "ack")
_RELAY_READ_TOPICS = ("tele", "state", "cfg/reported")
_RELAY_WRITE_TOPICS = ("ack", "cmd")
_RELAY_OUTPUTS = ("coldloop/v1/_relay/+/ack", "fleet/#", "spBv1.0/#")
"""Topics of the outputs: the proof of a delivery, JSON and alarms, Sparkplug."""


def head() -> str:
    """Return the first line."""
    return "# Written by `coldloop config pki`; each user has only the rights below its name.\n"


def set_entry(folder: Path, name: str, role: str, site: str) -> None:
    """Write the rights of `name` into the access list, instead of earlier ones of this name."""
    if role == "unit":
        base = "coldloop/v1/" + name.replace(".", "/")
        lines = [f"topic write {base}/{topic}" for topic in _UNIT_WRITE_TOPICS]
        lines += [f"topic read {base}/{topic}" for topic in _UNIT_READ_TOPICS]
    elif role == "relay":
        lines = [f"topic read coldloop/v1/{site}/+/{topic}" for topic in _RELAY_READ_TOPICS]
        lines += [f"topic write coldloop/v1/{site}/+/{topic}" for topic in _RELAY_WRITE_TOPICS]
        lines += [f"topic readwrite {topic}" for topic in _RELAY_OUTPUTS]
    else:
        lines = [f"topic write coldloop/v1/{site}/+/{topic}" for topic in _UNIT_READ_TOPICS]
        lines = lines if role == "operator" else []
        lines.append("topic read coldloop/v1/" + ("#" if site == "+" else f"{site}/#"))
    rest = _without(_read(folder), name)
    text = rest + f"\nuser {name}\n" + "\n".join(lines) + "\n"
    store.replace(folder / "acl", text.encode())


def remove_entry(folder: Path, name: str) -> None:
    """Remove the rights of `name` from the access list."""
    store.replace(folder / "acl", _without(_read(folder), name).encode())


def has_entry(folder: Path, name: str) -> bool:
    """Return whether `name` has rights."""
    return any(_is_user(line, name) for line in _read(folder).splitlines())


def is_unit(folder: Path, name: str) -> bool:
    """Return whether `name` has the rights of a unit, and no right at another topic."""
    base, is_own, topics = "coldloop/v1/" + name.replace(".", "/") + "/", False, []
    for line in _read(folder).splitlines():
        words = line.split()
        if words[:1] == ["user"]:
            is_own = _is_user(line, name)
        elif is_own and words[:1] == ["topic"]:
            topics.append(words[-1])
    return bool(topics) and all(topic.startswith(base) for topic in topics)


def _read(folder: Path) -> str:
    path = folder / "acl"
    try:
        return path.read_text()
    except FileNotFoundError:
        return head()
    except (OSError, ValueError) as error:
        raise OpsError(f"{path}: {error}") from None


def _is_user(line: str, name: str) -> bool:
    return line.split() == ["user", name]


def _without(text: str, name: str) -> str:
    """Return the access list without the blocks of `name`."""
    kept, is_own = [], False
    for line in text.splitlines():
        if line.split()[:1] == ["user"]:
            is_own = _is_user(line, name)
        if not is_own or line.split()[:1] == ["pattern"]:  # a pattern is of all users
            kept.append(line)
    return "\n".join(kept).rstrip("\n") + "\n"
