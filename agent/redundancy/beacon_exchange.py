# SPDX-License-Identifier: Apache-2.0
"""The exchange of beacons: what a controller knows of its peer.

Does not send and does not decide; see `paired_agent`. The active controller sends a beacon each
`BEACON_US`, also to a peer that is active too. The standby replies. `epoch` is the largest one that
either controller has used; a controller that becomes active takes the next one. It is not stored:
after a restart of both it begins again.
"""

from agent.redundancy.beacon import (
    PEER,
    UNITS,
    VERSION,
    Word,
    build_reply,
    build_request,
    other_version,
    parse_reply,
    parse_request,
)
from agent.redundancy.pair_table import (
    ACTIVE,
    LISTEN,
    NEWER_BEACON,
    NO_BEACON,
    OLDER_BEACON,
    QUIET,
    STANDBY,
)
from protocols.modbus.rtu import build_frame
from protocols.time_units import MILLISECOND, NEVER, SECOND

BEACON_US = 500 * MILLISECOND
ABSENT_BEACON_US = 2 * SECOND
"""Period while no standby replies: each beacon then costs the line its timeout."""
TIMEOUT_US = 60 * MILLISECOND
"""Time in which the reply to a beacon must begin; the line must not be silent for long."""
_ABSENT_US = 3 * SECOND
_LAST_EPOCH = (1 << 32) - 1
"""The largest one that beacons and messages can carry: it is used again and again."""
_REPLIES_IN = (LISTEN, STANDBY, QUIET)


class BeaconExchange:
    """Beacons of the controller `node` with the `key` of the pair. Times are monotonic µs.

    `has_received`: a beacon of an active peer has come; the owner resets it.
    """

    def __init__(self, node: str, key: bytes) -> None:
        self.unit = UNITS[node]
        self.peer_unit = UNITS[PEER[node]]
        self.epoch = 0
        self.peer_role = -1
        self.has_received = False
        self.rejected = 0
        self._key = key
        self._sequence = 0
        self._due = 0
        self._active_since = NEVER
        self._replied_at = 0

    @property
    def next_epoch(self) -> int:
        """The epoch of the next takeover of this controller."""
        return min(self.epoch + 1, _LAST_EPOCH)

    def begin_active(self, now: int) -> None:
        """Take the next epoch: this controller became active."""
        self.epoch = self.next_epoch
        self._active_since = self._replied_at = now
        self.peer_role = -1

    def end_active(self) -> None:
        """Stop to expect replies."""
        self._active_since = NEVER

    def next_request(self, now: int) -> bytes:
        """Return the PDU of a beacon if one is due, else nothing."""
        if now < self._due:
            return b""
        # A second active controller receives the beacons of this one: they stay frequent.
        is_absent = self.standby_lost(now) and self.peer_role != ACTIVE
        self._due = now + (ABSENT_BEACON_US if is_absent else BEACON_US)
        self._sequence += 1
        return build_request(self._key, self.peer_unit, Word(ACTIVE, self.epoch, self._sequence))

    def take_request(self, frame: bytes, role: int) -> "tuple[int, bytes]":
        """Return (beacon constant of `pair_table`, frame of the reply or nothing) for a beacon."""
        word = parse_request(self._key, self.unit, frame)
        if word is None:
            self.rejected += 1
            version = other_version(self._key, self.unit, frame)
            if not version or role != ACTIVE:
                return NO_BEACON, b""
            # Two versions cannot compare their epochs: the older software gives up the role.
            return NEWER_BEACON if version > VERSION else OLDER_BEACON, b""
        beacon = NEWER_BEACON if word.epoch >= self.epoch else OLDER_BEACON
        self.peer_role = word.role
        self.has_received = self.has_received or word.role == ACTIVE
        if role not in _REPLIES_IN:
            return beacon if word.role == ACTIVE else NO_BEACON, b""
        self.epoch = max(self.epoch, word.epoch)
        reply = build_reply(self._key, self.unit, Word(role, self.epoch, word.sequence))
        return NO_BEACON, build_frame(self.unit, reply)

    def take_reply(self, frame: bytes, now: int) -> None:
        """Take the reply of the peer to a beacon."""
        word = parse_reply(self._key, self.peer_unit, frame)
        if word is None:
            self.rejected += 1
        elif word.sequence == self._sequence & 0xFFFF:
            self.peer_role = word.role
            self._replied_at = now

    def standby_lost(self, now: int) -> bool:
        """Return whether this controller is active without a standby that replies."""
        if now < self._active_since:
            return False
        return now - self._replied_at > _ABSENT_US or self.peer_role not in (-1, STANDBY)
