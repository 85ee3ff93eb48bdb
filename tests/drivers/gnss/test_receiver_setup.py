# SPDX-License-Identifier: Apache-2.0
"""The commands of `drivers.gnss` with the emulated receivers, over a line in virtual time.

The receivers are of another code base (pynmea2, construct) than the commands. A wrong number on one
side shows here. Does not use a port; see `tests/cli/test_nmea_setup.py`.
"""

import heapq
from collections.abc import Callable
from typing import Any

import pytest

from agent.gnss.schema_setup import RECEIVER_SETUP
from drivers.errors import DriverError
from drivers.gnss.epoch import Epoch
from drivers.gnss.receiver import ReceiverDriver
from drivers.gnss.setup_sequence import SetupSequence
from drivers.gnss.setup_step import build_steps
from drivers.gnss.setup_vendors import VENDOR_COMMANDS
from hil.devices.gnss.commands import make_interpreter
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.elements import BEIDOU, GPS
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
OTHERS = [("allystar", "allystar"), ("st", "st"), ("trimble", "trimble")]
"""Vendors of which not all commands are public."""


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
        self.port.decoder  # noqa: B018 - frames are kept from its first use on
        self.line = ReceiverLine(
            self.world,
            self.device,
            lambda data: self.port.receive(data, self.world.now),
            1,
            lambda: self.baud,
        )

    def step(self, take_epoch: Callable[[Epoch, int], None]) -> None:
        """Let 50 ms pass."""
        world = self.world
        tick = world.now + SECOND // 20
        while world.heap and world.heap[0][0] <= tick:
            world.now, _, _, call, args = heapq.heappop(world.heap)
            call(*args)
        world.now = tick
        for epoch in self.port.take_epochs(tick):
            take_epoch(epoch, tick)

    def set_up(self, setup: SetupSequence, most_s: int = 900) -> list[tuple[str, str]]:
        """Run the set-up; return (step, outcome)."""
        world = self.world
        while not setup.done and world.now < most_s * SECOND:
            self.step(setup.take_epoch)
            tick = world.now
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
    assert {vendor for _, vendor in (*VENDORS, *OTHERS)} == set(VENDOR_COMMANDS)


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
    # CASIC sends no acknowledgement
    assert setup.results[0].acknowledged == (vendor != "casic")


@pytest.mark.parametrize(
    ("dialect", "systems", "kinds", "rate_ms", "baud"),
    [
        ("allystar", ("BDS",), (*KINDS, "GST"), 0, 57_600),
        ("st", ("GAL", "BDS"), ("RMC", "GGA", "GSA", "GSV", "GLL"), 500, 0),
        ("trimble", ("GPS",), (*KINDS, "GLL"), 2000, 38_400),
    ],
)
def test_setup_of_a_vendor_with_fewer_commands(
    dialect: str, systems: tuple[str, ...], kinds: tuple[str, ...], rate_ms: int, baud: int
) -> None:
    bench = ReceiverBench(dialect)
    steps = build_steps(dialect, systems, kinds, rate_ms, baud, True, "cold")
    setup = SetupSequence(steps, 0, bench.baud)
    found = bench.set_up(setup)
    assert [step for step, _ in found] == [step.name for step in steps]
    assert {v for step, v in found if step != "save"} <= {"done", "already"}, found
    sent = {kind for kind in CHECKED if bench.device.rate_divisors.get(kind)}
    assert sent == set(kinds)
    assert bench.device.period_us == (rate_ms or 1000) * 1000
    assert bench.device.ignored == 0
    # the receiver of Allystar acknowledges with frames
    acknowledged = {result.name for result in setup.results if result.acknowledged}
    assert acknowledged == (set() if dialect == "allystar" else acknowledged | {"sentences"})
    if "ANT" in DIALECTS[dialect].order:
        assert bench.device.rate_divisors["ANT"] == 1


@pytest.mark.parametrize(("dialect", "vendor"), OTHERS)
def test_ignored_commands_of_the_other_vendors_are_detected(dialect: str, vendor: str) -> None:
    bench = ReceiverBench(dialect)
    bench.device.ignores_commands = True
    found = bench.set_up(SetupSequence(build_steps(vendor, (), ("RMC", "GGA")), 0, bench.baud))
    assert found == [("sentences", "refused")]


@pytest.mark.parametrize(
    ("vendor", "setting"),
    [
        ("allystar", {"rate_ms": 500}),
        ("st", {"baud": 9600}),
        ("st", {"kinds": ("RMC", "GGA", "ZDA")}),
        ("trimble", {"systems": ("BDS",)}),
        ("trimble", {"rate_ms": 500}),
        ("trimble", {"kinds": ("RMC", "GGA", "GST")}),
    ],
)
def test_a_setting_without_a_public_command_is_refused(
    vendor: str, setting: dict[str, Any]
) -> None:
    with pytest.raises(DriverError):
        build_steps(vendor, **setting)


def test_frames_are_those_of_public_command_files() -> None:
    """DATAGNSS, HD9310: GLL off, GPS and GLONASS; TAU1113: 115200 baud; TAU1201: cold start."""
    commands = VENDOR_COMMANDS["allystar"]
    assert bytes.fromhex("F1 D9 06 01 03 00 F0 01 00 FB 11") in commands.kinds(("RMC",), 1000)
    assert commands.baud(115_200) == [
        bytes.fromhex("F1 D9 06 00 08 00 00 00 00 00 00 C2 01 00 D1 E0")
    ]
    assert commands.start("cold") == [bytes.fromhex("F1 D9 06 40 01 00 01 48 22")]
    assert commands.save() == [bytes.fromhex("F1 D9 06 09 08 00 00 00 00 00 2F 00 00 00 46 B7")]
    assert VENDOR_COMMANDS["trimble"].baud(115_200) == [b"$PTNLSPT,115200,8,N,1,4,4*11\r\n"]
    assert VENDOR_COMMANDS["st"].save() == [b"$PSTMSAVEPAR*58\r\n"]


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


@pytest.mark.parametrize(
    "dialect", ["casic", "unicore", "quectel", "ublox", "allystar", "st", "trimble"]
)
def test_agent_sets_up_receiver(dialect: str) -> None:
    """The bench asks each receiver only for what it has."""
    run = VirtualRun(parse(ROW.format(seconds=120, dialect=dialect), "x"), 1, InProcessDut)
    run.run()
    assert run.evaluator.failures() == []
    assert run.status is not None
    found = run.status["receiver_setup"]
    assert found["runs"] == 1
    assert {one["verdict"] for one in found["steps"]} <= {"done", "already"}, found
    system, seen = (GPS, "GPS") if dialect == "trimble" else (BEIDOU, "BDS")
    verdict = "already" if dialect == "trimble" else "done"
    assert found["steps"][0] == {"step": "constellations", "verdict": verdict, "seen": seen}
    device = run.testbed.receiver
    assert isinstance(device, GnssReceiver)
    assert device.systems == [system]
    kinds = set(KINDS) - {"ZDA"} if dialect == "st" else set(KINDS)
    assert {kind for kind in CHECKED if device.rate_divisors.get(kind)} == kinds
