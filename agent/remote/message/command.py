# SPDX-License-Identifier: Apache-2.0
"""A signed command: one action, executed once, before it expires.

Does not execute commands; see `agent.remote.command_table`.

Body, CBOR: [counter, expiry minutes, name, arguments, group?]

    counter      seconds since 2026-01-01 at signing; commands have their own counter
    expiry       minutes since 2026-01-01
    name         a name in `ROLES`
    arguments    map of texts to values
"""

from agent.core.tunable import LIMITS, OPERATE
from agent.remote.message.header import EPOCH_S, MINUTE_S, check_count, check_counter
from agent.remote.message.reject import Rejection
from protocols.cbor import Map, decode, encode
from protocols.errors import DecodeError
from protocols.signed_message import COMMAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_ARGUMENTS = 16
_LONGEST_NAME = 32

ROLES = (
    ("confirm", OPERATE),
    ("rollback", OPERATE),
    ("cancel", OPERATE),
    ("acknowledge", OPERATE),
    ("shelve", OPERATE),
    ("unshelve", OPERATE),
    ("reset", OPERATE),
    ("override", LIMITS),
    ("release", OPERATE),
    ("rotate", OPERATE),
    ("proof", OPERATE),
    ("hold", OPERATE),
    ("calibrate", OPERATE),
    ("autotune", OPERATE),
    ("capture", OPERATE),
    ("fetch", OPERATE),
    ("shed", OPERATE),
    ("schedule", OPERATE),
    ("restart", LIMITS),
    ("epoch", LIMITS),
    ("suspend", LIMITS),
    ("resume", LIMITS),
    ("clock_forgive", LIMITS),
    ("decommission", LIMITS),
)
"""Commands and the required role. `LIMITS` needs a second signature."""


class SignedCommand:
    """A decoded command with plausible fields. Its signatures are not verified yet."""

    needs_base = False
    KIND = COMMAND

    def __init__(self, parts: "list[Any]") -> None:
        self.counter: int = parts[0]
        self.expires_s: int = EPOCH_S + MINUTE_S * parts[1]
        self.not_before_s = 0
        self.name: str = parts[2]
        self.arguments: Map = parts[3]
        self.group: str = parts[4] if len(parts) > 4 else ""

    def required_role(self) -> int:
        """Return the required role. An unknown command needs the highest one."""
        for name, role in ROLES:
            if name == self.name:
                return role
        return LIMITS

    def describe(self) -> str:
        """Return the name of the command."""
        return "command " + self.name


def decode_command(body: bytes) -> SignedCommand:
    """Decode the body of a command. Raises `Rejection` (malformed)."""
    try:
        parts = decode(body)
    except DecodeError as error:
        raise Rejection("malformed", str(error))
    if type(parts) is not list or len(parts) not in (4, 5):
        raise Rejection("malformed", "a command has 4 or 5 parts")
    check_counter(parts[0])
    check_count(parts[1])
    if type(parts[2]) is not str or not 1 <= len(parts[2]) <= _LONGEST_NAME:
        raise Rejection("malformed", "a command is named by a text")
    if not isinstance(parts[3], Map) or len(parts[3].pairs) > _MAX_ARGUMENTS:
        raise Rejection("malformed", "arguments are a map of at most %d" % _MAX_ARGUMENTS)
    if len(parts) == 5 and (type(parts[4]) is not str or not parts[4]):
        raise Rejection("malformed", "a group is named by a text")
    return SignedCommand(parts)


def encode_command(
    counter_s: int,
    expires_s: int,
    name: str,
    arguments: "list[tuple[str, Any]]",
    group: str = "",
) -> bytes:
    """Encode the body of a command. Times in s since 1970; the expiry is rounded up to a minute."""
    parts = [counter_s - EPOCH_S, -((EPOCH_S - expires_s) // MINUTE_S), name, Map(list(arguments))]
    return encode(parts + [group] if group else parts)
