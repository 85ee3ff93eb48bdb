# SPDX-License-Identifier: Apache-2.0
"""Component `timekeeping`: clock state that survives a restart, and the oscillator's temperature.

Does not estimate anything; see `agent.clock.utc_clock` and `agent.clock.estimate`.

The record `clock.state` is a JSON object. It has the last UTC with its monotonic time, the earliest
valid UTC and the leap seconds. For the oscillator it has rate, temperature and temperature
coefficient. It is written every `save_s` while the clock is in sync, its leap seconds are known and
no check has failed. It is read once, when the store opens.

**The earliest valid UTC never depends on one start alone.** Otherwise one false future date makes
the clock reject all later correct dates. The UTC of this start becomes valid only if the fixes of
the next start are not before it. From then on the earliest valid UTC advances with the monotonic
clock. A cross-check that agrees (`agent.clock.cross_check`) raises it immediately.

A receiver that starts with the controller can have wrong leap seconds for 12.5 minutes. The stored
record does not help. They are known immediately only if the controller did not stop: its monotonic
clock then leads from the stored UTC to the new one. `leap_suspect` is 1 if the clock could not
confirm the last end of a month: the wait of `agent.clock.leap_second` begins again. `bound_us` is
the bound of the stored UTC; see `agent.clock.estimate.last_start`.
"""

import json

from agent.clock.estimate.temperature_model import TempcoModel
from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject, write
from agent.core.stored_record import StoredRecord
from agent.fieldbus.sensor import PointSensor, centi_or_none
from drivers.gnss.fix_rules import RELEASE_UTC_US
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.core.component.base import Actions
    from protocols.cbor import Map

TIME_STORE = AlarmRecord(
    "time_store", NORMAL, "what was kept of the time cannot be read:", "", False
)
KEY = "clock.state"
VERSION = 1
_MAX_MISMATCH_US = SECOND // 2
"""A monotonic clock that leads to UTC within this limit does not do so by chance, and the whole
seconds are those of the record."""
_AGEING_PPB = 100
_RANGE_CENTI_C = 5_500
"""The temperature can be any other one at the next start."""
_OPTIONAL = (
    "floor_us",
    "rate_ppt",
    "skew_ppt",
    "tempco_ppt",
    "centi_c",
    "leap_suspect",
    "bound_us",
)
_REQUIRED = ("utc_us", "mono_us", "leap_s")
_NUMBERS = _REQUIRED + _OPTIONAL


class TimeRecord:
    """A stored record, checked. Raises `ValueError` if the text is not such a record."""

    def __init__(self, text: bytes) -> None:
        try:
            raw = json.loads(str(text, "utf-8"))
        except (ValueError, UnicodeError):
            raise ValueError("no JSON")
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            raise ValueError("not of this version")
        values: list[int | None] = []
        for name in _NUMBERS:
            value = raw.get(name)
            if type(value) is not int and not (value is None and name in _OPTIONAL):
                raise ValueError("%s is no number" % name)
            values.append(value)
        self.utc_us, self.mono_us, self.leap_s = (values[0] or 0, values[1] or 0, values[2] or 0)
        self.min_utc_us = values[3] or 0
        self.rate_ppt, self.skew_ppt, self.tempco_ppt, self.centi_c = values[4:8]
        self.leap_suspect, self.bound_us = values[8:]

    def is_on_same_monotonic(self, utc_us: int, now: int) -> bool:
        """Return whether the monotonic clock leads from the stored UTC to `utc_us`."""
        elapsed = now - self.mono_us
        allowed = 300 * MILLISECOND + elapsed // 10_000  # 100 ppm
        return (
            elapsed >= 0
            and allowed < _MAX_MISMATCH_US
            and abs(utc_us - self.utc_us - elapsed) <= allowed
        )


