# SPDX-License-Identifier: Apache-2.0
"""A link to one other controller: its word, and its replicated state.

Does not decide and does not open a port; its owner does. Each side sends a message in each period.
A message is taken only if it echoes the own nonce, and if its sequence rises. The nonce is new at
each start, when nothing came for `_RENEW_US`, and when the peer may have started again without a
count of its starts. So no recorded message is taken. On a link that is down, any other message can
be the first one of the peer, or a recorded one. So the messages echo in turn its nonce and that of
the highest session. A state is sent in parts, one in each message, until the other side has all. A
newer state replaces it immediately, but one that has replaced another on its way arrives first:
else none would, if they change faster than they are sent. The newer one then waits at most for
`_ROUNDS` times all parts: the messages of the other side can be lost.

Each message names the last message that its sender has received. So the receiver knows how old it
can be. A word that can be older than `max_age_us` is not taken, and the link is down: a delay in
one direction is seen at both sides. After a time in which this controller stood still, messages
that waited in the port come first: a state in them is as old as this time.
"""

from protocols.signing.hmac_sha256 import hmac
from protocols.signing.link_message import (
    FIT,
    MAX_LINE,
    MAX_PART,
    LinkMessage,
    build_line,
    parse_line,
)
from protocols.time_units import MILLISECOND, NEVER, SECOND

NO_WORD = 0
PERIOD_US = 100 * MILLISECOND
LOST_US = 400 * MILLISECOND
"""Period of the messages, and time without one after which the link is down, by default."""
MAX_AGE_US = LOST_US + PERIOD_US
_RENEW_US = 10 * SECOND
_REPLICA_US = 60 * SECOND
"""A state that was not confirmed for longer is not used at a takeover."""
_MAX_STATE = 4096
_NONE = bytes(8)
_BACKLOG_US = 50 * MILLISECOND
"""Time in which the runtime reads what waited in the buffer of a port."""
_ROUNDS = 4
"""Times that all parts of a state are sent before a newer one replaces it without an answer."""
_SENT = 8
"""Own messages whose times are known. Older ones are too old in any case."""


