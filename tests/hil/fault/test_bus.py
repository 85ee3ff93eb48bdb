"""Each word for a fault of the field bus does what it says, and its end takes it away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.modbus.bus import Bus
from hil.fault.bus import BUS_EVENTS
from hil.kernel.dut import InProcess
from hil.run.virtual import VirtualRun
from hil.scenario.model import parse
from tests.support.cli_tools import SHORT

SECOND = 1_000_000
BEFORE, DURING, AFTER = 15, 30, 60

# word, value, what the bus counts of it, and how often at least in the 15 s
COUNTED: list[tuple[str, float, Callable[[Bus], int], int]] = [
    ("rpu_slow", 450, lambda bus: bus.timeouts, 4),
    ("rpu_twice", 0, lambda bus: bus.late, 15),
    ("rpu_wrong_unit", 99, lambda bus: bus.foreign, 4),
    ("rpu_noise", 10, lambda bus: bus.dropped_bytes, 300),
    ("rpu_bad_crc", 5, lambda bus: bus.crc_errors, 5),
    ("rpu_cut", 3, lambda bus: bus.timeouts, 3),
    ("rpu_busy", 9, lambda bus: bus.busy, 9),
    ("rpu_refuses", 4, lambda bus: bus.exceptions, 30),
    ("pump_dead", 1, lambda bus: bus.timeouts, 4),
    ("bus_echo", 0, lambda bus: bus.client.echoes, 60),
    ("other_master", 200, lambda bus: bus.foreign + bus.late, 60),
]
# word, value, the alarm that comes of it
ALARMED = [
    ("rpu_no_value", 0, "supply_sensor"),
    ("rpu_reboot", 0, "device_lost:rpu"),
    ("pump_reboot", 1, "device_lost:pump1"),
    ("valve_ignores_writes", 0, "write_refused:valve"),
    ("valve_clamps", 1000, "write_refused:valve"),
    ("pump_ignores_writes", 1, "write_refused:pump1"),
]


class Run(VirtualRun):
    """A run in steps, with the agent's bus at hand."""

    def __init__(self) -> None:
        super().__init__(parse(SHORT.replace("= 3", "= 200"), "x"), 1)
        assert isinstance(self.dut, InProcess)
        self.agent = self.dut.agent
        self.bus = self.agent.fieldbus.buses[0]
        self.shell.start()
        self.to(BEFORE)

    def to(self, second: int) -> None:
        self.shell.run(second * SECOND)

    def stir(self) -> None:
        """Something to do for the loops, so that there is something to write."""
        self.row.plant.set_load(110.0)


@pytest.mark.parametrize(("word", "value", "count", "least"), COUNTED)
def test_the_bus_counts_it(
    word: str, value: float, count: Callable[[Bus], int], least: int
) -> None:
    run = Run()
    assert count(run.bus) == 0
    BUS_EVENTS[word].do(run.row, value)
    run.to(DURING)
    assert count(run.bus) >= least
    undo = BUS_EVENTS[word].undo
    assert undo is not None
    undo(run.row)
    run.to(DURING + 10)
    there = count(run.bus)
    run.to(AFTER)
    assert (count(run.bus), run.agent.alarms.codes()) == (there, [])


@pytest.mark.parametrize(("word", "value", "alarm"), ALARMED)
def test_it_is_reported(word: str, value: float, alarm: str) -> None:
    run = Run()
    run.stir()
    BUS_EVENTS[word].do(run.row, value)
    seen: set[str] = set()
    for second in range(BEFORE, AFTER):
        run.to(second)
        seen.update(run.agent.alarms.codes())
    assert alarm in seen
    undo = BUS_EVENTS[word].undo
    if undo is not None:
        undo(run.row)
    run.to(2 * AFTER)
    assert alarm not in run.agent.alarms.codes()


def test_delayed_writes_are_waited_for() -> None:
    run = Run()
    run.stir()
    BUS_EVENTS["valve_delays_writes"].do(run.row, 1500)
    run.to(AFTER)
    assert run.agent.alarms.codes() == []
    assert run.row.valve.writes > 3


def test_every_word_is_tried() -> None:
    tried = {word for word, *_ in COUNTED + ALARMED} | {"valve_delays_writes"}
    assert tried == set(BUS_EVENTS)
