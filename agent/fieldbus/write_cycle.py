# SPDX-License-Identifier: Apache-2.0
"""The writes of one device: requested outputs, the batch on the bus, verification by polls.

Does not make requests (see `drivers.device.write_request`) and does not choose the values.

At most one batch is in progress. Outputs that are requested meanwhile follow after it. The session
discards a superseded output before it sends the new one. Only a stop does not wait for the batch.

A request is active until a poll round that began after the write shows the requested values. If
`_REWRITE_AFTER` rounds do not show them, the batch is written again. If `_UNVERIFIED_AFTER` rounds
do not show them, the write is unverified, also if the request changed meanwhile. The session
continues to retry.

An output that the polls have shown, and that has another value without a write of this session, was
changed by another master (`changed_by_other`). So was a single output that, after a write, is
neither between the value before and the requested one. It is written again immediately. After a
restart this session has not shown its value yet, and another master can write between a write and
the next poll. So an output that was written again is read back immediately.

A request to a lost device can be out of date when the device replies again. Such a request waits
until the loops have decided again. The write cycle acts by the states of `session_state`.
"""

from agent.fieldbus.poll_cycle import WRITE_KIND, RequestTag
from agent.fieldbus.session_state import (
    BUSY,
    NONE,
    NOT_READ_BACK,
    PENDING,
    READ_BACK,
    REQUESTED,
    VERIFIED,
    WAITING,
    WITHHELD,
    WRITE_TABLE,
    WRITTEN,
    next_state,
)
from drivers.device.identity import MATCH
from drivers.modbus.transaction import STOP, WRITE
from protocols.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.device.device import ModbusDevice
    from drivers.modbus.bus import Bus

    Pairs = list[tuple[int, int]]

_REWRITE_AFTER = 2
_UNVERIFIED_AFTER = 10
_FOREIGN_CYCLES = 60
"""Cycles for which a foreign write is reported."""
_DECISION_CYCLES = 2
"""Cycles after which the loops have decided on a device that replies again."""


