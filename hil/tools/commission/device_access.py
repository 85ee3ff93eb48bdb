# SPDX-License-Identifier: Apache-2.0
"""Live values of a device by its profile, and the guarded write test.

Does not ask questions; see `hil.tools.commission.steps`. The write test moves each set-point of the
roles by a small step, reads it back, and returns to the old value, also after an error. It writes
nothing while an alarm bit of the device is on, or to a device that is another model.
"""

import time
from typing import Any, NamedTuple, Self

from drivers.device.device import BAD, ModbusDevice
from drivers.device.identity import MISMATCH
from drivers.device.profile import DeviceProfile, Point
from drivers.errors import PortError
from drivers.tools.lib.arguments import describe_result
from drivers.tools.lib.identify import Model, ProbedUnit, probe_device
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from protocols.errors import EncodeError
from protocols.modbus.pdu import GOOD
from protocols.time_units import MILLISECOND

DONE, REFUSED, FAILED, LEFT = "done", "refused", "failed", "left"
"""States of a write test. `LEFT`: the device did not return to the old value."""
_TIMEOUT_MS = 300
_STEPS = {"%": 2.0, "Cel": 0.5, "kPa": 2.0}
_READBACKS, _PAUSE_S = 10, 0.2


class LiveValue(NamedTuple):
    """One value: `quality` is good, bad or none."""

    name: str
    value: float
    unit: str
    quality: str


class WriteResult(NamedTuple):
    """Result of the test of one point: old value, tested value, state, reason."""

    point: str
    unit: str
    before: float | None
    tested: float | None
    state: str
    reason: str


class DeviceAccess:
    """One device on one port. Raises `PortError` if the port cannot be opened."""

    def __init__(self, port: str, unit: int, raw: dict[str, Any]) -> None:
        self._client = BlockingModbusClient(port_address(port), _TIMEOUT_MS * MILLISECOND)
        self._unit = ProbedUnit(self._client, unit)
        self._profile: DeviceProfile = Model(raw).profile_for(self._unit)
        self.device: ModbusDevice = probe_device(self._unit, self._profile)
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._client.__exit__(*details)

    @property
    def identity(self) -> str:
        """What the probes of the profile have found."""
        if self.device.identity == MISMATCH:
            return f"is another model: {self.device.mismatch_reason}"
        return "matches its profile" if self._profile.identity else "has no identification"

    def poll(self) -> None:
        """Read all blocks; `errors` has a text for each that failed."""
        self.errors = []
        for request, tag in self.device.poll_requests():
            result = self._client.request(self.device.unit, request)
            if result.status == GOOD:
                self.device.store_block(tag, result.values, result.done_at)
            else:
                block = self.device.blocks[tag]
                last = block.address + block.count - 1
                reason = describe_result(result)
                self.errors.append(f"registers {block.address} to {last}: {reason}")
                self.device.block_failed(tag, result.done_at)

    def values(self) -> list[LiveValue]:
        """Return the values of the last poll."""
        return [
            LiveValue(
                point.name,
                self.device.value(i),
                "" if point.unit == "1" else point.unit,
                self.device.readings[i].quality,
            )
            for i, point in enumerate(self._profile.points)
        ]

    def bits(self) -> dict[str, bool]:
        """Return the bits of the last poll."""
        return {bit.name: self.device.is_bit_on(bit.name) for bit in self._profile.bits}

    # The write test.

    def outputs(self) -> list[str]:
        """Return the points that the roles write."""
        profile = self._profile
        roles = [profile.pump, profile.valve, profile.fan]
        return [role["setpoint"] for role in roles if role] + list(profile.cdu.values())

    def test_write(self, name: str) -> WriteResult:
        """Move a point by a small step and back."""
        index = self.device.point_index(name)
        point = self._profile.points[index]
        self.poll()
        alarms = self.device.active_alarm_bits()
        before = self._count(index)
        if alarms or before is None or self.device.identity == MISMATCH:
            reason = self.identity
            if before is None:
                reason = "the present value cannot be read"
            elif alarms:
                reason = f"alarm {', '.join(alarms)} is on"
            return WriteResult(name, point.unit, None, None, REFUSED, reason)
        target = self._target(point, index, before)
        scale = point.num / point.den
        try:
            state, reason = self._write(index, target)
        finally:
            returned, _ = self._write(index, before)
        if returned != DONE:
            state, reason = LEFT, "the device did not return to its old value"
        return WriteResult(name, point.unit, before * scale, target * scale, state, reason)

    def _count(self, index: int) -> int | None:
        reading = self.device.readings[index]
        return reading.raw if reading.quality in ("good", BAD) else None

    def _target(self, point: Point, index: int, before: int) -> int:
        """Return the count of the test: a step up, or down at the upper limit."""
        low, high = point.limits or (before, before)
        step = max(1, self.device.to_count(index, _STEPS.get(point.unit, 1.0)))
        target = before + step if before + step <= high else before - step
        return max(low, min(high, target))

    def _write(self, index: int, count: int) -> tuple[str, str]:
        """Write a count and read it back; return (state, reason)."""
        try:
            requests = self.device.build_writes([(index, count)])
            for request in requests:
                result = self._client.request(self.device.unit, request)
                if result.status != GOOD:
                    return FAILED, describe_result(result)
        except (EncodeError, PortError) as error:
            return FAILED, str(error)
        for _ in range(_READBACKS):
            self.poll()
            if self.device.readback_matches([(index, count)]):
                return DONE, ""
            time.sleep(_PAUSE_S)
        return FAILED, "the device does not show the written value"
