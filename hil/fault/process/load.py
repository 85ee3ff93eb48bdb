# SPDX-License-Identifier: Apache-2.0
"""Faults of loads: services, meters, optics, and the loss of facility water."""

from typing import Any

from hil.bench.load_bank import LoadBank
from hil.bench.surroundings import ROLLOVER_KWH
from hil.bench.testbed import Testbed
from hil.fault.base import FaultType, attribute_fault


def _load_bank(testbed: Testbed) -> LoadBank:
    if testbed.load_bank is None:
        raise ValueError('the row has no load bank: add parts = "throttle" to [row]')
    return testbed.load_bank


def _all_bmcs(testbed: Testbed) -> list[Any]:
    return list(_load_bank(testbed).bmcs.values())


def _set_facility_flow(testbed: Testbed, fraction: float) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.plant.set_fws_pressure(fraction)


def _stop_facility_flow(testbed: Testbed, _: float) -> None:
    _set_facility_flow(testbed, 0.0)
    if testbed.load_bank is not None:
        testbed.load_bank.mark_fault(testbed.world.now)


def _reboot_bmcs(testbed: Testbed, _: float) -> None:
    for bmc in _all_bmcs(testbed):
        bmc.reboot(testbed.world.now)


def _set_rollover(testbed: Testbed, rollover_wh: float | None) -> None:
    for meter in testbed.surroundings.meters:
        meter.mains.set_rollover(rollover_wh)


def _reset_meters(testbed: Testbed, _: float) -> None:
    for meter in testbed.surroundings.meters:
        meter.mains.reset_import()


def _set_optics_offset(testbed: Testbed, kelvin: float) -> None:
    _load_bank(testbed).optics.set_offset(0, kelvin)


_DELAY_LIMITS_MS = (0, 60_000)

LOAD_EVENTS: dict[str, FaultType] = {
    "facility_flow_lost": FaultType(
        "the facility water stops",
        _stop_facility_flow,
        lambda testbed: _set_facility_flow(testbed, 1.0),
    ),
    "bmc_busy": FaultType(
        "the services of the loads answer 503 with Retry-After VALUE s",
        *attribute_fault(_all_bmcs, "retry_after_s", 0, int),
        limits=(1, 60),
    ),
    "bmc_silent": FaultType(
        "the services of the loads do not answer", *attribute_fault(_all_bmcs, "silent")
    ),
    "bmc_temperature": FaultType(
        "the services of the loads show VALUE °C for all devices",
        *attribute_fault(_all_bmcs, "shown_case_c", None, float),
        limits=(-40, 150),
    ),
    "bmc_power": FaultType(
        "the services of the loads show VALUE % of their power",
        *attribute_fault(_all_bmcs, "power_scale", 1, lambda value: value / 100.0),
        limits=(0, 10_000),
    ),
    "bmc_refuses": FaultType(
        "the services of the loads reject limits", *attribute_fault(_all_bmcs, "rejects_limits")
    ),
    "bmc_slow": FaultType(
        "the services of the loads answer VALUE ms later",
        *attribute_fault(_all_bmcs, "response_us", 40_000, lambda ms: 40_000 + int(ms * 1000)),
        limits=_DELAY_LIMITS_MS,
    ),
    "bmc_reboot": FaultType(
        "the services of the loads restart and lose their limits", _reboot_bmcs
    ),
    "meter_rollover": FaultType(
        "the counters of the meters roll over at 1235 kWh; they start just below",
        lambda testbed, _: _set_rollover(testbed, 1000.0 * ROLLOVER_KWH),
        lambda testbed: _set_rollover(testbed, None),
    ),
    "meter_reset": FaultType("the counters of the meters start again from 0", _reset_meters),
    "optics_dirty": FaultType(
        "optical module 1 is VALUE K warmer than normal",
        _set_optics_offset,
        lambda testbed: _set_optics_offset(testbed, 0.0),
        limits=(0, 60),
    ),
}
"""Faults of services and optics need a row with `parts = "throttle"`."""
