"""Which receiver a row has, by its setting: the plain one, or one with a maker's dialect.

The plain one (no dialect) is quick and says RMC, GGA, GSA, GSV and ZDA; scenarios that are not
about it use it. One with a dialect has a sky of real orbits, commands, and all the faults of
`hil.fault.gnss`.
"""

from collections.abc import Callable
from datetime import datetime

from hil.bench.testbed_settings import Setting
from hil.devices.gnss.basic_receiver import Receiver
from hil.devices.gnss.commands import commands
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.receiver import GnssReceiver
from hil.io.receiver_line import Pulses, ReceiverLine, char_us
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World

RECEIVER_BAUD = 115_200
_SECOND = 1_000_000


def start_us(text: str) -> int | None:
    """A start in UTC, such as 2026-12-31T23:55:00Z, as Unix microseconds; None if it is none."""
    try:
        begin = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(begin.timestamp()) * _SECOND if begin.tzinfo is not None else None


def make(world: World, setting: Setting, site_e7: tuple[int, int]) -> Receiver | GnssReceiver:
    """Make the receiver of a row."""
    if not setting.receiver_dialect:
        latency = int(setting.receiver_latency_ms * 1000)
        return Receiver(site_e7, world.utc, world.random("receiver"), latency_us=latency)
    dialect = DIALECTS[setting.receiver_dialect]
    return GnssReceiver(
        site_e7,
        world.utc,
        world.random("receiver"),
        dialect,
        baud=setting.receiver_baud or None,
        start_us=world.now,
        commands=commands(dialect.commands),
    )


def truth(world: World, receiver: Receiver | GnssReceiver) -> Callable[[int], int]:
    """True UTC as a label, by the world's time: where there was a leap second, a second less."""
    if not isinstance(receiver, GnssReceiver):
        return world.utc

    def utc(now: int) -> int:
        label = world.utc(now)
        for midnight in receiver.leaps:
            if label >= (midnight + 1) * _SECOND:
                label -= _SECOND
        return label

    return utc


def latency_ms(setting: Setting) -> float:
    """The mean delay of an epoch that the agent's configuration states."""
    if not setting.receiver_dialect:
        return setting.receiver_latency_ms
    return DIALECTS[setting.receiver_dialect].mean_latency_us / 1000


def section(setting: Setting, port: str) -> dict[str, object]:
    """Write the receiver's section of the agent's configuration."""
    found: dict[str, object] = {"port": port, "latency_ms": latency_ms(setting)}
    if setting.ppm_per_c != Setting.ppm_per_c:
        found["ppm_per_c"] = setting.ppm_per_c
    return found


def setup(setting: Setting) -> dict[str, object]:
    """Write the section `receiver_setup`: BeiDou alone, and the sentences that are needed."""
    maker = DIALECTS[setting.receiver_dialect].commands if setting.receiver_dialect else ""
    return {
        "maker": maker or "casic",
        "constellations": ["BDS"],
        "sentences": ["RMC", "GGA", "GSA", "GSV", "ZDA"],
        "rate_ms": 1000,
    }


def baud(setting: Setting) -> int:
    """The speed of the line."""
    if setting.receiver_baud:
        return setting.receiver_baud
    name = setting.receiver_dialect
    return DIALECTS[name].baud if name else RECEIVER_BAUD


def line(
    world: World,
    receiver: Receiver | GnssReceiver,
    setting: Setting,
    to_agent: Callable[[bytes], None],
    rank: int,
    port_baud: Callable[[], int | None],
) -> SerialLine:
    """Join the receiver to a port; `port_baud` is how fast that listens, None: as it talks."""
    if isinstance(receiver, GnssReceiver):
        return ReceiverLine(world, receiver, to_agent, rank, port_baud)
    return SerialLine(world, receiver, char_us(baud(setting)), to_agent, rank)


def pulses(
    world: World,
    receiver: Receiver | GnssReceiver,
    setting: Setting,
    pulse: Callable[[int], None],
    rank: int,
) -> None:
    """Let the receiver's pulses reach the agent, if the row has a line for them."""
    if setting.receiver_pps and isinstance(receiver, GnssReceiver):
        Pulses(world, receiver, pulse, rank)