class WriteCycle:
    """The writes of one device. `identify` starts the identification of an unknown device.

    `unverified`: the polls do not show the requested values. `error` is the reason if the last
    batch could not be made, else empty.
    """

    # The values of a device without outputs: as class attributes they cost it no heap.
    unverified = False
    error = ""
    state = NONE
    _priority = WRITE
    _batch_priority = WRITE
    _write_only = False
    _write_active = False
    _batch_number = 0
    _acknowledged = False
    _verifying = False
    _awaiting_decision = 0
    _unverified_rounds = 0
    _rounds_since_write = 0
    _foreign_cycles = 0
    _before: "int | None" = None

    def __init__(
        self,
        number: int,
        device: "ModbusDevice",
        bus: "Bus",
        identify: "Callable[[], None]",
        kind: int = WRITE_KIND,
    ) -> None:
        self._number = number
        self._kind = kind
        self._device = device
        self._bus = bus
        self._identify = identify
        self._requested: Pairs = []
        self._batch_pdus: list[bytes] = []  # the rest of the batch, behind the active request

    @property
    def changed_by_other(self) -> bool:
        """Whether another master has changed an output of this device in the last cycles."""
        return self._foreign_cycles > 0

    def _handle(self, event: int) -> None:
        self.state = next_state(self.state, event, WRITE_TABLE)

    # Requests.

    def ramp_limited(self, i: int, value: float, elapsed_us: int) -> "tuple[float, int]":
        """Return (value, count) of point `i`, on the way to `value` within its ramp.

        The ramp starts at the requested count, or at the reading if there is no request.
        """
        device = self._device
        count = device.to_count(i, value)
        point = device.profile.points[i]
        if not point.ramp:
            return value, count
        previous = device.readings[i].raw
        for index, requested in self._requested:
            if index == i:
                previous = requested
        count = device.ramp_limited(i, previous, count, elapsed_us)
        return count * point.numerator / point.denominator, count

    def request(self, outputs: "Pairs", stop: bool) -> None:
        """Request that (point index, count) pairs be written and verified."""
        if outputs != self._requested:
            self._requested = outputs
            self._priority = STOP if stop else WRITE
            points = self._device.profile.points
            self._write_only = False not in [points[i].verify == "none" for i, _ in outputs]
            self._awaiting_decision = 0
            self._start_write()

    def withhold(self) -> None:
        """Drop the request and the rest of its batch: write nothing until the next request."""
        if self.state != NONE:
            self._handle(WITHHELD)
            self._requested, self._batch_pdus = [], []
            self.unverified = False
            self._unverified_rounds = 0

    def cycle_begins(self) -> None:
        """Count a control cycle, in which the loops decide."""
        if self._awaiting_decision:
            self._awaiting_decision -= 1
        if self._foreign_cycles:
            self._foreign_cycles -= 1

    def device_silent(self) -> None:
        """Note that the device has not replied: it can have restarted with other values."""
        self._before = None
        if self.state == VERIFIED:
            self._handle(NOT_READ_BACK)

    def round_begins(self) -> None:
        """Note whether the poll round that begins now can verify the last write."""
        self._verifying = not self._write_active

    def device_recovered(self) -> None:
        """Let a pending request wait for the loops, because a lost device replied."""
        self._awaiting_decision = _DECISION_CYCLES

    def device_identified(self) -> None:
        """Write a pending request, because the device is the model of the profile."""
        if self.state == PENDING and not self._awaiting_decision:
            self._start_write()

    def watchdog_failed(self, error: str) -> None:
        """Record that the request for the watchdog could not be made."""
        self.error = error

    # Batches.

    def _start_write(self) -> None:
        self._rounds_since_write = 0
        self._handle(REQUESTED)
        if self._write_active and self._batch_priority >= self._priority:
            self._handle(BUSY)
            return
        device = self._device
        if device.identity != MATCH:
            self._identify()
        if device.identity != MATCH:
            return
        self.error = ""
        try:
            requests = device.build_writes(self._requested)
        except EncodeError as error:
            self.error = str(error)
            return
        self._start_batch(requests)

    def _start_batch(self, requests: "list[bytes]") -> None:
        """Give the bus a new batch; the rest of an older batch is not waited for."""
        self._handle(WRITTEN)
        self._batch_number += 1
        self._batch_priority = self._priority
        self._batch_pdus = requests
        self._acknowledged = True
        self._verifying = False
        self._submit_next()

    def _submit_next(self) -> None:
        """Send the next request of the batch; the device has acknowledged the one before it."""
        tag = RequestTag(self._number, self._kind, self._batch_number)
        self._write_active = self._bus.submit(
            self._device.unit, self._batch_pdus.pop(0), tag, self._priority
        )
        if not self._write_active:
            self._acknowledged = False

    def handle_result(self, tag: "RequestTag", ok: bool) -> bool:
        """Handle the end of one request of the batch. Return whether to read the outputs now,
        because the device has acknowledged a repeated batch.

        The next request can need the one that failed, for example a remote bit. The rest of the
        batch then waits for the retry. A stop continues after any failure.
        """
        if tag.number != self._batch_number:
            return False
        self._write_active = False
        self._acknowledged = self._acknowledged and ok
        if self.state == WAITING:
            self._start_write()
        elif self._batch_pdus and (ok or self._batch_priority == STOP):
            self._submit_next()
        else:
            return self._acknowledged and self._unverified_rounds >= _REWRITE_AFTER
        return False

    # Verification.

    def _is_outside(self) -> bool:
        """Return whether a single output lies outside of its last reading and its request."""
        if len(self._requested) != 1:
            self._before = None
            return False
        index, requested_count = self._requested[0]
        before, self._before = self._before, self._device.readings[index].raw
        if before is None or self._device.readings[index].quality != "good":
            return False
        return not min(before, requested_count) <= self._before <= max(before, requested_count)

    def verify(self) -> None:
        """After a complete poll round: check whether it shows the requested values."""
        if self.state == NONE:
            return
        is_outside = self._is_outside()
        shown = self.state != PENDING and self._device.readback_matches(self._requested)
        if shown and (self._acknowledged or not self._write_only):
            if self._verifying:
                self._unverified_rounds = self._rounds_since_write = 0
                self.unverified = False
                self._handle(READ_BACK)
            return
        changed_by_other = self.state == VERIFIED or (is_outside and self._acknowledged)
        if changed_by_other and self._verifying and self.state != PENDING:
            self._foreign_cycles = _FOREIGN_CYCLES
            self._start_write()
            return
        self._unverified_rounds += 1
        self.unverified = self._unverified_rounds >= _UNVERIFIED_AFTER
        if self.state == PENDING:
            if not self._awaiting_decision:
                self._start_write()  # the batch could not be made before
        elif self._verifying:
            self._rounds_since_write += 1
            if self._rounds_since_write >= _REWRITE_AFTER and not self._awaiting_decision:
                self._start_write()
