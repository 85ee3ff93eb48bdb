# SPDX-License-Identifier: Apache-2.0
"""Drive with separate command and reference: pump actuator and emulated Danfoss drive."""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from random import Random

import pytest

from agent.control.actuator.pump import PumpActuator
from agent.core.config_records import DeviceConfig
from agent.fieldbus.capacity import make_poll_plans
from agent.fieldbus.device_session import DeviceSession
from drivers.device.profile import DeviceProfile
from drivers.modbus.bus import Bus
from drivers.modbus.wire_time import WireTime
from hil.devices.drives.danfoss_fc import CONTROL, REFERENCE, DanfossFc
from hil.devices.modbus.line import ModbusLine
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant
from tests.support.repository import ROOT

SECOND = 1_000_000
RUN, STOP = 0x047C, 0x043C
UNIT, BAUD = 7, 19200


class HeldDrive(DanfossFc):
    """Records the writes and the resulting shaft speed."""

    def __init__(self, plant: Plant) -> None:
        self.log: list[tuple[int, int]] = []
        self.targets: list[float] = []
        super().__init__(plant, unit=UNIT)

    def _store(self, address: int, values: Sequence[int], now: int) -> None:
        super()._store(address, values, now)
        self.log.extend(enumerate(values, address))
        if self.running:
            self.targets.append(round(self.shaft.target_pct, 2))


class PumpBench:
    """Bus, device session and line in virtual time; each cycle is a second."""

    def __init__(self, raw: dict[str, object]) -> None:
        plant = Plant(Random(1), PlantParameters(pumps=2, start_pump_pct=(0.0, 60.0)))
        self.drive = HeldDrive(plant)
        self.line = ModbusLine([self.drive])
        self.bus = Bus(4, "rtu", BAUD, 11)
        self.bus.event("opened", 0)
        config = DeviceConfig("pump", "bus", UNIT, DeviceProfile(raw))
        plans = make_poll_plans(config.profile, WireTime(BAUD, 11), has_actuators=True)
        self.session = DeviceSession(0, config, self.bus, plans)
        self.pump = PumpActuator(self.session)
        self.now = SECOND
        self._pending_replies: list[tuple[int, int, bytes]] = []

    def cycle(self, percent: float) -> None:
        """Poll, step the pump 0.5 s later, advance to the next second."""
        self.session.poll(self.now, SECOND)
        self._advance_to(self.now + SECOND // 2)
        self.pump.request(percent)
        self._advance_to(self.now + SECOND // 2)

    def _advance_to(self, until: int) -> None:
        while True:
            due = self.bus.deadline()
            at = self._pending_replies[0][0] if self._pending_replies else until + 1
            if min(due, at, self.line.deadline()) > until:
                break
            self.now = min(max(self.now, min(due, at, self.line.deadline())), until)
            self.line.wake(self.now)
            if at <= due and at <= self.now:
                self.bus.receive(heapq.heappop(self._pending_replies)[2], self.now)
            elif due <= self.now:
                self.bus.wake(self.now)
            for _, _, data in self.bus.outbox():
                received_at = self.now + self.bus.wire_time.chars_us(len(data))
                for delay, reply in self.line.receive(data, received_at):
                    arrives_at = received_at + delay + self.bus.wire_time.chars_us(len(reply))
                    heapq.heappush(
                        self._pending_replies, (arrives_at, len(self._pending_replies), reply)
                    )
            for result in self.bus.take_results():
                self.session.handle_result(result)
        self.now = until


@pytest.fixture
def turn() -> PumpBench:
    return PumpBench(json.loads((ROOT / "drivers" / "profiles" / "danfoss_fc.json").read_text()))


def test_reference_is_written_before_the_run_command(turn: PumpBench) -> None:
    turn.drive.registers[REFERENCE] = 0x4000  # an earlier value: full speed
    turn.cycle(60.0)
    assert turn.drive.log == [(REFERENCE, 9830), (CONTROL, RUN)]
    assert turn.drive.targets == [60.0]
    for _ in range(8):
        turn.cycle(60.0)
    assert turn.pump.speed() == pytest.approx(60.0, abs=0.1)
    assert not turn.session.write_unverified


def test_stop_is_written_before_the_reference(turn: PumpBench) -> None:
    for _ in range(8):
        turn.cycle(60.0)
    turn.drive.log.clear()
    turn.drive.targets.clear()
    turn.cycle(0.0)
    assert turn.drive.log == [(CONTROL, STOP), (REFERENCE, 0)]
    assert turn.drive.targets == []
    for _ in range(8):
        turn.cycle(0.0)
    assert turn.pump.speed() == 0.0


def test_lost_first_request_keeps_the_write_order(turn: PumpBench) -> None:
    turn.cycle(0.0)
    turn.drive.log.clear()
    turn.drive.registers[REFERENCE] = 0x4000
    turn.drive.dead = True
    turn.pump.request(60.0)
    turn._advance_to(turn.now + SECOND // 10)
    turn.drive.dead = False
    for _ in range(6):
        turn.cycle(60.0)
    assert turn.drive.log[0] == (REFERENCE, 9830)
    assert set(turn.drive.targets) == {60.0}


def test_ramp_limits_the_reference_but_not_a_stop() -> None:
    raw = json.loads((ROOT / "drivers" / "profiles" / "danfoss_fc.json").read_text())
    for point in raw["points"]:
        if point["name"] == "SpeedControlPercent":
            point["ramp"] = 1638  # 10 % a second
    turn = PumpBench(raw)
    turn.cycle(25.0)
    turn.cycle(25.0)
    turn.cycle(25.0)
    references = [value for address, value in turn.drive.log if address == REFERENCE]
    assert references == [1638, 3276, 4096]
    turn.drive.log.clear()
    turn.cycle(0.0)
    assert turn.drive.log == [(CONTROL, STOP), (REFERENCE, 0)]
