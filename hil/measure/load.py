# SPDX-License-Identifier: Apache-2.0
"""Measures of power limits and energy accounting, from the true loads and the agent's status."""

from collections.abc import Callable

from hil.bench.load_bank import LoadBank
from hil.bench.testbed import Testbed
from hil.measure.base import Measure, ReadFunction, Status, component_status

STATES = ("free", "derated", "limited", "lost", "shed")


def _power_limit_value(read: Callable[[Status], float | None]) -> ReadFunction:
    """Read the status of the component `throttle`; None without it, or if it has just failed."""

    def read_measure(_: Testbed, status: Status, __: str) -> float | None:
        throttle = component_status(status, "throttle")
        return read(throttle) if throttle else None

    return read_measure


def _load_bank_value(read: Callable[[Testbed, LoadBank], float | None]) -> ReadFunction:
    """Read the load bank; None without it."""

    def read_measure(testbed: Testbed, _: Status, __: str) -> float | None:
        return None if testbed.load_bank is None else read(testbed, testbed.load_bank)

    return read_measure


def _first_limit_delay_s(testbed: Testbed, bank: LoadBank) -> float | None:
    """Return the time in s from the fault to the first limit at a service (without one: to now)."""
    if bank.fault_at_us is None:
        return None
    limit_times = [
        at_us
        for bmc in bank.bmcs.values()
        for at_us, _, _ in bmc.patches
        if at_us >= bank.fault_at_us
    ]
    return (min(limit_times, default=testbed.world.now) - bank.fault_at_us) / 1e6


def _kilo_value(key: str) -> ReadFunction:
    return _power_limit_value(lambda s: None if s[key] is None else float(s[key]) / 1000.0)


def _energy_value(read: Callable[[Testbed, Status], float | None]) -> ReadFunction:
    """Read the status of the component `ledger`; None without it, or if it has just failed."""

    def read_measure(testbed: Testbed, status: Status, _: str) -> float | None:
        ledger = component_status(status, "ledger")
        return read(testbed, ledger) if ledger else None

    return read_measure


def _pue(_: Testbed, energy: Status) -> float | None:
    milli = energy["intervals"][0]["pue_milli"]
    return None if milli is None else float(milli) / 1000.0


def _energy_gap_kwh(testbed: Testbed, energy: Status) -> float:
    """Return the error of the IT energy against the meter since the start, kWh."""
    true_wh = testbed.surroundings.meters[1].mains.consumed_wh
    return abs(float(energy["intervals"][0]["it_wh"]) - true_wh) / 1000.0


LOAD_MEASURES: dict[str, Measure] = {
    "throttle": Measure(
        "",
        "0 free 1 derated 2 limited 3 heat lost 4 shed",
        _power_limit_value(lambda s: STATES.index(s["state"])),
    ),
    "limit_kw": Measure("kW", "sum of the limits of all loads", _kilo_value("limit_w")),
    "headroom_kw": Measure(
        "kW", "heat that the cooling can remove in addition", _kilo_value("headroom_w")
    ),
    "profile_kw": Measure(
        "kW",
        "mean power of the last complete demand interval",
        _power_limit_value(
            lambda s: None if s["profile"][1] is None else float(s["profile"][1]) / 1000.0
        ),
    ),
    "scheduled": Measure(
        "", "scheduled entries that are pending", _power_limit_value(lambda s: len(s["waiting"]))
    ),
    "executed": Measure(
        "", "scheduled entries that were executed", _power_limit_value(lambda s: len(s["done"]))
    ),
    "it_kw": Measure("kW", "true power of the racks", lambda testbed, _, __: testbed.plant.it_kw),
    "told_after_s": Measure(
        "s",
        "time from the fault to the first limit at a service",
        _load_bank_value(_first_limit_delay_s),
    ),
    "loads_off": Measure(
        "",
        "loads that are switched off",
        _load_bank_value(lambda _, b: sum(not load.is_on for load in b.loads)),
    ),
    "pue": Measure("", "PUE since the start of the energy account", _energy_value(_pue)),
    "ledger_gap_kwh": Measure(
        "kW.h",
        "absolute error of the IT energy in the energy account",
        _energy_value(_energy_gap_kwh),
    ),
    "ledger_odd": Measure(
        "",
        "rollovers, resets and jumps in the energy account",
        _energy_value(
            lambda _, s: sum(m["rollovers"] + m["resets"] + m["jumps"] for m in s["meters"])
        ),
    ),
    "logins": Measure(
        "",
        "logins at the services",
        _load_bank_value(lambda _, b: sum(x.logins for x in b.bmcs.values())),
    ),
}
"""Measures for a row with the sections `throttle` or `ledger`; `it_kw` needs neither."""
