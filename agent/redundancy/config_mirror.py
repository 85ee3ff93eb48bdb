# SPDX-License-Identifier: Apache-2.0
"""Remote changes in a pair: each record of the active controller is durable at the standby, too.

Does not decide what runs; see `agent.remote.update.boot`. Each controller reports to the other one
what it has stored (`agent.remote.storage.config_replica`), over a channel of its own on the link.
The standby follows what is newer. If this is another configuration than the one it runs, its
process starts again, as after a change of a single controller.

The active controller acts on a message and reports it only when the standby has it, too. Without
messages of the standby for `_ALONE_US`, or `_LIMIT_US` after the record, it goes on alone and says
so. A standby with something newer makes the active controller unfit: it gives up the role.

A trial is checked by the agent that runs it. With a configuration that reaches no device, no
controller becomes active, so no agent runs. Then both end the trial after `_UNUSED_US`.

A controller whose software cannot run the confirmed configuration runs its file. It keeps the
records, and is not fit. One that takes over without having had all records for `_ALONE_US` cannot
know which commands were done meanwhile. It refuses all that are older than its takeover.
"""

from agent.core.port_link import PortLink
from agent.remote.message.canonical import hash_config
from agent.remote.message.counter import seconds_of
from agent.remote.message.header import EPOCH_S
from agent.remote.message.reject import Rejection
from agent.remote.storage import config_replica
from agent.remote.storage.audit import AuditLog
from agent.remote.storage.config_slots import RECORD, copy_key, decode_hashed, load_slots
from agent.remote.storage.day_values import DayValues
from agent.remote.storage.suspended_keys import SuspendedKeys
from agent.remote.storage.write_queue import WriteQueue
from agent.remote.update.trial import PLANT_DEGRADED
from protocols.signed_message import COMMAND, PATCH
from protocols.signing.peer_link import NO_WORD, PeerLink
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component.base import Actions
    from agent.remote.storage.boot_state import BootState
    from agent.remote.storage.config_slots import Write

_PERIOD_US = 250 * MILLISECOND
_LOST_US = 3 * SECOND
_ALONE_US = 10 * SECOND
"""Time without a message of the standby: more than it needs to start again."""
_LIMIT_US = 30 * SECOND
"""Longest time that a message of operators waits for the standby."""
_STALE_US = 60 * SECOND
_UNUSED_US = 60 * SECOND
"""Time without an active controller that ends a trial: more than a takeover after several faults.
"""
_MAX_STATE = 24 * 1024
_COPY = copy_key(RECORD)
_CHANNEL = {"a": "A", "b": "B"}
"""Name of a controller in the messages of this channel."""


