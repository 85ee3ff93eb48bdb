# SPDX-License-Identifier: Apache-2.0
"""The GNSS receiver of a row: a basic one, or one with the dialect of a vendor.

Does not contain the receivers; see `hil.devices.gnss`. The basic receiver (no dialect) writes RMC,
GGA, GSA, GSV and ZDA and needs little computing time. Scenarios that do not test the receiver use
it. A receiver with a dialect has real orbits, commands, and all faults of `hil.fault.gnss`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from hil.bench.testbed_settings import TestbedSettings
from hil.devices.gnss.basic_receiver import BasicReceiver
from hil.devices.gnss.commands import make_interpreter
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.elements import BEIDOU
from hil.devices.gnss.receiver import GnssReceiver
from hil.io.endpoints import SerialEndpoint
from hil.io.real_ports import PtyPort
from hil.io.receiver_line import PulseOutput, ReceiverLine, char_us
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from hil.shells.virtual import VirtualShell

RECEIVER_BAUD = 115_200
_SECOND = 1_000_000


def parse_start_us(text: str) -> int | None:
    """Parse a start in UTC, such as 2026-12-31T23:55:00Z, to Unix µs; None: not a UTC time."""
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(start.timestamp()) * _SECOND if start.tzinfo is not None else None


def make_receiver(
    world: World, settings: TestbedSettings, site_e7: tuple[int, int], name: str = "receiver"
) -> BasicReceiver | GnssReceiver:
    """Make a receiver of a row. `site_e7`: latitude and longitude in 1e-7 degrees; `name`: of its
    random numbers.
    """
    if not settings.receiver_dialect:
        latency = int(settings.receiver_latency_ms * 1000)
        return BasicReceiver(site_e7, world.utc, world.random(name), latency_us=latency)
    dialect = DIALECTS[settings.receiver_dialect]
    return GnssReceiver(
        site_e7,
        world.utc,
        world.random(name),
        dialect,
        baud=settings.receiver_baud or None,
        start_us=world.now,
        commands=make_interpreter(dialect.commands),
    )


def make_true_utc(world: World, receiver: BasicReceiver | GnssReceiver) -> Callable[[int], int]:
    """Make the function that gives true UTC in µs for a world time in µs.

    After a leap second, UTC is one second less than the time of the world.
    """
    if not isinstance(receiver, GnssReceiver):
        return world.utc

    def true_utc(now: int) -> int:
        label = world.utc(now)
        for midnight in receiver.leap_midnights:
            if label >= (midnight + 1) * _SECOND:
                label -= _SECOND
        return label

    return true_utc


def mean_latency_ms(settings: TestbedSettings) -> float:
    """Return the mean delay of an epoch, ms, as the agent's configuration states it."""
    if not settings.receiver_dialect:
        return settings.receiver_latency_ms
    return DIALECTS[settings.receiver_dialect].mean_latency_us / 1000


def write_section(settings: TestbedSettings, port: str) -> dict[str, object]:
    """Write the section `receiver` of the agent's configuration."""
    config: dict[str, object] = {"port": port, "latency_ms": mean_latency_ms(settings)}
    if settings.ppm_per_c != TestbedSettings.ppm_per_c:
        config["ppm_per_c"] = settings.ppm_per_c
    return config


def write_setup_section(settings: TestbedSettings) -> dict[str, object]:
    """Write the section `receiver_setup`: BeiDou alone, and the sentences that the agent needs.

    Without what the dialect does not have: a command for the rate or for ZDA, or BeiDou. A receiver
    without commands gets those of "casic".
    """
    dialect = DIALECTS[settings.receiver_dialect or "casic"]
    section: dict[str, object] = {
        "maker": dialect.commands or "casic",
        "constellations": ["BDS" if BEIDOU in dialect.systems else "GPS"],
        "sentences": ["RMC", "GGA", "GSA", "GSV", *(["ZDA"] if dialect.has_zda_command else [])],
    }
    return {**section, "rate_ms": 1000} if dialect.has_rate_command else section


def line_baud(settings: TestbedSettings) -> int:
    """Return the baud rate of the receiver's line."""
    if settings.receiver_baud:
        return settings.receiver_baud
    name = settings.receiver_dialect
    return DIALECTS[name].baud if name else RECEIVER_BAUD


def connect_line(
    world: World,
    receiver: BasicReceiver | GnssReceiver,
    settings: TestbedSettings,
    to_agent: Callable[[bytes], None],
    rank: int,
    port_baud: Callable[[], int | None],
) -> SerialLine:
    """Connect the receiver to a port.

    `port_baud` gives the baud rate of the port; None: that of the receiver.
    """
    if isinstance(receiver, GnssReceiver):
        return ReceiverLine(world, receiver, to_agent, rank, port_baud)
    return SerialLine(world, receiver, char_us(line_baud(settings)), to_agent, rank)


def connect_pulses(
    world: World,
    receiver: BasicReceiver | GnssReceiver,
    settings: TestbedSettings,
    on_pulse: Callable[[int], None],
    rank: int,
) -> None:
    """Connect the pulses of the receiver to the agent if the settings ask for it."""
    if settings.receiver_pps and isinstance(receiver, GnssReceiver):
        PulseOutput(world, receiver, on_pulse, rank)


class FurtherReceivers:
    """The receivers of the section `receivers`, by name. `addresses`: the port of each.

    They have the dialect of the main receiver, no pulses and no faults: faults act on the main one.
    """

    def __init__(self, world: World, settings: TestbedSettings, site_e7: tuple[int, int]) -> None:
        self._settings = settings
        self.receivers = {
            f"r{i}": make_receiver(world, settings, site_e7, f"receiver {i}")
            for i in range(2, settings.receivers + 1)
        }
        baud = line_baud(settings)
        self._options = f"?baud={baud}"
        self.addresses = {name: f"serial:/virtual/{name}{self._options}" for name in self.receivers}

    def extend_config(self, config: dict[str, Any]) -> None:
        """Write the ports of the section `receivers`, if the configuration has it."""
        if "receivers" in config:
            config["receivers"]["ports"] = dict(self.addresses)

    def connect(self, shell: VirtualShell, first_free: int) -> None:
        """Connect the receivers in virtual time; their ports begin at `first_free`."""
        for port, name in enumerate(sorted(self.receivers), first_free):
            endpoint = SerialEndpoint(shell, port)
            self._connect(name, endpoint, shell.world, port)
            shell.endpoints[port] = endpoint

    def open_terminals(self, shell: RealTimeShell, first_rank: int) -> None:
        """Connect the receivers to pseudo-terminals, in real time."""
        for rank, name in enumerate(sorted(self.receivers), first_rank):
            port = PtyPort(shell)
            self._connect(name, port, shell.world, rank)
            self.addresses[name] = f"serial:{port.path}{self._options}"

    def _connect(self, name: str, port: SerialEndpoint | PtyPort, world: World, rank: int) -> None:
        receiver, settings = self.receivers[name], self._settings
        port.connect(connect_line(world, receiver, settings, port.to_agent, rank, lambda: None))
