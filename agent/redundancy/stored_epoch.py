# SPDX-License-Identifier: Apache-2.0
"""What a controller of a pair stores: its last epoch, its number of starts, its role; commands.

Does not decide; see `paired_agent`. The next epoch is durable before the first write to a device.
So a recorded beacon has no effect after a restart of both controllers. A store that fails, or does
not finish a request in `_WAIT_US`, stops no takeover: then the epoch is not durable, and the
controller is not fit.

A person commands by a second record, `COMMAND_KEY`, with the text "NAME EPOCH CODE". The code is
HMAC-SHA256 of "NAME EPOCH" with the key of the pair, in hexadecimal. The epoch is the present one,
so that a command after a takeover of another one has no effect.
"""

import binascii

from agent.core.stored_record import StoredRecord
from agent.redundancy.pair_table import NO_COMMAND, SWAP, TAKE_IN, TAKE_OUT
from protocols.signing.hmac_sha256 import hmac
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component.base import Actions

STATE_KEY = "pair.state"
COMMAND_KEY = "pair.command"
ROLE_KEY = "pair.role"
"""Role and epoch, for `coldloop pair show`: the standby writes no status."""
COMMANDS = {"swap": SWAP, "out": TAKE_OUT, "in": TAKE_IN}
_MAX_NUMBER = 0xFFFFFFFF
_MAX_STATE = 21
"""Length of the state with both numbers."""
_WAIT_US = 800 * MILLISECOND
"""Longest time of a request. It is shorter than READ, so that a takeover does not wait for it."""


def command_text(key: bytes, name: str, epoch: int) -> bytes:
    """Return the content of the command record. `name` is one of `COMMANDS`."""
    body = b"%s %d" % (name.encode(), epoch)
    return body + b" " + binascii.hexlify(hmac(key, body))


class StoredEpoch:
    """The records in the store with the number `port`. `boots` -1: not read yet.

    `epoch` is the largest one that was read or written.
    """

    def __init__(self, port: int, key: bytes) -> None:
        self._record = StoredRecord(port, STATE_KEY)
        self._port = port
        self._key = key
        self.epoch = self._written = 0
        self._durable = -1
        self._now = 0
        self._waits_since: int | None = None
        self.boots = -1
        self._out: Actions = []
        self._poll_at = 0
        self._command = NO_COMMAND
        self._role = b""

    @property
    def works(self) -> bool:
        """Whether the store is open, and no request waits for too long."""
        since = self._waits_since
        return self._record.is_open and (since is None or self._now - since < _WAIT_US)

    def event(self, kind: str) -> None:
        """Handle an event of the store."""
        self._record.event(kind)
        if kind == "drained":
            self._durable = self._written
            self._waits_since = None
        elif kind == "opened":
            self._waits_since = self._now
            if self.boots >= 0:
                self._write()
        elif kind in ("failed", "closed", "full"):
            self._durable = -1

    def receive(self, data: bytes, epoch: int) -> None:
        """Handle an answer of the store; `epoch` is the present one."""
        key, nul, payload = bytes(data).partition(b"\0")
        if key == COMMAND_KEY.encode():
            if self._durable >= self._written:
                self._waits_since = None
            if nul and payload:
                self._take_command(payload, epoch)
            return
        if key != STATE_KEY.encode() or self.boots >= 0:
            return
        stored = self._record.receive(data) or b""
        words = stored.split() if len(stored) <= _MAX_STATE else []
        is_valid = len(words) == 2 and words[0].isdigit() and words[1].isdigit()
        self.epoch = max(self.epoch, min(int(words[0]), _MAX_NUMBER)) if is_valid else self.epoch
        self.boots = min(int(words[1]), _MAX_NUMBER - 1) + 1 if is_valid else 1
        self._write()

    def _write(self) -> None:
        if self._waits_since is None:
            self._waits_since = self._now
        self._written = self.epoch
        self._record.write(b"%d %d" % (self.epoch, self.boots))

    def is_durable(self, epoch: int) -> bool:
        """Return whether `epoch` is durable, or the store does not work; else ask to write it."""
        if self.boots >= 0 and self._record.is_open and epoch > self.epoch:
            self.epoch = epoch
            self._write()
        return self._durable >= epoch or not self.works

    def store_role(self, role: str, epoch: int) -> None:
        """Store the role if it has changed, and the `epoch` that was received."""
        text = b"%s %d" % (role.encode(), epoch)
        if text != self._role and self._record.is_open and self.boots >= 0:
            self._role = text
            self.is_durable(epoch)
            self._out.append((self._port, "write", ROLE_KEY.encode() + b"\0" + text))

    # Commands.

    def poll(self, now: int) -> None:
        """Take the time. Read the command record once a second."""
        self._now = now
        if self._record.is_open and self.boots >= 0 and now >= self._poll_at:
            self._poll_at = now + SECOND
            if self._waits_since is None:
                self._waits_since = now
            self._out.append((self._port, "get", COMMAND_KEY.encode()))

    def _take_command(self, payload: bytes, epoch: int) -> None:
        self._out.append((self._port, "delete", COMMAND_KEY.encode()))
        for name, command in COMMANDS.items():
            # A takeover that failed has stored its epoch too.
            if payload.strip() in (
                command_text(self._key, name, epoch),
                command_text(self._key, name, self.epoch),
            ):
                self._command = command

    def take_command(self) -> int:
        """Return the command that came since the last call."""
        command, self._command = self._command, NO_COMMAND
        return command

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        out = self._record.outbox() + self._out
        self._out = []
        return out
