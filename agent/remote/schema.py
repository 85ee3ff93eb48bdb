# SPDX-License-Identifier: Apache-2.0
"""Section `remote` of the configuration: keys and roles of operators.

A part of `agent.config.schema`; loaded only with a configuration. `check` refuses keys that
could not sign: a duplicate, no point of the curve, or too few for the role `limits`.
"""

import sys

from agent.core.schema.rules import enum, hexadecimal, integer, list_of, name, object_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile

_KEY = object_of(
    "a public key that this unit accepts",
    ["number", "public", "role"],
    {
        "number": integer("number of this key in messages", 0, 255),
        "public": hexadecimal("Ed25519 public key, 64 hexadecimal digits", 64, 64),
        "role": enum(
            "operate: set-points and tuning; limits: everything, with a second signature; site: "
            "what northbound.writes permits, for the servers of the unit",
            ["operate", "limits", "site"],
        ),
    },
)

REMOTE = object_of(
    "signed changes and commands of operators",
    ["port", "keys"],
    {
        "port": text("folder that survives a power cut, for example store:/var/lib/coldloop"),
        "keys": list_of("keys of accepted signatures", _KEY, 1, 8),
        "groups": list_of(
            "groups of this unit; it accepts their messages", name("name of a group"), 0, 8
        ),
        "health_s": integer(
            "time for which the plant must stay healthy before a change can be confirmed, s",
            5,
            3600,
            120,
        ),
    },
)


def check(raw: "dict[str, Any]", _: "dict[str, DeviceProfile]", errors: "list[str]") -> None:
    """Check what the schema cannot express: the keys of operators."""
    from agent.remote.message.keyring import has_quorum  # noqa: PLC0415 - dropped after loading

    numbers: list[int] = []
    publics: list[str] = []
    keys = raw["remote"]["keys"]
    for i, key in enumerate(keys):
        path = "remote.keys[%d]" % i
        if key["number"] in numbers:
            errors.append("%s.number: %d is the number of another key" % (path, key["number"]))
        if key["public"] in publics:
            errors.append("%s.public: it is the same key as another one" % path)
        elif not _is_key(bytes.fromhex(key["public"])):
            errors.append("%s.public: no Ed25519 public key" % path)
        numbers.append(key["number"])
        publics.append(key["public"])
    if not has_quorum(keys):
        errors.append("remote.keys: two keys are needed, one of them with the role limits")


def _is_key(public: bytes) -> bool:
    """Return whether a signature can be valid under a key.

    The check is slow on a board, and comes before its first write. The tools have checked the
    configuration, and no signature is valid under another key.
    """
    if "_board_data" in sys.modules:  # see `drivers.ports.micropython.board_data`
        return True
    from protocols.signing.ed25519 import is_valid_key  # noqa: PLC0415

    return is_valid_key(public)