class ConfigMirror:
    """The records of this controller, and what the other one has.

    `settings`: number and address of the store of the section `remote`, which is open in all roles,
    and what this process runs. `names`: the letters of this controller and of the other one.
    """

    def __init__(self, settings: "tuple[int, str, BootState]", names: str, key: bytes) -> None:
        port, address, boot = settings
        self.port = port
        self.link = PortLink(port, "remote", address)
        node, peer = _CHANNEL[names[0]], _CHANNEL[names[1]]
        self.channel = PeerLink(node, peer, key, _PERIOD_US, _LOST_US)
        self.channel.max_state = _MAX_STATE
        self._boot = boot
        self.file_hash = boot.slots.site_file_hash
        self._running = self._found = hash_config(boot.config)
        self._queue = WriteQueue(port, AuditLog())
        self._records: dict[str, bytes] = {}
        self._unread = list(config_replica.KEYS) + [_COPY]
        self._own = config_replica.head_of({}, self.file_hash)
        self._peer: config_replica.Head | None = None
        self._received = b""
        self._is_changed = True
        self._is_writing = self._has_agent = self._is_behind = False
        self._waiting: Actions = []
        self._changed_at = self._up_at = -NEVER
        self._synced_at = self._equal_at = -NEVER
        self._used_at = 0
        self.is_alone = False
        self._uncertain_since: int | None = None

    # The store, while no agent runs.

    def start(self, now: int) -> None:
        """Open the store, write what the start has left, and read the records."""
        self.link.connect(now)
        self._synced_at = self._used_at = now
        writes, self._boot.writes = self._boot.writes, []
        self._queue.write_records(writes, now)
        for key in self._unread:
            self._queue.request("get", key.encode(), now)

    def is_busy(self) -> bool:
        """Return whether a request of this part waits for the store."""
        return self._queue.is_busy()

    def receive(self, data: bytes) -> bool:
        """Take an answer of the store; return whether it is for this part."""
        if not self._unread:
            return False
        name, nul, payload = bytes(data).partition(b"\0")
        key = name.decode()
        if key in self._unread:
            self._unread.remove(key)
            if nul and payload:
                self._records[key] = payload
            if not self._unread and decode_hashed(self._records.get(RECORD)) is None:
                self._records[RECORD] = self._records.get(_COPY, b"")
            self._update()
            self._found = self._own.to_run()
        return True

    def event(self, kind: str, now: int) -> bool:
        """Handle an event of the store; return whether it is for the agent, too."""
        is_own = kind == "drained" and self._is_writing
        self.link.event(kind, now)
        self._queue.event(kind, now)
        self._is_writing = self._is_writing and not is_own
        if kind in ("failed", "closed"):
            self._is_writing = False
            self._waiting.clear()
        return not is_own

    def forward(self, operation: str, data: bytes) -> None:
        """Take a request of the agent. The port stays open, and own requests end before it."""
        if operation not in ("open", "close"):
            self._waiting.append((self.port, operation, data))

    def end_agent(self) -> None:
        """The agent has ended: what it has begun to write must not count as an own write."""
        self._waiting.clear()
        self._has_agent = self._is_behind = False
        self.link.reopen()

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        own = self._queue.outbox()
        self._is_writing = self._is_writing or bool(own)
        out = self.link.outbox() + own
        if self._waiting and not self._is_writing:
            out += self._waiting
            self._waiting = []
        return out

    # Both controllers.

    def step(self, follows: bool, is_used: bool, now: int) -> None:
        """Take the report of the peer; follow it if it is newer and `follows`: no agent runs.

        `is_used`: this controller is active, or knows that the other one is.
        """
        if is_used:
            self._used_at = now
        elif now - self._used_at > _UNUSED_US:
            self._end_trial(now)
        channel = self.channel
        if channel.is_up(now):
            self._up_at = now
        if self.is_in_sync(now):
            self._synced_at = self._equal_at = now
            self._uncertain_since = None
        elif follows:
            self._synced_at = now
        replica = channel.replica(now)
        if replica is not self._received:
            self._received = replica
            self._peer = config_replica.decode_head(replica)
            self._is_changed = True
        if self._unread or not self._is_changed or self._queue.is_busy():
            return
        self._is_changed = False
        peer = self._peer
        sent = [] if peer is None else config_replica.missing_slots(self._own, peer, self._records)
        channel.set_state(self._own.encode(sent))
        if peer is not None and follows and self.link.is_open:
            self._follow(peer, now)

    def _follow(self, peer: "config_replica.Head", now: int) -> None:
        self._store(config_replica.writes_to_follow(self._own, peer), now)

    def _end_trial(self, now: int) -> None:
        """End a trial that no controller can run; the next start is without it."""
        trial = self._own.slots.trial
        if trial is None or self._unread or self._queue.is_busy() or not self.link.is_open:
            return
        slots = load_slots(self.file_hash, self._records.get)
        self._store([slots.roll_back(PLANT_DEGRADED)], now)

    def _store(self, writes: "list[Write]", now: int) -> None:
        """Write records of this controller while no agent runs."""
        if not writes:
            return

        def durable(_: int) -> None:
            for key, data in writes:
                self._records[key] = data
            self._update()

        self._queue.write_records(writes, now)
        self._queue.after_durable(durable, now)

    def _update(self) -> None:
        self._own = config_replica.head_of(self._records, self.file_hash)
        self._is_changed = True

    def next_line(self, now: int) -> bytes:
        """Return the next message of the channel; empty: none is due."""
        if now < self.channel.deadline():
            return b""
        return self.channel.next_line(NO_WORD, 0, False, now)

    def needs_start(self) -> bool:
        """Return whether the configuration of a start has changed since the start.

        One that could not be run at the start is no reason: the next start could not run it either.
        """
        if self._unread or self.is_busy():
            return False
        return self._own.to_run() not in (self._found, self._boot.unusable)

    def is_fit(self) -> bool:
        """Return whether the store is read and works, and the peer has nothing newer."""
        if self._unread or self._is_behind or self._queue.is_busy() or not self.link.is_open:
            return False
        if not self._has_agent and self._own.to_run() not in (self._found, self._running):
            return False
        peer = self._peer
        return peer is None or peer.file_hash != self.file_hash or peer.rank <= self._own.rank

    # While the agent runs.

    def prepare(self, now: int) -> None:
        """Give the present records to the agent that is built next, if its configuration runs."""
        self._has_agent = True
        self._uncertain_since = now if now - self._equal_at > _ALONE_US else None
        if self._unread:
            return
        self._is_behind = self._own.to_run() != self._running
        boot, read = self._boot, self._records.get
        if self._is_behind:
            self._keep_counters()
        else:
            boot.slots = load_slots(self.file_hash, read)
        boot.writes = []
        boot.day, boot.suspended = DayValues(), SuspendedKeys()
        boot.day.load(read)
        boot.suspended.load(read)

    def _keep_counters(self) -> None:
        """Give only the counters of the records to the agent: no message is executed twice.

        Not that of a trial that it does not run: with it and without the trial, its records would
        be the end of the trial.
        """
        own = self._own.slots
        counters = [max(pair) for pair in zip(own.counters, self._boot.slots.counters)]
        if own.trial is not None:
            counters[PATCH - 1] = self._boot.slots.counters[PATCH - 1]
        self._boot.slots.counters = counters

    def check_age(self, kind: int, counter: int, utc_s: int, now: int) -> None:
        """Raise `Rejection` for a command that the other controller can have executed alone.

        These are all that were signed before this one took over, if it is not sure to have all
        records. Without trusted UTC (`utc_s` 0) this is not known.
        """
        since = self._uncertain_since
        if since is None or kind != COMMAND:
            return
        passed_s = utc_s - (now - since) // SECOND - EPOCH_S
        if utc_s and seconds_of(counter) > passed_s:
            return
        if utc_s:
            rejection = Rejection("rollback", "signed before the takeover")
        else:
            rejection = Rejection("not_yet", "no UTC since the takeover")
        rejection.message = (kind, counter)
        raise rejection

    def stored(self, key: str, data: bytes, now: int) -> None:
        """A record of the agent is durable here."""
        if key in config_replica.KEYS and self._records.get(key) != data:
            before, self._records[key] = self._own, data
            self._update()
            if not before.is_equal(self._own):
                self._changed_at = now

    def is_in_sync(self, now: int) -> bool:
        """Return whether the peer has all records."""
        peer = self._peer
        return peer is not None and self.channel.is_up(now) and self._own.is_equal(peer)

    def is_stale(self, now: int) -> bool:
        """Return whether the standby has not had all records for `_STALE_US`."""
        return now - self._synced_at > _STALE_US

    def is_done(self, now: int) -> bool:
        """Return whether the agent may act on its last record: both have it, or it is alone."""
        peer = self._peer
        if self.is_in_sync(now):
            self.is_alone = False
            return True
        is_alone = (
            now - self._up_at > _ALONE_US
            or now - self._changed_at > _LIMIT_US
            or (peer is not None and peer.file_hash != self.file_hash)
        )
        self.is_alone = self.is_alone or is_alone
        return is_alone
