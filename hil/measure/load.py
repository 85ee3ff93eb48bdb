"""The words for what is measured of limited loads: the machines' truth, the agent's word."""

from collections.abc import Callable

from hil.bench.load_bank import LoadBank
from hil.bench.testbed import Row
from hil.measure.base import Measure, Status

LOAD_ALARMS = (
    "throttled",
    "heat_lost",
    "load_shed",
    "limit_refused",
    "optics_warm",
    "optics_hot",
)
STATES = ("free", "derated", "limited", "lost", "shed")

_Read = Callable[[Row, Status, str], float | None]


def _part(read: Callable[[Status], float | None]) -> _Read:
    """Read the agent's word of its throttle; not known without one."""

    def of(_: Row, status: Status, __: str) -> float | None:
        return read(status["throttle"]) if "throttle" in status else None

    return of


def _machines(read: Callable[[Row, LoadBank], float | None]) -> _Read:
    """Read the machines; not known without them."""

    def of(row: Row, _: Status, __: str) -> float | None:
        return None if row.bank is None else read(row, row.bank)

    return of


def _told_after(row: Row, bank: LoadBank) -> float | None:
    """Seconds from the last mark to the first limit that reached a service; so far, if none did."""
    if bank.marked_at is None:
        return None
    told = [at for b in bank.bmcs.values() for at, _, _ in b.patches if at >= bank.marked_at]
    return (min(told, default=row.world.now) - bank.marked_at) / 1e6


def _thousands(key: str) -> _Read:
    return _part(lambda s: None if s[key] is None else float(s[key]) / 1000.0)


def _ledger(read: Callable[[Row, Status], float | None]) -> _Read:
    """Read the agent's ledger; not known without one, or before it has counted anything."""

    def of(row: Row, status: Status, _: str) -> float | None:
        return read(row, status["ledger"]) if "ledger" in status else None

    return of


def _pue(_: Row, ledger: Status) -> float | None:
    milli = ledger["intervals"][0]["pue_milli"]
    return None if milli is None else float(milli) / 1000.0


def _gap(row: Row, ledger: Status) -> float:
    """How far the IT energy is from what the meter measured since the start, kWh."""
    true_wh = row.around.meters[1].mains.used_wh
    return abs(float(ledger["intervals"][0]["it_wh"]) - true_wh) / 1000.0


LOAD_MEASURES: dict[str, Measure] = {
    "throttle": Measure(
        "",
        "0 free 1 derated 2 limited 3 heat lost 4 shed",
        _part(lambda s: STATES.index(s["state"])),
    ),
    "limit_kw": Measure("kW", "what the loads were told in all", _thousands("limit_w")),
    "headroom_kw": Measure("kW", "heat that could be rejected besides", _thousands("headroom_w")),
    "profile_kw": Measure(
        "kW",
        "mean power of the last whole interval of UTC",
        _part(lambda s: None if s["profile"][1] is None else float(s["profile"][1]) / 1000.0),
    ),
    "scheduled": Measure("", "scheduled entries that wait", _part(lambda s: len(s["waiting"]))),
    "executed": Measure("", "scheduled entries that were done", _part(lambda s: len(s["done"]))),
    "it_kw": Measure("kW", "true power of the racks", lambda row, _, __: row.plant.it_kw),
    "told_after_s": Measure(
        "s", "from the fault to the first limit at a service", _machines(_told_after)
    ),
    "loads_off": Measure(
        "", "loads that are off", _machines(lambda _, b: sum(not load.on for load in b.loads))
    ),
    "pue": Measure("", "PUE of the ledger, all time", _ledger(_pue)),
    "ledger_gap_kwh": Measure("kW.h", "IT energy that the ledger lacks or invents", _ledger(_gap)),
    "ledger_odd": Measure(
        "",
        "rollovers, resets and jumps that the ledger saw",
        _ledger(lambda _, s: sum(m["rollovers"] + m["resets"] + m["jumps"] for m in s["meters"])),
    ),
    "logins": Measure(
        "", "logins at the services", _machines(lambda _, b: sum(x.logins for x in b.bmcs.values()))
    ),
}
"""Words for a row with the parts `throttle` or `ledger`, but for `it_kw`."""
