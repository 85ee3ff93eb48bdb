# SPDX-License-Identifier: Apache-2.0
"""The findings of `coldloop nmea monitor` for emulated receivers under attack."""

from collections.abc import Callable
from random import Random

import pytest

from drivers.gnss.receiver import ReceiverDriver
from drivers.tools.nmea_integrity import EpochChecks
from drivers.tools.nmea_monitor import render
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.receiver import GnssReceiver

START_US = 1_795_500_000_000_000


def last_line(
    change: Callable[[GnssReceiver], None], error_us: int = 0, name: str = "unicore"
) -> str:
    """Return the findings after 60 s of good signals and 15 s of `change`."""
    device = GnssReceiver(
        (252_048_000, 552_708_000), lambda now: START_US + now, Random(1), DIALECTS[name]
    )
    receiver, checks, text = ReceiverDriver(0, 115_200, max_epochs=4), EpochChecks(), ""
    for second in range(75):
        if second == 60:
            assert text.endswith("none")
            change(device)
        due = device.deadline()
        for _, data in device.wake(due):
            receiver.receive(data, due + 100_000)
        for epoch in receiver.take_epochs(due + 400_000):
            text = render(epoch, receiver, error_us if second >= 60 else 0, checks)[-1]
    return text


@pytest.mark.parametrize(
    ("change", "error_us", "finding"),
    [
        (lambda _: None, 0, "none"),
        (lambda r: setattr(r, "position_error_m", (500_000.0, 0.0)), 0, "moved 501 km"),
        (lambda r: r.jam(6.0, 0.0, 0), 0, "signals 6 dB weaker"),
        (lambda r: setattr(r, "uniform_cn0", 49.0), 0, "signals alike"),
        (lambda _: None, -18_030_000, "time looks like GPST"),
        (lambda _: None, -3_970_000, "time looks like BDT"),
        (lambda _: None, 4_000_000, "none"),
        (lambda r: setattr(r, "temperature_c", 85.0), 0, "none"),
    ],
)
def test_epoch_checks(change: Callable[[GnssReceiver], None], error_us: int, finding: str) -> None:
    assert finding in last_line(change, error_us)


def test_open_antenna_is_reported() -> None:
    text = last_line(lambda r: setattr(r, "antenna", "open"), name="casic")
    assert "antenna open" in text
    assert "status" in text
