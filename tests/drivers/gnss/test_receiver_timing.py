# SPDX-License-Identifier: Apache-2.0
"""Pulse, survey and fixed position with the emulated receivers, and the agent that sets them.

The emulated receivers read the commands with construct. Does not use a port.
"""

from typing import Any

import pytest

from agent.config.load import load
from agent.core.errors import ConfigError
from drivers.gnss.setup_sequence import SetupSequence
from drivers.gnss.setup_step import build_steps
from drivers.gnss.setup_timing import timing_steps
from hil.devices.gnss.timing import FIXED, MOVING, SURVEY
from hil.devices.gnss.ublox_reports import PULSE, stated_early_ps
from tests.drivers.gnss.test_receiver_setup import SECOND, ReceiverBench
from tests.portable.support import agent_rig

PLACE = {"latitude": 25.2, "longitude": 55.2, "height_m": -20.5, "accuracy_mm": 500}
ECEF_CM = (329_564_113, 474_180_616, 269_912_849)
"""`PLACE` by PROJ 9, EPSG:4979 to EPSG:4978."""
PULSES = [("ublox", "ublox"), ("ublox", "ublox8"), ("quectel", "quectel"), ("unicore", "unicore")]


def set_up(bench: ReceiverBench, vendor: str, **settings: Any) -> dict[str, str]:
    steps = build_steps(vendor, timing=tuple(timing_steps(vendor, settings)))
    return dict(bench.set_up(SetupSequence(steps, bench.world.now, bench.baud), 9000))


@pytest.mark.parametrize(("dialect", "vendor"), PULSES)
def test_pulse_is_set(dialect: str, vendor: str) -> None:
    bench = ReceiverBench(dialect)
    timing = bench.device.timing
    timing.rising = False
    assert set_up(bench, vendor, pulse_ms=20) == {"pulse": "unproven"}
    assert (timing.pulse_us, timing.rising) == (20_000, True)
    assert timing.utc_grid == (vendor != "unicore")
    if dialect == "ublox":
        assert timing.cable_ns == 0  # the agent corrects the cable
        assert bench.device.reports == {PULSE}
    assert bench.device.ignored == 0


@pytest.mark.parametrize(("dialect", "vendor"), [*PULSES[:2], ("allystar", "allystar")])
def test_position_is_set(dialect: str, vendor: str) -> None:
    bench = ReceiverBench(dialect)
    timing = bench.device.timing
    timing.is_timing_product = True
    survey = {"seconds": 600, "accuracy_mm": 1500}
    assert set_up(bench, vendor, survey=survey) == {"position": "unproven"}
    assert (timing.mode, timing.seconds, timing.accuracy_mm) == (SURVEY, 600, 1500)
    assert set_up(bench, vendor, fixed=PLACE) == {"position": "unproven"}
    assert timing.mode == FIXED
    if vendor == "allystar":
        assert timing.position == ECEF_CM
    else:
        assert timing.position == (252_000_000, 552_000_000, -2050)
        assert timing.accuracy_mm == 500


@pytest.mark.parametrize("vendor", ["ublox", "ublox8"])
def test_receiver_without_a_timing_mode_is_reported(vendor: str) -> None:
    bench = ReceiverBench("ublox")
    assert set_up(bench, vendor, fixed=PLACE) == {"position": "refused"}
    assert bench.device.timing.mode == MOVING
    # the pulse after it is accepted: a refusal is of one step only
    assert set_up(bench, vendor, pulse_ms=100, fixed=PLACE) == {
        "pulse": "unproven",
        "position": "refused",
    }


def test_statement_of_the_next_pulse_is_in_its_epoch() -> None:
    bench = ReceiverBench("ublox")
    assert set_up(bench, "ublox", pulse_ms=100) == {"pulse": "unproven"}
    found: list[Any] = []
    until = bench.world.now + 5 * SECOND
    while bench.world.now < until:
        bench.step(lambda epoch, _: found.append((epoch.utc_us, epoch.pulse)))
    assert len(found) >= 4
    for utc_us, pulse in found:
        second = utc_us // SECOND + 1
        assert pulse == ((second + 4 * 86_400) % 604_800, round(stated_early_ps(second) / 1000))


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"maker": "casic", "pulse_ms": 100}, "pulse: no command is known for casic"),
        ({"maker": "quectel", "fixed": PLACE}, "position: no command is known for quectel"),
        ({"maker": "st", "sentences": ["RMC", "GGA", "ZDA"]}, "no number of ZDA is known for st"),
        ({"maker": "trimble", "constellations": ["BDS"]}, "receivers have GPS only"),
        ({"maker": "ublox", "fixed": PLACE, "survey": {"seconds": 60}}, "either a survey or"),
    ],
)
def test_configuration_that_the_receivers_cannot_do_is_refused(
    section: dict[str, Any], text: str
) -> None:
    unit: Any = agent_rig
    raw = unit.config()
    raw["receiver_setup"] = section
    with pytest.raises(ConfigError, match="receiver_setup: .*" + text):
        load(raw, unit.profiles())
