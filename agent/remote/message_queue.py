# SPDX-License-Identifier: Apache-2.0
"""Queue of received messages, and the verification of the first one in slices.

Does not execute a verified message; see `agent.remote.manager`. The checks are in
`agent.remote.message.verifier`.

One message is verified at a time, few wait. Slow work is done in slices of less than a millisecond
on a server, so that no tick is late. Ports are handled between two slices. On a board a slice is
smaller and takes up to 12 ms; it begins only if it ends before the next tick. The code that only
messages need is dropped when none is in progress (`agent.remote.module_unload`).
"""

from agent.remote import module_unload
from agent.remote.message.reject import Rejection
from agent.remote.report import BOARD_SLICE_US, SLICE_US, next_slice
from agent.remote.schedule import verify_context
from protocols.signed_message import MAX_BYTES
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from agent.remote.message.verifier import MessageVerification
    from agent.remote.schedule import ScheduledChange, ScheduleHost
    from agent.remote.update.trial import TrialMonitor

    class QueueHost(ScheduleHost, Protocol):
        """The remote manager as the queue uses it."""

        has_boot_state: bool
        schedule: ScheduledChange
        trial_monitor: TrialMonitor | None

        def drop_commands(self) -> bool:
            """Drop the table of commands if none is in progress; return whether it is dropped."""
            ...

        def act_slices(self, verification: MessageVerification, now: int) -> Iterator[None]:
            """Execute a verified message, which begins now."""
            ...


NO_BOOT_STATE = "no file and no store were looked at when this agent was started"
_MAX_WAITING = 4
LONG_SLICE_US = 60 * MILLISECOND
"""Time between two ticks that a board needs to load code, and to act on a message."""
_CHECKING, _VERIFIED, _ACTING = 0, 1, 2
"""States of a message: verification in progress, verified, its code is dropped."""


class MessageQueue:
    """The messages of `manager`. `due`: time of the next slice, `NEVER` if nothing waits."""

    def __init__(self, manager: "QueueHost") -> None:
        self.due = NEVER
        self._is_unloaded = True
        self._manager = manager
        self._waiting: list[bytes] = []
        self._verification: MessageVerification | None = None
        self._state = _CHECKING
        self._action: Iterator[None] | None = None

    def add(self, data: bytes, now: int) -> None:
        """Add a message of any carrier."""
        if not data:
            return  # an empty retained message: it was deleted
        if len(self._waiting) >= _MAX_WAITING or len(data) > MAX_BYTES:
            reason = "too_large" if len(data) > MAX_BYTES else "busy"
            self._manager.reject(Rejection(reason, "too many"))
            return
        if data not in self._waiting:
            self._waiting.append(data)
            self._is_unloaded = False
            self.due = now

    def act_on(self, verification: "MessageVerification", now: int) -> None:
        """Act on a verified message whose time has come."""
        self._verification, self._state = verification, _VERIFIED
        self._is_unloaded = False
        self.tick(now)

    def is_busy(self) -> bool:
        """Return whether a message is being verified or executed."""
        return self._verification is not None

    def keep_loaded(self) -> None:
        """Drop the code that only messages need not before the next step."""
        self._is_unloaded = False

    def tick(self, now: int) -> None:
        """Do a step, on a board soon after the tick."""
        has_work = self._verification is not None or bool(self._waiting)
        if has_work and self._manager.boot.small_slices:
            self.due = now + SLICE_US
        else:
            self.step(now)

    def step(self, now: int) -> None:
        """Start the verification of the next message, or do its next slice."""
        if self._verification is not None or self._waiting:
            is_slice = self._verification is not None and self._state == _CHECKING
            need = BOARD_SLICE_US if is_slice else LONG_SLICE_US
            self.due = next_slice(self._manager, now, need)
            if self.due > now:
                return
        self.due = NEVER
        manager = self._manager
        if self._verification is not None:
            self._check_slice(self._verification, now)
        elif self._waiting and not manager.write_queue.is_busy():
            self._start_check(self._waiting.pop(0), now)
        has_more = self._verification is not None or (
            bool(self._waiting) and not manager.write_queue.is_busy()
        )
        self.due = now + SLICE_US if has_more else NEVER
        if not (has_more or self._is_unloaded):
            self._unload()

    def _unload(self) -> None:
        """Drop the code that only messages need, when none is in progress."""
        manager = self._manager
        if manager.schedule.counter() or manager.write_queue.is_busy():
            return
        if manager.drop_commands():
            self._is_unloaded = True
            module_unload.unload_modules(manager.trial_monitor is not None)

    def _start_check(self, data: bytes, now: int) -> None:
        module_unload.unload_verifier()
        from agent.remote.message import verifier  # noqa: PLC0415 - see `agent.remote.module_unload`

        manager = self._manager
        try:
            if not manager.has_boot_state:
                raise Rejection("store", NO_BOOT_STATE)
            if not manager.write_queue.is_open():
                raise Rejection("store", "it is not open")
            utc_s = manager.trusted_utc_s(now)
            verification = verifier.start_verification(
                data,
                manager.accepted_keys(),
                verify_context(manager, verifier),
                utc_s,
                manager.message_clock.passed_s(now),
            )
            mirror = manager.write_queue.mirror
            if mirror is not None:
                mirror.check_age(verification.kind, verification.message.counter, utc_s, now)
            self._verification = verification
        except Rejection as rejection:
            manager.reject(rejection)

    def _check_slice(self, verification: "MessageVerification", now: int) -> None:
        manager = self._manager
        is_board = manager.boot.small_slices
        if self._state == _CHECKING:
            try:
                if not verification.step(is_board):
                    return
            except Rejection as rejection:
                self._verification = None
                manager.reject(rejection)
                return
            self._state = _VERIFIED
            if is_board:
                return  # a board drops the code and acts in slices of their own
        if self._state == _VERIFIED:
            self._state = _ACTING
            module_unload.unload_verifier()
            if is_board:
                return
        if self._action is None and verification.message.not_before_s > manager.trusted_utc_s(now):
            self._verification, self._state = None, _CHECKING
            manager.schedule.add(verification, now)
            return
        if self._action is None:
            self._action = manager.act_slices(verification, now)
        for _ in self._action:
            if is_board:
                return
        self._verification, self._state, self._action = None, _CHECKING, None
