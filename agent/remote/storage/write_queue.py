# SPDX-License-Identifier: Apache-2.0
"""Queue of store requests: one at a time and in order, with callbacks when they are durable.

Does not decide what is written; see `agent.remote.manager`. In a pair, callbacks wait until the
other controller has the records, too (`agent.redundancy.config_mirror`).

    writes      replace a record (`agent.remote.storage.config_slots`)
    entries     of the audit log
    requests    any other operation of a store (`drivers.ports.store_request`); the manager gets
                the answers
    callbacks   called when everything before them is durable

The agent reopens a failed store. The operation in progress is then repeated, an audit entry in a
new segment.
"""

from agent.remote.storage.config_slots import with_copies
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from agent.core.component.base import Actions, Component
    from agent.core.config_records import Config
    from agent.core.context import Context, PortListener
    from agent.core.fault.guard import Guard
    from agent.remote.storage.audit import AuditLog
    from agent.remote.storage.boot_state import BootState

    Callback = Callable[[int], None]

    class Mirror(Protocol):
        """The copy of the records at the other controller of a pair."""

        is_alone: bool

        def check_age(self, kind: int, counter: int, utc_s: int, now: int) -> None:
            """Raise `Rejection` for a message that the other controller can have executed."""
            ...

        def stored(self, key: str, data: bytes, now: int) -> None:
            """A record is durable here."""
            ...

        def is_done(self, now: int) -> bool:
            """Return whether it is durable there, too, or this controller is alone."""
            ...

    AuditEntry = tuple[int, list[int], str, int, str]

    class RemoteContext(Context, Protocol):
        """The agent as the component `remote` uses it."""

        @property
        def boot(self) -> "BootState | None":
            """The configuration and slot of this start."""
            ...

        @property
        def guard(self) -> "Guard":
            """The guard with the components that are off."""
            ...

        @property
        def components(self) -> "Sequence[Component]":
            """All components."""
            ...

        def running_config(self) -> "Config":
            """Return the configuration with the present tuning."""
            ...

        def apply_live_config(self, config: "Config") -> None:
            """Apply the tuning of `config`."""
            ...

        def port_names(self) -> "list[str]":
            """Return the names of the ports in the order of their numbers."""
            ...

        def add_port_listener(self, listener: "PortListener") -> None:
            """Call `listener` for each input and output of the ports."""
            ...

        def remove_port_listener(self, listener: "PortListener") -> None:
            """Stop the calls of `listener`."""
            ...

    class RemoteHost(Protocol):
        """The remote manager as its helpers use it."""

        agent: "RemoteContext"
        settings: "dict[str, Any]"
        boot: "BootState"
        write_queue: "WriteQueue"

        def audit_entry(
            self, signers: "list[int]", action: str, counter: int, result: str, now: int
        ) -> None:
            """Write an entry of the audit log."""
            ...

        def trusted_utc_s(self, now: int) -> int:
            """Return the trusted UTC in seconds since 1970, 0 without one."""
            ...

        def restart_when_stored(self, now: int) -> None:
            """Restart when all records are stored, or after a time limit."""
            ...

        def add_result(self, result: str) -> None:
            """Report the result of a command."""
            ...

        def request_report(self) -> None:
            """Publish the report at the next tick."""
            ...

        def is_report_pending(self) -> bool:
            """Return whether a report waits to be sent."""
            ...

        def send_final_report(self) -> None:
            """Publish the final report of a decommissioned unit."""
            ...


_WRITE, _AUDIT, _CALLBACK, _REQUEST = 0, 1, 2, 3
_MAX_AUDIT_ENTRIES = 16


class WriteQueue:
    """The queue for the store of `port`."""

    def __init__(
        self, port: int, audit: "AuditLog", next_call: "Callable[[int], int] | None" = None
    ) -> None:
        """Initialise. `next_call(now)`: when the next callback can be called; None: immediately."""
        self.due = NEVER
        """Time of the next `step`, `NEVER` if no callback waits for its time."""
        self.audit = audit
        self._next_call = next_call
        self._port = port
        self._open = False
        self._failed = False
        self._queue: list[tuple[int, Any]] = []
        self._writing = False
        self._out: Actions = []
        self.mirror: Mirror | None = None
        """The other controller of a pair has each record, too; None: there is none."""

    def is_busy(self) -> bool:
        """Return whether a request waits, or the first opening."""
        return bool(self._queue) or not (self._open or self._failed)

    def is_open(self) -> bool:
        """Return whether the store is open."""
        return self._open

    def write_records(self, writes: "list[tuple[str, bytes]]", now: int) -> None:
        """Replace records, in this order."""
        for write in with_copies(writes):
            self._queue.append((_WRITE, write))
        self._advance(now)

    def audit_entry(self, entry: "AuditEntry", now: int) -> None:
        """Write an entry of the audit log: UTC in s (0: unknown), keys, action, counter, result.

        With `_MAX_AUDIT_ENTRIES` waiting, it is dropped.
        """
        if len([1 for kind, _ in self._queue if kind == _AUDIT]) >= _MAX_AUDIT_ENTRIES:
            return
        self._queue.append((_AUDIT, entry))
        self._advance(now)

    def request(self, op: str, data: bytes, now: int) -> None:
        """Execute `append`, `delete` or `get`."""
        self._queue.append((_REQUEST, (op, data)))
        self._advance(now)

    def after_durable(self, callback: "Callback", now: int) -> None:
        """Call `callback(now)` when everything before it is durable."""
        self._queue.append((_CALLBACK, callback))
        self._advance(now)

    def is_saving(self, now: int) -> bool:
        """Return whether a record is not durable yet, here or at the other controller of a pair.

        A failed store is not waited for.
        """
        if self._open and [1 for kind, _ in self._queue if kind == _WRITE]:
            return True
        return self.mirror is not None and not self.mirror.is_done(now)

    def tick(self, now: int) -> None:
        """Continue when the other controller has the records."""
        if self.mirror is not None:
            self._advance(now)

    def step(self, now: int) -> None:
        """Call what has waited for its time."""
        if now >= self.due:
            self._advance(now)

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store."""
        if kind == "drained":
            if self._writing:
                finished, value = self._queue.pop(0)
                if finished == _AUDIT:
                    self.audit.commit()
                elif finished == _WRITE and self.mirror is not None:
                    self.mirror.stored(value[0], value[1], now)
            self._writing = False
        else:
            self._open = kind == "opened"
            self._failed = not self._open
            self._writing = False
            self.audit.abort()
        self._advance(now)

    def _advance(self, now: int) -> None:
        while self._queue and not self._writing:
            kind, value = self._queue[0]
            if kind == _CALLBACK:
                if self.mirror is not None and not self.mirror.is_done(now):
                    return
                if self._next_call is not None:
                    self.due = self._next_call(now)
                    if self.due > now:
                        return
                    self.due = NEVER
                self._queue.pop(0)
                value(now)
                continue
            if not self._open:
                return
            self._out.append((self._port,) + self._operation(kind, value))
            self._writing = True

    def _operation(self, kind: int, value: "Any") -> "tuple[str, bytes]":
        if kind == _REQUEST:
            return value[0], value[1]
        if kind == _AUDIT:
            op, key, payload = self.audit.prepare(*value)
        else:
            op, (key, payload) = "write", value
        return op, key.encode() + b"\0" + payload

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out
