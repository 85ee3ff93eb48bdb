"""The words for what is measured of limited loads: the machines' truth, the agent's word."""

from collections.abc import Callable

from hil.bench.load_bank import LoadBank
from hil.bench.testbed import Testbed
from hil.measure.base import Measure, ReadFunction, Status

LOAD_ALARMS = (
    "throttled",
    "heat_lost",
    "load_shed",
    "limit_refused",
    "optics_warm",
    "optics_hot",
)
STATES = ("free", "derated", "limited", "lost", "shed")


def _throttle_value(read: Callable[[Status], float | None]) -> ReadFunction:
    """Read the agent's word of its throttle; not known without one."""

    def read_measure(_: Testbed, status: Status, __: str) -> float | None:
        return read(status["throttle"]) if "throttle" in status else None

    return read_measure


def _load_bank_value(read: Callable[[Testbed, LoadBank], float | None]) -> ReadFunction:
    """Read the machines; not known without them."""

    def read_measure(testbed: Testbed, _: Status, __: str) -> float | None:
        return None if testbed.load_bank is None else read(testbed, testbed.load_bank)

    return read_measure


def _first_limit_delay_s(testbed: Testbed, bank: LoadBank) -> float | None:
    """Seconds from the last mark to the first limit that reached a service; so far, if none did."""
    if bank.fault_at_us is None:
        return None
    limit_times = [
        at_us
        for bmc in bank.bmcs.values()
        for at_us, _, _ in bmc.patches
        if at_us >= bank.fault_at_us
    ]
    return (min(limit_times, default=testbed.world.now) - bank.fault_at_us) / 1e6


def _kilo(key: str) -> ReadFunction:
    return _throttle_value(lambda s: None if s[key] is None else float(s[key]) / 1000.0)


def _energy_value(read: Callable[[Testbed, Status], float | None]) -> ReadFunction:
    """Read the agent's ledger; not known without one, or before it has counted anything."""

    def read_measure(testbed: Testbed, status: Status, _: str) -> float | None:
        return read(testbed, status["ledger"]) if "ledger" in status else None

    return read_measure


def _pue(_: Testbed, energy: Status) -> float | None:
    milli = energy["intervals"][0]["pue_milli"]
    return None if milli is None else float(milli) / 1000.0


def _energy_gap_kwh(testbed: Testbed, energy: Status) -> float:
    """How far the IT energy is from what the meter measured since the start, kWh."""
    true_wh = testbed.surroundings.meters[1].mains.consumed_wh
    return abs(float(energy["intervals"][0]["it_wh"]) - true_wh) / 1000.0


LOAD_MEASURES: dict[str, Measure] = {
    "throttle": Measure(
        "",
        "0 free 1 derated 2 limited 3 heat lost 4 shed",
        _throttle_value(lambda s: STATES.index(s["state"])),
    ),
    "limit_kw": Measure("kW", "what the loads were told in all", _kilo("limit_w")),
    "headroom_kw": Measure("kW", "heat that could be rejected besides", _kilo("headroom_w")),
    "profile_kw": Measure(
        "kW",
        "mean power of the last whole interval of UTC",
        _throttle_value(
            lambda s: None if s["profile"][1] is None else float(s["profile"][1]) / 1000.0
        ),
    ),
    "scheduled": Measure(
        "", "scheduled entries that wait", _throttle_value(lambda s: len(s["waiting"]))
    ),
    "executed": Measure(
        "", "scheduled entries that were done", _throttle_value(lambda s: len(s["done"]))
    ),
    "it_kw": Measure("kW", "true power of the racks", lambda testbed, _, __: testbed.plant.it_kw),
    "told_after_s": Measure(
        "s",
        "from the fault to the first limit at a service",
        _load_bank_value(_first_limit_delay_s),
    ),
    "loads_off": Measure(
        "",
        "loads that are off",
        _load_bank_value(lambda _, b: sum(not load.is_on for load in b.loads)),
    ),
    "pue": Measure("", "PUE of the ledger, all time", _energy_value(_pue)),
    "ledger_gap_kwh": Measure(
        "kW.h", "IT energy that the ledger lacks or invents", _energy_value(_energy_gap_kwh)
    ),
    "ledger_odd": Measure(
        "",
        "rollovers, resets and jumps that the ledger saw",
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
"""Words for a row with the parts `throttle` or `energy`, but for `it_kw`."""
