# SPDX-License-Identifier: Apache-2.0
"""An emulated receiver without a line, and the commands of the agent, for other tests here."""

from random import Random
from typing import Any

from drivers.gnss.setup_step import build_steps
from drivers.gnss.setup_timing import timing_steps
from hil.devices.gnss.commands import make_interpreter
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.receiver import GnssReceiver

SECOND = 1_000_000
START_US = 1_795_500_000_000_000  # 2026-11-24T06:00:00Z
SITE_E7 = (252_048_000, 552_708_000)
KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
SYSTEMS = ("BDS", "GPS", "GLO", "GAL")
FIXED = {"latitude": -33.5, "longitude": 55.2000001, "height_m": -12.34, "accuracy_mm": 500}
SURVEY = {"seconds": 3600, "accuracy_mm": 2000}


def receiver(name: str) -> GnssReceiver:
    """Return the receiver of a dialect."""
    dialect = DIALECTS[name]
    return GnssReceiver(
        SITE_E7,
        lambda now: START_US + now,
        Random(1),
        dialect,
        commands=make_interpreter(dialect.commands),
    )


def send(device: GnssReceiver, data: bytes) -> bytes:
    """Send bytes to the receiver; return its replies."""
    return b"".join(reply for _, reply in device.receive(data, 0))


def run(device: GnssReceiver, epochs: int = 1) -> bytes:
    """Return the output of some epochs."""
    return b"".join(data for _ in range(epochs) for _, data in device.wake(device.deadline()))


def commands(
    vendor: str,
    systems: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    rate_ms: int = 0,
    baud: int = 0,
    save: bool = False,
    start: str = "",
    **timing: Any,
) -> list[bytes]:
    """Return what the agent sends for settings of `build_steps` and `timing_steps`."""
    steps = build_steps(
        vendor, systems, kinds, rate_ms, baud, save, start, tuple(timing_steps(vendor, timing))
    )
    return [command for step in steps for command in step.commands]