class TimePersistence(Component):
    """The component; see the module. `saved`: records written; `read_error`: error of the last
    read.
    """

    PORTS = ("store",)
    COMMANDS = ("clock_forgive",)
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.saved = 0
        self._started = 0
        self._min_utc_us = agent.clock.min_utc_us
        """A UTC that is certainly before the start."""
        self.read_error = ""
        self.record_found = False
        self._record = StoredRecord(port, KEY)
        self._period = settings["save_s"] * SECOND
        self._due = 0
        self._next_sample = 0
        self._sensor: PointSensor | None = None
        agent.clock.holdover.use_model(TempcoModel(agent.config.tempco_ppb_per_c))

    def start(self, now: int) -> None:
        """Start; find the sensor."""
        self._started = now
        source = self.settings.get("temperature")
        if source is not None:
            device, _, point = source.partition(".")
            session = self.agent.fieldbus.session(device)
            self._sensor = PointSensor(session, point, self.agent.config.stale_us)

    def event(self, kind: str, now: int) -> None:
        """Request the record when the store opens for the first time."""
        self._record.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Handle the record: key, NUL, text. Only the key: there is no record."""
        text = self._record.receive(data)
        if text is None:
            return
        try:
            self._restore(TimeRecord(text), now)
        except ValueError as error:
            self.read_error = str(error)
            text = TIME_STORE.text + " " + self.read_error
            self.agent.alarms.update(TIME_STORE, "", True, now, text)

    def _restore(self, record: TimeRecord, now: int) -> None:
        """Pass the stored record to the clock."""
        clock, tempco = self.agent.clock, self.agent.config.tempco_ppb_per_c
        self.record_found = True
        skew_ppb: int | None = None
        if record.skew_ppt is not None:
            skew_ppb = 5 * record.skew_ppt // 1000 + tempco * _RANGE_CENTI_C // 100 + _AGEING_PPB
        clock.restore(record, skew_ppb, now)
        self._min_utc_us = max(self._min_utc_us, record.min_utc_us)
        clock.raise_min_utc(record.min_utc_us, now)
        if self.agent.receiver is not None:
            self.agent.receiver.raise_min_utc(record.min_utc_us)
        model = clock.holdover.tempco_model
        if model is not None and record.tempco_ppt is not None:
            model.restore(record.tempco_ppt)

    def tick(self, now: int) -> None:
        """Once a second read the temperature, and write the record if it is due."""
        if now < self._next_sample:
            return
        self._next_sample = now + SECOND
        centi_c = centi_or_none(self._sensor, now)
        clock = self.agent.clock
        if centi_c is not None:
            clock.add_temperature(centi_c, now)
        is_trusted = (
            clock.state(now) == "sync" and not clock.leap.uncertain and not clock.failed_checks
        )
        if is_trusted and now >= self._due:
            self._due = now + self._period
            self._save(now)

    def handle_command(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Execute the command `clock_forgive`: drop the stored times, UTC and all rejections.

        For an operator who knows that the clock follows a false time. The next three fixes that
        agree set UTC, and the next record is written from them.
        """
        if name != "clock_forgive":
            return None
        clock = self.agent.clock
        self._min_utc_us = RELEASE_UTC_US
        clock.forget_record(RELEASE_UTC_US)
        if clock.cross_checker is not None:
            clock.cross_checker.forget_confirmed()
        if self.agent.receiver is not None:
            self.agent.receiver.set_min_utc(RELEASE_UTC_US)
        self._record.delete()
        return "forgiven"

    def _current_min_utc(self, now: int) -> int:
        """Return the earliest valid UTC at `now`; see the module. It is never above UTC."""
        clock, record = self.agent.clock, self.agent.clock.time_record
        clock_utc = clock.utc(now) or 0
        if record is not None and clock_utc >= record.utc_us:
            self._min_utc_us = max(self._min_utc_us, record.utc_us)
        earliest = self._min_utc_us + now - self._started
        if clock.cross_checker is not None:
            earliest = max(earliest, clock.cross_checker.confirmed_us)
        return min(earliest, clock_utc)

    def _save(self, now: int) -> None:
        record = JsonObject(
            [
                ("version", VERSION),
                ("utc_us", self.agent.clock.utc(now)),
                ("mono_us", now),
                ("bound_us", self.agent.clock.record_bound_us(now)),
            ]
            + self._figures(self._current_min_utc(now), now)
        )
        self.saved += 1
        self._record.write(write(record).encode())
        self.agent.alarms.clear(TIME_STORE.code, now)  # the record is good again

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        return self._record.outbox()

    def status(self, now: int) -> JsonObject:
        """Return the state of the record and the parameters of the oscillator."""
        return JsonObject(
            [
                ("found", self.record_found),
                ("bad", self.read_error),
                ("saved", self.saved),
            ]
            + self._figures(self.agent.clock.min_utc_us, now)
        )

    def _figures(self, min_utc_us: int, now: int) -> "list[tuple[str, object]]":
        clock = self.agent.clock
        model = clock.holdover.tempco_model
        rate_ppt, skew_ppt = clock.rate() or (None, None)
        return [
            ("floor_us", min_utc_us),
            ("leap_s", clock.leap.leap_s),
            ("leap_suspect", int(clock.leap.is_suspect())),
            ("rate_ppt", rate_ppt),
            ("skew_ppt", skew_ppt),
            ("tempco_ppt", None if model is None else model.slope),
            ("centi_c", clock.holdover.current_temperature(now)),
        ]
