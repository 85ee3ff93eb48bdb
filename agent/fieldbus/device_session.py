# SPDX-License-Identifier: Apache-2.0
"""One device in the agent: its polls, its writes, its identity and its health.

Does not make or send requests; see `drivers.device.device` and `drivers.modbus.bus`. Does not
choose the values to write; the loops do. The polls are in `poll_cycle`, the writes in
`write_cycle`.

The session identifies the device before the first write. It does not write to another model. It
identifies such a device again after `_REIDENTIFY_US`, because a device that rejects all requests
while it starts looks like another model. A device without a reply for `_LOST_AFTER` cycles is
lost. After that the session identifies it again, because another device can be in its place.
"""

from agent.fieldbus.poll_cycle import (
    CHANNEL_KIND,
    RECOVERY_KIND,
    WATCHDOG_KIND,
    WRITE_KIND,
    PollCycle,
    RequestTag,
)
from agent.fieldbus.session_state import (
    ANSWERED,
    COMM_TABLE,
    MISSED,
    ONLINE,
    UNKNOWN,
    next_state,
)
from agent.fieldbus.write_cycle import WriteCycle
from drivers.device.device import ModbusDevice
from drivers.device.identity import MATCH, MISMATCH
from drivers.modbus.transaction import OK, WRITE
from protocols.errors import EncodeError
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import DeviceConfig
    from agent.core.context import SessionView
    from agent.fieldbus.write_channel import WriteChannel
    from drivers.modbus.bus import Bus
    from drivers.modbus.plan.poll_plan import PollPlan
    from drivers.modbus.transaction import TransactionResult

    OutputPairs = list[tuple[int, int]]

OVERLOADED_AFTER = 3
"""Cycles in a row with incomplete polls, before the bus is reported as overloaded."""
_CONTEST_US = 200 * MILLISECOND
_LOST_AFTER = 3
_REIDENTIFY_US = 10_000 * MILLISECOND


