# SPDX-License-Identifier: Apache-2.0
"""The commands of `drivers.gnss` with the emulated receivers, over a line in virtual time.

The receivers are of another code base (pynmea2, construct) than the commands. A wrong number on one
side shows here. Does not use a port; see `tests/cli/test_nmea_setup.py`.
"""

import heapq

import pytest

from agent.gnss.schema import RECEIVER_SETUP
from drivers.gnss.receiver import ReceiverDriver
from drivers.gnss.setup_sequence import SetupSequence
from drivers.gnss.setup_step import build_steps
from drivers.gnss.setup_vendors import VENDOR_COMMANDS
from hil.devices.gnss.commands import make_interpreter
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.elements import BEIDOU
from hil.devices.gnss.receiver import GnssReceiver
from hil.io.receiver_line import ReceiverLine
from hil.kernel.dut import InProcessDut
from hil.kernel.world import World
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

SECOND = 1_000_000
START_UTC = 1_795_500_000_000_000
SITE_E7 = (252_000_000, 552_000_000)
KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA")
CHECKED = (*KINDS, "GLL", "VTG", "GST")
VENDORS = [
    ("casic", "casic"),
    ("unicore", "unicore"),
    ("quectel", "quectel"),
    ("ublox", "ublox"),
    ("ublox", "ublox8"),
]
"""A dialect, and the vendor of its commands."""


class ReceiverBench:
    """A receiver, its line, and a driver that reads it."""

    def __init__(self, name: str) -> None:
        self.world = World(1, START_UTC)
        dialect = DIALECTS[name]
        self.device = GnssReceiver(
            SITE_E7,
            self.world.utc,
            self.world.random("receiver"),
            dialect,
            commands=make_interpreter(dialect.commands),
        )
        self.baud = dialect.baud
        self.port = ReceiverDriver(0, self.baud, max_epochs=4, vendor=name)
        self.line = ReceiverLine(
            self.world,
            self.device,
            lambda data: self.port.receive(data, self.world.now),
            1,
            lambda: self.baud,
        )

    def set_up(self, setup: SetupSequence, most_s: int = 900) -> list[tuple[str, str]]:
        """Run the set-up; return (step, outcome)."""
        world = self.world
        tick = world.now
        while not setup.done and world.now < most_s * SECOND:
            tick += SECOND // 20
            while world.heap and world.heap[0][0] <= tick:
                world.now, _, _, call, args = heapq.heappop(world.heap)
                call(*args)
            world.now = tick
            for epoch in self.port.take_epochs(tick):
                setup.take_epoch(epoch, tick)
            if tick >= setup.deadline():
                setup.wake(tick)
            for op, data in setup.outbox():
                if op == "set":
                    self.baud = int(data[5:])
                else:
                    self.line.write(data)
        return [(o.name, o.outcome) for o in setup.results]


def test_configuration_and_test_know_each_vendor() -> None:
    assert RECEIVER_SETUP["properties"]["maker"]["enum"] == list(VENDOR_COMMANDS)
    assert {vendor for _, vendor in VENDORS} == set(VENDOR_COMMANDS)


@pytest.mark.parametrize(("dialect", "vendor"), VENDORS)
def test_setup_of_each_vendor(dialect: str, vendor: str) -> None:
    bench = ReceiverBench(dialect)
    speed = 57_600 if bench.baud == 115_200 else 115_200
    steps = build_steps(vendor, ("BDS",), KINDS, 500, speed, True, "warm")
    found = bench.set_up(SetupSequence(steps, 0, bench.baud))
    assert [step for step, _ in found] == [
        "constellations",
        "sentences",
        "rate",
        "baud",
        "save",
        "start",
    ]
    assert {v for step, v in found if step != "save"} <= {"done", "already"}, found
    assert dict(found)["save"] == "unproven"
    assert bench.device.systems == [BEIDOU]
    sent = [kind for kind, every in bench.device.rate_divisors.items() if every]
    assert {kind for kind in sent if kind in CHECKED} == set(KINDS)
    assert (bench.device.period_us, bench.device.baud(bench.world.now), bench.baud) == (
        500_000,
        speed,
        speed,
    )
    assert bench.device.ignored == 0


@pytest.mark.parametrize(("dialect", "vendor"), VENDORS)
def test_each_sentence_and_system_can_be_selected(dialect: str, vendor: str) -> None:
    bench = ReceiverBench(dialect)
    many = (*KINDS, "GLL", "VTG")
    able = ("BDS", "GPS") if dialect == "casic" else ("BDS", "GPS", "GLO", "GAL")
    few = ("RMC", "GGA", "GSV")  # the systems are unknown without GSV
    for kinds, systems in ((few, ()), (many, ("BDS",)), (few, able), (many, ("GPS",))):
        steps = build_steps(vendor, systems, kinds)
        found = bench.set_up(SetupSequence(steps, bench.world.now, bench.baud), 9000)
        assert [verdict for _, verdict in found] == ["done"] * len(steps), (kinds, found)
        sent = {kind for kind in CHECKED if bench.device.rate_divisors.get(kind)}
        assert sent == set(kinds)


@pytest.mark.parametrize(("dialect", "vendor"), VENDORS)
def test_acknowledged_but_ignored_step_is_detected(dialect: str, vendor: str) -> None:
    bench = ReceiverBench(dialect)
    bench.device.ignores_commands = True
    setup = SetupSequence(build_steps(vendor, ("BDS",), KINDS, 500), 0, bench.baud)
    found = bench.set_up(setup)
    assert found[0] == ("constellations", "refused")
    assert ("rate", "refused") in found
    assert not setup.succeeded()
    assert bench.device.commands > 0
    # CASIC sends no acknowledgement; u-blox sends UBX, which is not a sentence
    assert setup.results[0].acknowledged == (vendor in ("unicore", "quectel"))


ROW = """
name = "setup"
title = "The agent sets its receiver up"
seconds = {seconds}
[row]
receiver_dialect = "{dialect}"
pumps = 1
parts = "integrity, receiver_setup"
[[expect]]
measure = "missed_ticks"
max = 0
from_s = 5
[[expect]]
measure = "alarms"
max = 0
from_s = 5
"""


@pytest.mark.parametrize("dialect", ["casic", "unicore", "quectel", "ublox"])
def test_agent_sets_up_receiver(dialect: str) -> None:
    run = VirtualRun(parse(ROW.format(seconds=120, dialect=dialect), "x"), 1, InProcessDut)
    run.run()
    assert run.evaluator.failures() == []
    assert run.status is not None
    found = run.status["receiver_setup"]
    assert found["runs"] == 1
    assert {one["verdict"] for one in found["steps"]} <= {"done", "already"}, found
    assert found["steps"][0] == {"step": "constellations", "verdict": "done", "seen": "BDS"}
    device = run.testbed.receiver
    assert isinstance(device, GnssReceiver)
    assert device.systems == [BEIDOU]
    assert {kind for kind in CHECKED if device.rate_divisors.get(kind)} == set(KINDS)
