# SPDX-License-Identifier: Apache-2.0
"""Each fault of the field bus has its described effect, and its end removes the effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.modbus.bus import Bus
from hil.fault.communication.bus import BUS_EVENTS
from hil.kernel.dut import InProcessDut
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from tests.support.cli_tools import SHORT

SECOND = 1_000_000
BEFORE, DURING, AFTER = 15, 30, 60

# fault, value, counter of the bus, lowest count in the 15 s of the fault
COUNTED_FAULTS: list[tuple[str, float, Callable[[Bus], int], int]] = [
    ("rpu_slow", 450, lambda bus: bus.timeouts, 4),
    ("rpu_twice", 0, lambda bus: bus.unsolicited, 15),
    ("rpu_wrong_unit", 99, lambda bus: bus.other_unit_frames, 4),
    ("rpu_noise", 10, lambda bus: bus.discarded_bytes, 300),
    ("rpu_bad_crc", 5, lambda bus: bus.crc_errors, 5),
    ("rpu_cut", 3, lambda bus: bus.timeouts, 3),
    ("rpu_busy", 9, lambda bus: bus.busy_replies, 9),
    ("rpu_refuses", 4, lambda bus: bus.exceptions, 30),
    ("pump_dead", 1, lambda bus: bus.timeouts, 4),
    ("bus_echo", 0, lambda bus: bus.client.counters.echoes, 60),
    ("other_master", 200, lambda bus: bus.other_unit_frames + bus.unsolicited, 60),
]
# fault, value, resulting alarm
ALARM_FAULTS = [
    ("rpu_no_value", 0, "supply_sensor"),
    ("rpu_reboot", 0, "device_lost:rpu"),
    ("pump_reboot", 1, "device_lost:pump1"),
    ("valve_ignores_writes", 0, "write_refused:valve"),
    ("valve_clamps", 1000, "write_refused:valve"),
    ("pump_ignores_writes", 1, "write_refused:pump1"),
]


class SteppedRun(VirtualRun):
    """A run in steps, with access to the bus of the agent."""

    def __init__(self) -> None:
        super().__init__(parse(SHORT.replace("= 3", "= 200"), "x"), 1)
        assert isinstance(self.dut, InProcessDut)
        self.agent = self.dut.agent
        self.bus = self.agent.fieldbus.buses[0]
        self.shell.start()
        self.run_to(BEFORE)

    def run_to(self, second: int) -> None:
        self.shell.run(second * SECOND)

    def raise_load(self) -> None:
        """Raise the load, so that the loops write to their actuators."""
        self.testbed.plant.set_load(110.0)


@pytest.mark.parametrize(("fault", "value", "count", "minimum"), COUNTED_FAULTS)
def test_bus_counts_fault(
    fault: str, value: float, count: Callable[[Bus], int], minimum: int
) -> None:
    run = SteppedRun()
    assert count(run.bus) == 0
    BUS_EVENTS[fault].do(run.testbed, value)
    run.run_to(DURING)
    assert count(run.bus) >= minimum
    undo = BUS_EVENTS[fault].undo
    assert undo is not None
    undo(run.testbed)
    run.run_to(DURING + 10)
    count_after = count(run.bus)
    run.run_to(AFTER)
    assert (count(run.bus), run.agent.alarms.codes()) == (count_after, [])


@pytest.mark.parametrize(("fault", "value", "alarm"), ALARM_FAULTS)
def test_fault_raises_alarm(fault: str, value: float, alarm: str) -> None:
    run = SteppedRun()
    run.raise_load()
    BUS_EVENTS[fault].do(run.testbed, value)
    codes: set[str] = set()
    for second in range(BEFORE, AFTER):
        run.run_to(second)
        codes.update(run.agent.alarms.codes())
    assert alarm in codes
    undo = BUS_EVENTS[fault].undo
    if undo is not None:
        undo(run.testbed)
    run.run_to(2 * AFTER)
    assert alarm not in run.agent.alarms.codes()


def test_delayed_writes_raise_no_alarm() -> None:
    run = SteppedRun()
    run.raise_load()
    BUS_EVENTS["valve_delays_writes"].do(run.testbed, 1500)
    run.run_to(AFTER)
    assert run.agent.alarms.codes() == []
    assert run.testbed.valve.writes > 3


def test_every_bus_fault_is_tested() -> None:
    tested = {fault for fault, *_ in COUNTED_FAULTS + ALARM_FAULTS} | {"valve_delays_writes"}
    assert tested == set(BUS_EVENTS)