class PeerLink:
    """The link of controller `node` to `peer`, each one character; both have the `key`.

    Times are monotonic µs, also `period_us` and `lost_us`; see `PERIOD_US`.
    `peer_epoch`, `peer_fit`: last report of the peer. `rejected` counts lines that were not taken.
    `max_state`: longest replicated state in bytes. `other`: a second channel on the same link.
    """

    def __init__(
        self,
        node: str,
        peer: str,
        key: bytes,
        period_us: int = PERIOD_US,
        lost_us: int = LOST_US,
        max_age_us: int = NEVER,
    ) -> None:
        self._node = node
        self._peer = peer
        self._period_us, self._lost_us = period_us, lost_us
        self._max_age_us = max_age_us
        self._key = key
        self.max_state = _MAX_STATE
        self.other: PeerLink | None = None
        self._boots = -1
        self._nonce = self._peer_nonce = _NONE
        self._echoes = [_NONE, _NONE]  # of the highest session, and the last one
        self._session = 0
        self._peer_session = self._peer_sequence = self._echo_session = -1
        self._renewed_at = 0
        self._sequence = 0
        self._due = 0
        self._input = b""
        self._word = NO_WORD
        self._received_at = self._fresh_at = -NEVER
        self._awake_at = self._backlog_until = -NEVER
        self._sent_at: list[int] = []
        self.peer_fit = False
        self.peer_epoch = 0
        self.rejected = 0
        self._state = self._next_state = b""
        self._state_number = self._peer_received = self._part = 0
        self._has_replaced = False
        self._parts: list[bytes | None] = []
        self._parts_number = self._replica_number = 0
        self._replica = b""
        self._replica_at = -NEVER

    def start(self, boots: int, now: int) -> None:
        """Begin to send; `boots` counts the starts of this controller, which are durable."""
        self._boots = boots
        self._session = boots << 32
        self._due = now
        self._renew(now)

    def _renew(self, now: int) -> None:
        self._session += 1
        seed = b"nonce %s %d %d" % (self._node.encode(), self._session, now)
        self._nonce = hmac(self._key, seed)[:8]
        self._renewed_at = now
        self._peer_session = self._peer_sequence = -1
        self._peer_nonce = _NONE

    # Sending.

    def deadline(self) -> int:
        """Return the time of the next message."""
        return NEVER if self._boots < 0 else self._due

    def set_state(self, state: bytes) -> None:
        """Replicate `state`, at most `max_state`. A longer one is not replicated: the peer then has
        an old one, and is not in sync.
        """
        self._next_state = state if len(state) <= self.max_state else b""
        self._begin_next_state()

    def _begin_next_state(self) -> None:
        """Replace the state by the next one, if it must not arrive first."""
        parts, is_on_way = _count_parts(self._state), not self._has_arrived()
        must_arrive = is_on_way and self._has_replaced and parts > 1
        if self._next_state != self._state and (not must_arrive or self._part >= _ROUNDS * parts):
            self._has_replaced = is_on_way and parts > 0
            self._state = self._next_state
            self._state_number += 1
            self._part = 0

    def _has_arrived(self) -> bool:
        return self._state_number > 0 and self._peer_received == self._state_number

    def is_in_sync(self) -> bool:
        """Return whether the peer has the last state."""
        return self._has_arrived() and self._next_state == self._state

    def next_line(self, word: int, epoch: int, is_fit: bool, now: int) -> bytes:
        """Return the next message with the own `word`, epoch and fitness."""
        self._notice_pause(now)
        self._due = now + self._period_us
        if now - max(self._received_at, self._renewed_at) > _RENEW_US:
            self._renew(now)
        self._sequence += 1
        self._sent_at = self._sent_at[-_SENT + 1 :] + [now]
        self._begin_next_state()
        part = parts = 0
        data = b""
        if self._state and not self._has_arrived():
            parts = _count_parts(self._state)
            # Each round begins with another part: a regular loss then hits other ones.
            rounds = self._part // parts
            part = (self._part - rounds - rounds // parts) % parts
            self._part += 1
            data = self._state[part * MAX_PART : (part + 1) * MAX_PART]
        fields = (self._node, word, FIT if is_fit else 0, self._session, self._nonce)
        counts = (self._sequence, max(0, self._peer_sequence))
        numbers = counts + (epoch, self._state_number, self._replica_number, part, parts)
        echo = self._echoes[self._sequence & 1]
        return build_line(self._key, LinkMessage(*fields, echo, *numbers, data))

    # Receiving.

    def _notice_pause(self, now: int) -> None:
        """Find a time in which this controller stood still: it sends more often than this."""
        if now - self._awake_at > self._lost_us + self._period_us:
            self._backlog_until = now + _BACKLOG_US
        self._awake_at = now

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes of the link."""
        lines = (self._input + data).split(b"\n")
        self._input = lines.pop()[:MAX_LINE]
        for line in lines:
            if not line:
                continue
            message = parse_line(self._key, line) if len(line) <= MAX_LINE else None
            if message is None:
                self.rejected += 1
            elif self.other is not None and self.other.is_of(message.node):
                self.other.take(message, now)
            else:
                self.take(message, now)

    def is_of(self, node: str) -> bool:
        """Return whether a message of `node` belongs to this channel."""
        return node in (self._node, self._peer)

    def take(self, message: LinkMessage, now: int) -> None:
        """Take a message that belongs to this channel."""
        self._notice_pause(now)
        if message.node != self._peer:
            self.rejected += 1
            return
        if message.echo != self._nonce:
            # It does not know this nonce yet, or is recorded.
            if not self.is_up(now):
                self._echoes[1] = message.nonce
                if message.session >= self._echo_session:
                    self._echo_session = message.session
                    self._echoes[0] = message.nonce
            return
        is_new = message.nonce != self._peer_nonce
        is_old = is_new and message.session <= self._peer_session
        if is_old or (not is_new and message.sequence <= self._peer_sequence):
            self.rejected += 1
            if is_old and not self.is_up(now) and now - self._renewed_at > self._lost_us:
                self._renew(now)  # a recorded message does not echo the new nonce
            return
        self._peer_nonce = message.nonce
        self._echo_session = message.session
        self._echoes = [message.nonce, message.nonce]
        self._accept(message, now)

    def _accept(self, message: LinkMessage, now: int) -> None:
        if message.session >> 32 != self._peer_session >> 32:
            self._parts_number = self._replica_number = 0
        self._peer_session, self._peer_sequence = message.session, message.sequence
        self._received_at = now
        if self._is_fresh(message.seen, now):
            self._fresh_at = now
            self._word = message.word
        self.peer_fit = bool(message.flags & FIT)
        self.peer_epoch = message.epoch
        self._peer_received = message.received
        if message.parts:
            self._take_part(message)
        is_now = now >= self._backlog_until
        if message.state and message.state == self._replica_number and is_now:
            self._replica_at = now

    def _is_fresh(self, seen: int, now: int) -> bool:
        """Return whether a message is not too old; `seen`: the last own one before it."""
        before = self._sequence - seen
        if self._max_age_us == NEVER:
            return True
        is_known = 0 <= before < len(self._sent_at)
        return is_known and now - self._sent_at[-1 - before] <= self._max_age_us

    def _take_part(self, message: LinkMessage) -> None:
        if message.state != self._parts_number or message.parts != len(self._parts):
            if message.parts * MAX_PART > self.max_state + MAX_PART:
                return
            self._parts_number = message.state
            self._parts = [None] * message.parts
        if message.part < message.parts:
            self._parts[message.part] = message.data
        whole = [part for part in self._parts if part is not None]
        if len(whole) == len(self._parts):
            self._replica = b"".join(whole)
            self._replica_number = message.state

    def take_word(self) -> int:
        """Return the word of the peer that came since the last call."""
        word, self._word = self._word, NO_WORD
        return word

    def is_up(self, now: int) -> bool:
        """Return whether messages of the peer come; with `max_age_us`, and own ones reach it."""
        return now - self._fresh_at <= self._lost_us

    def replica(self, now: int) -> bytes:
        """Return the state of the peer; empty without a fresh one."""
        return self._replica if now - self._replica_at <= _REPLICA_US else b""

    def replica_age_us(self, now: int) -> "int | None":
        """Return the time since the peer confirmed the state; None if there is none."""
        return now - self._replica_at if self._replica_number else None


def _count_parts(state: bytes) -> int:
    """Return the number of messages that carry `state`."""
    return -(-len(state) // MAX_PART)