class DeviceSession:
    """One device with its bus, its polls, its requested outputs and its health.

    `comm_state` is one of `session_state`. `transactions` are the completed requests, `errors`
    those of them that were not "ok". `wants_poll`: a component needs an early poll in this tick.
    `answered_at` is the monotonic time of its last good reply in microseconds.
    """

    def __init__(
        self, number: int, config: "DeviceConfig", bus: "Bus", plans: "tuple[PollPlan, PollPlan]"
    ) -> None:
        self.name = config.name
        self.profile = config.profile
        self.bus = bus
        self.unit = config.unit
        self.comm_state = UNKNOWN
        self.wants_poll = False
        self.silent_cycles = 0
        self.answered_at = 0
        self.transactions = 0
        self.errors = 0
        self.device = ModbusDevice(config.name, config.unit, config.profile, [])
        self._number = number
        self._poll_cycle = PollCycle(number, self.device, bus, plans)
        self._write_cycle = WriteCycle(number, self.device, bus, self.identify)
        self._is_claimed = False
        self._channels: list[WriteChannel] = []
        self._cycles = [self._write_cycle]
        self._probes = self.device.identity_probes()
        self._probes_pending = 0
        self._reidentify_at = self._contested_at = 0
        self._has_answered = False
        self.cycle_us = 0
        self._watchdog_due = 0

    def polls_complete(self) -> bool:
        """Return whether no fast poll of this device is pending."""
        return self._poll_cycle.is_complete()

    @property
    def lost(self) -> bool:
        """Whether the device has not replied yet, or not for some cycles."""
        return self.comm_state != ONLINE

    @property
    def block_count(self) -> int:
        """Number of requests that read all points."""
        return self._poll_cycle.block_count

    @property
    def identity_mismatch(self) -> bool:
        """Whether the device is another model than that of the profile."""
        return self.device.identity == MISMATCH

    @property
    def write_unverified(self) -> bool:
        """Whether the polls do not show the requested outputs."""
        return True in [cycle.unverified for cycle in self._cycles]

    @property
    def changed_by_other(self) -> bool:
        """Whether another master has changed an output of this device."""
        return True in [cycle.changed_by_other for cycle in self._cycles]

    @property
    def write_error(self) -> str:
        """Why the last write could not be made; empty if it could be made."""
        for cycle in self._cycles:
            if cycle.error:
                return cycle.error
        return ""

    def claim_outputs(self) -> "SessionView":
        """Return the view of this device for one actuator: each one has outputs of its own.

        The first caller gets the session itself.
        """
        if not self._is_claimed:
            self._is_claimed = True
            return self
        from agent.fieldbus.write_channel import WriteChannel  # noqa: PLC0415 - for few devices

        kind = CHANNEL_KIND - len(self._channels)
        channel = WriteChannel(self, self.bus, kind, self._number)
        self._channels.append(channel)
        self._cycles.append(channel.cycle)
        return channel

    # Polls.

    def poll(self, now: int, cycle_us: int) -> None:
        """Begin a cycle: update the health, request every block that is due and not pending."""
        self._update_comm_state()
        self.cycle_us = cycle_us
        self._poll_cycle.retry_excluded(now)
        for cycle in self._cycles:
            cycle.cycle_begins()
        if self.identity_mismatch and now >= self._reidentify_at:
            self._probe()
        self.poll_now()
        self._poll_cycle.poll_slow(cycle_us)
        if self.profile.watchdog:
            self._service_watchdog(now, cycle_us)

    def poll_early(self) -> None:
        """Request the fast blocks at the end of this tick; see `Fieldbus.send_early_polls`."""
        self.wants_poll = True

    def contest_due(self, now: int) -> bool:
        """Return whether to read the outputs now, because another master changes them.

        A reading each `_CONTEST_US` finds its next write soon. So the value of this session is in
        force most of the time.
        """
        is_due = self.changed_by_other and now - self._contested_at >= _CONTEST_US
        if not is_due or self.lost or not self.polls_complete():
            return False
        self._contested_at = now
        return True

    def send_early_poll(self) -> None:
        """Send the polls that `poll_early` requested."""
        self.wants_poll = False
        self.poll_now()

    def poll_now(self) -> None:
        """Request every fast block that is not pending."""
        if self.device.identity != MATCH:
            self.identify()
        for cycle in self._cycles:
            cycle.round_begins()
        self._poll_cycle.poll_fast()

    def _update_comm_state(self) -> None:
        if not self._has_answered:
            self.silent_cycles += 1
            for cycle in self._cycles:
                cycle.device_silent()
            if self.silent_cycles >= _LOST_AFTER and self.comm_state == ONLINE:
                self.comm_state = next_state(ONLINE, MISSED, COMM_TABLE)
                self.device.forget_identity()
        self._has_answered = False

    # Identity and watchdog.

    def identify(self) -> None:
        """Begin the identification of the device, unless it is another model."""
        if not self._probes:
            self.device.set_identity(MATCH)
            return
        if not self.identity_mismatch:
            self._probe()

    def reidentify(self) -> None:
        """Read the identity again; until the reply the present one is valid."""
        self._probe()

    def _probe(self) -> None:
        if self._probes_pending:
            return
        for probe in self._probes:
            tag = RequestTag(self._number, RECOVERY_KIND, probe.tag)
            if self.bus.submit(self.unit, probe.pdu, tag):
                self._probes_pending += 1

    def _probe_done(self, tag: "RequestTag", result: "TransactionResult") -> None:
        # A recovery probe of the bus can repeat one of these probes.
        self._probes_pending = max(0, self._probes_pending - 1)
        self.device.store_probe_result(tag.number, result.status, result.code, result.values)
        self._reidentify_at = result.done_at + _REIDENTIFY_US
        if self.device.identity == MATCH:
            for cycle in self._cycles:
                cycle.device_identified()

    def _service_watchdog(self, now: int, cycle_us: int) -> None:
        """Write the watchdog register twice in its period, so that one lost write does no harm."""
        if now < self._watchdog_due or self.device.identity != MATCH or self.lost:
            return
        request = self._watchdog_request()
        if request is not None:
            pdu, period_us = request
            tag = RequestTag(self._number, WATCHDOG_KIND, 0)
            if self.bus.submit(self.unit, pdu, tag, WRITE):
                self._watchdog_due = now + max(0, period_us // 2 - cycle_us // 2)

    def _watchdog_request(self) -> "tuple[bytes, int] | None":
        try:
            return self.device.watchdog_request()
        except EncodeError as error:
            self._write_cycle.watchdog_failed(str(error))
            return None

    # Writes.

    def ramp_limited(self, i: int, value: float) -> "tuple[float, int]":
        """Return (value, count) to request now for point `i`, on the way to `value` in its unit.

        The result moves from the requested count, or from the reading, within the ramp.
        """
        return self._write_cycle.ramp_limited(i, value, self.cycle_us)

    def request_outputs(self, outputs: "OutputPairs", stop: bool = False) -> None:
        """Request that points (index, count) be written and verified.

        A `stop` goes out before all other requests. The session does not send outputs that cannot
        be written (limits, another model); `write_error` gives the reason.
        """
        self._write_cycle.request(outputs, stop)

    def withhold_outputs(self) -> None:
        """Drop the requested outputs: write nothing until the next request."""
        self._write_cycle.withhold()

    # Results.

    def reset(self) -> None:
        """Forget the pending polls and probes: the handling of a result raised an exception."""
        self._probes_pending = 0
        self._poll_cycle.reset()

    def handle_result(self, result: "TransactionResult") -> None:
        """Handle the result of a poll, write, identity probe or watchdog write."""
        ok = result.status == OK
        self.transactions += 1
        self.errors += not ok
        if ok:
            self._has_answered = True
            if self.comm_state != ONLINE:
                self.comm_state = next_state(self.comm_state, ANSWERED, COMM_TABLE)
                for cycle in self._cycles:
                    cycle.device_recovered()
            self.silent_cycles = 0
            self.answered_at = result.done_at
        tag = result.tag
        kind = tag.block
        if kind >= 0:
            is_round_complete = self._poll_cycle.handle_result(tag, result)
            if is_round_complete and self._has_answered and self.device.identity != MISMATCH:
                for cycle in self._cycles:
                    cycle.verify()
        elif kind == RECOVERY_KIND:
            self._probe_done(tag, result)
        elif kind != WATCHDOG_KIND:
            cycle = self._cycles[0 if kind == WRITE_KIND else 1 + CHANNEL_KIND - kind]
            if cycle.handle_result(tag, ok):
                self.poll_early()
