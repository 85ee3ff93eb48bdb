# SPDX-License-Identifier: Apache-2.0
"""Energy accounting (section `ledger`): energy and water by role and interval, with figures.

Does not control. Once per second the component reads each meter (`agent.energy.counter`). It adds
the energy to the accounts of the total, of the UTC day and of the UTC month. It keeps the accounts
of the last twelve whole months. It writes the store every `save_s` seconds and at the change of the
day. A power cut loses the integrated rates since the last write. It loses nothing of the counters,
because the store also has their last readings. While a meter that shows a rate is not read, its
energy is lost: a month has this time as its gap.

The component adds no energy until the store has answered, or until `_STORE_TIMEOUT_US`.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from agent.core.stored_record import StoredRecord
from agent.energy import account as accounts
from agent.energy.account import ROLES, Account
from agent.energy.counter import MAX_GAP_US, MeterReader
from protocols.calendar import civil_from_utc
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Actions
    from agent.core.context import Context
    from drivers.device.device import Reading

KEY = "ledger.now"
MONTHS = 12
_FORMAT = "ledger 1"
_STORE_TIMEOUT_US = 20 * SECOND
POINTS = (
    ("ledger.PUE", "1", 1, 1000),
    ("ledger.LoopPUE", "1", 1, 1000),
    ("ledger.WUE", "L/kW.h", 1, 1000),
    ("ledger.ERF", "1", 1, 1000),
    ("ledger.ElectricalLossPerIT", "1", 1, 1000),
    ("ledger.AirLossPerIT", "1", 1, 1000),
    ("ledger.LoopLossPerIT", "1", 1, 1000),
    ("ledger.DayPUE", "1", 1, 1000),
    ("ledger.ITEnergykWh", "kW.h", 1, 1000),
    ("ledger.TotalEnergykWh", "kW.h", 1, 1000),
)
"""Figures of the year (or all time), PUE of the day, counters."""


class MeterInput:
    """One meter of one role: its counter and its last reading."""

    def __init__(self, agent: "Context", raw: "dict[str, Any]") -> None:
        session = agent.fieldbus.session(raw["device"])
        index = session.device.point_index(raw["point"])
        self.name: str = raw["device"] + "." + raw["point"]
        self.role = ROLES.index(raw["role"])
        self.counter = MeterReader(session.profile.points[index], raw["rolls_at"], raw["most_w"])
        self.reading: Reading = session.device.readings[index]


class EnergyComponent(Component):
    """See the module docstring. `settings` is the section `ledger` of the configuration."""

    PORTS = ("store",)
    POINTS = POINTS

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.meters = [MeterInput(agent, raw) for raw in settings["meters"]]
        roles = [meter.role for meter in self.meters]
        self.metered = [role in roles for role in range(len(ROLES))]
        self.total = Account()
        self.day = Account()
        self.month = Account()
        self.months: list[Account] = []
        self._rates = [meter.counter for meter in self.meters if not meter.counter.is_counter]
        self._covered_utc = self._gap_s = 0
        self.saves = 0
        self.restore_result = ""
        self._date = (0, 0, 0)
        self._store = StoredRecord(port, KEY)
        self._started = self._due = self._save_at = 0

    def start(self, now: int) -> None:
        """Start the timers."""
        self._started = self._due = now
        self._save_at = now + self.settings["save_s"] * SECOND

    # The store.

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store port."""
        self._store.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Handle the stored record."""
        payload = self._store.receive(data)
        if payload is not None:
            self._restore(payload)

    def _restore(self, payload: bytes) -> None:
        """Restore the accounts from the record; if it is damaged, start new accounts."""
        try:
            lines = payload.decode().split("\n")
        except UnicodeError:
            lines = [""]
        restored = [accounts.decode(line) for line in lines[1:4]]
        if lines[0] != _FORMAT or len(restored) < 3 or None in restored or lines[-1] != "end":
            self.restore_result = "damaged"
            return
        self.restore_result = "restored"
        self.total, self.day, self.month = restored  # type: ignore[assignment]
        if self.day.start_us:
            self._date = civil_from_utc(self.day.start_us)[:3]
        for line in lines[4:-1]:
            keyword, _, rest = line.partition(" ")
            if keyword == "month":
                month = accounts.decode(rest)
                if month is not None:
                    self.months.append(month)
            elif keyword == "covered" and not rest.strip("0123456789 "):
                self._covered_utc, self._gap_s = [int(word) for word in (rest + " 0 0").split()[:2]]
            elif keyword == "meter":
                name, _, raw = rest.partition(" ")
                self._restore_meter(name, raw)

    def _restore_meter(self, name: str, raw: str) -> None:
        for meter in self.meters:
            number = raw[1:] if raw[:1] == "-" else raw
            if meter.name == name and number and not number.strip("0123456789"):
                meter.counter.restore(int(raw))

    def _encode(self) -> bytes:
        lines = [_FORMAT, self.total.encode(), self.day.encode(), self.month.encode()]
        lines.extend(["month " + month.encode() for month in self.months])
        last_values = [(meter.name, meter.counter.last_raw) for meter in self.meters]
        lines.extend(
            ["meter %s %d" % (name, last) for name, last in last_values if last is not None]
        )
        if self._rates:
            lines.append("covered %d %d" % (self._covered_utc, self._gap_s))
        return "\n".join(lines + ["end"]).encode()

    def _save(self, now: int) -> None:
        self._save_at = now + self.settings["save_s"] * SECOND
        if self._store.is_open and self._store.is_settled:
            self.saves += 1
            self._store.write(self._encode())

    def outbox(self) -> "Actions":
        """Remove and return the actions for the store port."""
        return self._store.outbox()

    # Time.

    def tick(self, now: int) -> None:
        """Add the energy of all meters to the accounts, once per second."""
        if now < self._due:
            return
        self._due = now + SECOND
        if not self._store.is_settled:
            if now - self._started >= _STORE_TIMEOUT_US:
                self._store.stop_waiting()
            return
        utc = self.agent.clock.utc(now)
        if utc is not None:
            self._roll_intervals(utc, now)
        for meter in self.meters:
            used = meter.counter.add_reading(meter.reading, now)
            if used:
                for entry in (self.total, self.day, self.month):
                    entry.used[meter.role] += used
        if utc is not None and self._rates:
            read_at = min([counter.last_read_at for counter in self._rates])
            if read_at:
                self._cover(utc - (now - read_at))
        if now >= self._save_at:
            self._save(now)

    def _cover(self, utc: int) -> None:
        """Note that all meters that show a rate were read at a time, UTC in µs. A long time since
        the last such time is a gap: of a meter, or of the agent.
        """
        gap_us = utc - self._covered_utc
        if self._covered_utc and gap_us > MAX_GAP_US:
            self._gap_s += gap_us // SECOND
        if gap_us > 0:
            self._covered_utc = utc

    def _roll_intervals(self, utc: int, now: int) -> None:
        """Start a new day or month when the UTC date changes."""
        date = civil_from_utc(utc)[:3]
        if date == self._date:
            return
        if self._date == (0, 0, 0):  # UTC became known: the accounts start now
            for entry in (self.total, self.day, self.month):
                entry.begin(utc)
        elif date > self._date:
            if date[:2] != self._date[:2]:
                if utc - self._covered_utc > MAX_GAP_US:
                    self._cover(utc)  # the part of a gap that is in this month
                self.month.gap_s, self._gap_s = self._gap_s, 0
                self.months = (self.months + [self.month])[-MONTHS:]
                self.month = Account(utc)
            self.day = Account(utc)
            self._save(now)
        self._date = date

    # Output.

    def twelve_months(self) -> "tuple[Account, bool]":
        """Return (account of the last 12 whole months, True), or (total account, False). After a
        month in which the agent did not run, the stored months are not those of one year.
        """
        if len(self.months) < MONTHS:
            return self.total, False
        numbers = [month_number(entry.start_us) for entry in self.months + [self.month]]
        if numbers != list(range(numbers[0], numbers[0] + MONTHS + 1)):
            return self.total, False
        used = [sum([month.used[i] for month in self.months]) for i in range(len(ROLES))]
        return Account(self.months[0].start_us, used), True

    def values(self, now: int) -> "list[int | None]":
        """Return the values of the points."""
        figures = [value for _, value in self.twelve_months()[0].figures(self.metered)]
        total = self.total.total(self.metered)
        return figures + [
            self.day.figures(self.metered)[0][1],
            self.total.used[accounts.IT] // 1000,
            total // 1000,
        ]

    def status(self, now: int) -> JsonObject:
        """Return figures and energies by interval, and the counters of the meters."""
        year, complete = self.twelve_months()
        intervals = (
            ("year" if complete else "interim", year),
            ("month", self.month),
            ("day", self.day),
        )
        return JsonObject(
            [
                ("category", self.settings["category"]),
                ("total_is", "facility meter" if self.metered[1] else "sum of the parts"),
                ("intervals", [self._interval_status(name, entry) for name, entry in intervals]),
                ("months", len(self.months)),
                ("kept", self.restore_result),
                ("saves", self.saves),
                ("meters", [_meter_status(meter) for meter in self.meters]),
            ]
        )

    def _interval_status(self, name: str, entry: Account) -> JsonObject:
        used = [(role + "_wh", n // 1000) for role, n in zip(ROLES, entry.used)]
        used[-1] = ("water_l", entry.used[-1] // 1000)
        figures = [(key + "_milli", value) for key, value in entry.figures(self.metered)]
        head: list[tuple[str, object]] = [("interval", name), ("began_us", entry.start_us)]
        return JsonObject(head + figures + used)  # type: ignore[operator]


def month_number(utc: int) -> int:
    """Return the number of the month of a time (UTC, µs), for differences of months."""
    year, month = civil_from_utc(utc)[:2]
    return 12 * year + month


def _meter_status(meter: MeterInput) -> JsonObject:
    counter = meter.counter
    return JsonObject(
        [
            ("name", meter.name),
            ("role", ROLES[meter.role]),
            ("rollovers", counter.rollovers),
            ("resets", counter.resets),
            ("jumps", counter.jumps),
        ]
    )
