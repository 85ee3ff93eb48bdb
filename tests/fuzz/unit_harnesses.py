# SPDX-License-Identifier: Apache-2.0
"""Harnesses of the whole agent and of the emulated devices of the bench, port by port.

The unit runs in virtual time with all its devices. An input arrives at one port; time passes with
each input. The guard of the agent raises here, so that it hides no error.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hil.run.virtual import VirtualRun
from protocols.modbus.crc import with_crc
from tests.fuzz.harness import Feed, Harness, chunks
from tests.fuzz.traffic import MODEMS, captured, make_run, place_names

_READY_S = 30
_PAUSE_US = 20_000


def _raise(piece: object, error: Exception, now: int, data: bytes = b"") -> None:
    raise error


class BenchUnit:
    """A unit of the bench after its start; one for all harnesses of a kind of modem."""

    _units: ClassVar[dict[str, BenchUnit]] = {}

    def __init__(self, modem: str) -> None:
        self.run: VirtualRun = make_run(modem, MODEMS[modem], _READY_S)
        self.run.dut.agent.guard.handle = _raise  # type: ignore[attr-defined]
        self.run.run()
        self.ports = {name: port for port, name in place_names(self.run).items()}

    @classmethod
    def of(cls, modem: str) -> BenchUnit:
        """Return the unit with this modem."""
        if modem not in cls._units:
            cls._units[modem] = cls(modem)
        return cls._units[modem]

    def let_time_pass(self) -> None:
        """Run for a short time."""
        world = self.run.world
        self.run.shell.run(world.now + _PAUSE_US)


def to_agent(modem: str, place: str, with_check: bool = False) -> tuple[Feed, object]:
    """Return a harness of a port of the agent."""
    unit = BenchUnit.of(modem)
    port = unit.ports[place]

    def feed(data: bytes) -> None:
        for chunk in chunks(with_crc(data) if with_check else data):
            unit.run.shell.deliver(port, chunk)
        unit.let_time_pass()

    return feed, unit.run.dut.agent  # type: ignore[attr-defined]


def _stored(section: str) -> tuple[Feed, object]:
    """Answers of a store to the agent: a key of the section with any content."""
    unit = BenchUnit.of("sbd")
    port = unit.ports[section]
    keys = sorted({data.partition(b"\0")[0] for data in captured("sbd").get(section + "<", ())})

    def feed(data: bytes) -> None:
        if keys and data and data[0] < 0xC0:
            data = keys[data[0] % len(keys)] + b"\0" + data[1:]
        unit.run.shell.deliver(port, data)
        unit.let_time_pass()

    return feed, None


def _serial_device(device: Any) -> tuple[Feed, object]:
    now = [_READY_S * 1_000_000]

    def feed(data: bytes) -> None:
        for chunk in chunks(data):
            now[0] += _PAUSE_US
            device.receive(chunk, now[0])
            if now[0] >= device.deadline():
                device.wake(now[0])

    return feed, device


def _modbus_line() -> tuple[Feed, object]:
    line = make_run("sbd", "casic").testbed.bus
    feed, _ = _serial_device(line)
    return lambda data: feed(data[:1] + with_crc(data[1:])), None


def _rdss_terminal() -> tuple[Feed, object]:
    """The body of each line gets a right checksum."""
    testbed = make_run("rdss", MODEMS["rdss"]).testbed
    assert testbed.satcom is not None
    feed, device = _serial_device(testbed.satcom.device)

    def feed_sealed(data: bytes) -> None:
        body = data[1:].split(b"*")[0].lstrip(b"$").replace(b"\n", b"").decode("ascii", "replace")
        check = 0
        for char in body:
            check ^= ord(char)
        feed(data[:1] + b"$%s*%02X\r\n" % (body.encode("utf-8"), check & 255))

    return feed_sealed, device


def _tcp_device(device: Any) -> tuple[Feed, object]:
    now = [_READY_S * 1_000_000]
    connection = [0]

    def feed(data: bytes) -> None:
        connection[0] += 1
        now[0] += _PAUSE_US
        device.opened(connection[0], now[0])
        for chunk in chunks(data):
            device.receive(connection[0], chunk, now[0])
        device.closed(connection[0], now[0])
        if now[0] >= device.deadline():
            device.wake(now[0])

    return feed, None


def make_harnesses() -> list[Harness]:
    """Return the harnesses of this file."""
    found = []
    traffic = captured("sbd")
    for place in ("bus", "receiver", "broker", "bmc"):
        seeds = [bytes((3,)) + data for data in traffic[place + ">"]]
        found.append(
            Harness("agent_" + place, lambda place=place: to_agent("sbd", place), (), seeds)  # type: ignore[misc]
        )
    found.append(
        Harness(
            "agent_bus_crc",
            lambda: to_agent("sbd", "bus", True),
            (),
            [bytes((3,)) + data[:-2] for data in traffic["bus>"]],
        )
    )
    for kind in MODEMS:
        seeds = [bytes((3,)) + data for data in captured(kind).get("modem>", ())]
        found.append(
            Harness("agent_modem_" + kind, lambda kind=kind: to_agent(kind, "modem"), (), seeds)  # type: ignore[misc]
        )
    for section in ("log", "remote", "timekeeping", "ledger", "throttle", "modem_store"):
        if section in BenchUnit.of("sbd").ports:
            contents = [d.partition(b"\0")[2] for d in traffic.get(section + "<", ())]
            found.append(
                Harness("stored_" + section, lambda section=section: _stored(section), (), contents)  # type: ignore[misc]
            )
    testbed = make_run("sbd", "casic").testbed
    to_bus = [bytes((3,)) + data[:-2] for data in traffic["bus<"]]
    found.append(Harness("device_modbus_line", _modbus_line, (), to_bus))
    rdss = [bytes((3,)) + data for data in captured("rdss").get("modem<", ())]
    found.append(Harness("device_modem_rdss_sealed", _rdss_terminal, (), rdss))
    bmcs = testbed.load_bank.bmcs if testbed.load_bank is not None else {}
    tcp_devices: list[tuple[str, Any, str]] = [("broker", testbed.broker, "broker<")]
    tcp_devices += [("bmc", bmc, "bmc<") for bmc in list(bmcs.values())[:1]]
    if testbed.load_bank is not None:
        tcp_devices.append(("modbus_tcp", testbed.load_bank.host, "bmc<"))
    for name, device, place in tcp_devices:
        seeds = [bytes((3,)) + data for data in traffic.get(place, ())]
        found.append(
            Harness("device_" + name, lambda device=device: _tcp_device(device), (), seeds)  # type: ignore[misc]
        )
    for kind, dialect in MODEMS.items():
        emulated = make_run(kind, dialect).testbed
        modem_seeds = [bytes((3,)) + data for data in captured(kind).get("modem<", ())]
        command_seeds = [bytes((3,)) + data for data in captured(kind).get("receiver<", ())]
        assert emulated.satcom is not None
        for name, device, seeds in (
            ("device_modem_" + kind, emulated.satcom.device, modem_seeds),
            ("device_receiver_" + dialect, emulated.receiver, command_seeds),
        ):
            found.append(
                Harness(name, lambda device=device: _serial_device(device), (), seeds)  # type: ignore[misc]
            )
    return found
