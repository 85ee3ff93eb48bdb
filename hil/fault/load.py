"""The words for loads that are limited: services, strips, optics, and heat that cannot leave."""

from typing import Any

from hil.bench.load_bank import LoadBank
from hil.bench.surroundings import ROLLS_AT_KWH
from hil.bench.testbed import Row
from hil.fault.base import Word, held


def _bank(row: Row) -> LoadBank:
    if row.bank is None:
        raise ValueError('the row has no loads: parts = "throttle" is needed')
    return row.bank


def _bmcs(row: Row) -> list[Any]:
    return list(_bank(row).bmcs.values())


def _facility(row: Row, share: float) -> None:
    row.plant.advance(row.world.now)
    row.plant.fws_pressure = share


def _lost(row: Row, _: float) -> None:
    _facility(row, 0.0)
    if row.bank is not None:
        row.bank.marked_at = row.world.now


def _reboot(row: Row, _: float) -> None:
    for bmc in _bmcs(row):
        bmc.reboot(row.world.now)


def _roll(row: Row, at_wh: float | None) -> None:
    for meter in row.around.meters:
        meter.mains.roll_wh = at_wh


def _reset(row: Row, _: float) -> None:
    for meter in row.around.meters:
        meter.mains.import_wh = 0.0


def _optics(row: Row, kelvin: float) -> None:
    _bank(row).optics.extra_k[0] = kelvin


_MS = (0, 60_000)

LOAD_EVENTS: dict[str, Word] = {
    "facility_flow_lost": Word(
        "the facility water stands still", _lost, lambda row: _facility(row, 1.0)
    ),
    "bmc_busy": Word(
        "the loads' services answer 503, try again in value seconds",
        *held(_bmcs, "busy", 0, int),
        limits=(1, 60),
    ),
    "bmc_silent": Word("the loads' services answer nothing", *held(_bmcs, "silent")),
    "bmc_refuses": Word("the loads' services refuse limits", *held(_bmcs, "refuse")),
    "bmc_slow": Word(
        "the loads' services take value milliseconds more",
        *held(_bmcs, "slow_us", 40_000, lambda ms: 40_000 + int(ms * 1000)),
        limits=_MS,
    ),
    "bmc_reboot": Word("the loads' services restart and forget their limits", _reboot),
    "meter_rollover": Word(
        "the meters' counters roll over at 1235 kWh, where they are soon",
        lambda row, _: _roll(row, 1000.0 * ROLLS_AT_KWH),
        lambda row: _roll(row, None),
    ),
    "meter_reset": Word("the meters begin again from 0", _reset),
    "optics_dirty": Word(
        "module 1 is value kelvin warmer than it should be",
        _optics,
        lambda row: _optics(row, 0.0),
        limits=(0, 60),
    ),
}
"""Those of services and optics need a row with `parts = "throttle"`."""
