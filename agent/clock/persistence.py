"""The part `timekeeping`: what is known of time survives a restart; how warm the oscillator is.

Kept under the key `clock.state`, as one JSON object: the last UTC, the floor (no time before it is
believed again), the monotonic time that belonged to the UTC, the count of leap seconds, the
oscillator's rate, at which temperature, and what a degree does to it. Written every `save_s` while
the clock is in sync, knows its leap seconds and doubts nothing; read once, when the store opens.

**The floor never rests on one start alone**, or somebody who lies once, with a date in the future,
would shut the truth out for good. What this start learned is a floor for the next but one: only
when the next start's own fixes are not before it is it taken for true. From then on the floor rises
with the monotonic clock. A witness (`agent.clock.cross_check`) that agrees raises it at once.

A receiver that was switched on with the controller may have wrong leap seconds for 12.5 minutes,
whatever was kept. Only when the controller itself never stopped (its monotonic clock went on, and
so leads from the kept UTC to the new label) are they known at once.
"""

import json

from agent.clock.temperature_model import TempcoModel
from agent.core.component import Component
from agent.core.json_writer import JsonObject, write
from agent.core.stored_record import StoredRecord
from agent.fieldbus.sensor import PointSensor, centi_or_none
from drivers.gnss.fix_rules import MIN_UTC_US
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.core.component import Actions
    from protocols.cbor import Map

KEY = "clock.state"
VERSION = 1
_MAX_MISMATCH = 2 * SECOND
"""No monotonic clock that leads to a label within so much did so by chance."""
_AGEING_PPB = 100
_RANGE_CENTI_C = 500
_OPTIONAL = ("floor_us", "rate_ppt", "skew_ppt", "tempco_ppt", "centi_c")
_REQUIRED = ("utc_us", "mono_us", "leap_s")
_NUMBERS = _REQUIRED + _OPTIONAL


class TimeRecord:
    """What was kept, checked; `ValueError` for text that is no such record."""

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
        self.rate_ppt, self.skew_ppt, self.tempco_ppt, self.centi_c = values[4:]

    def monotonic_continued(self, utc_us: int, now: int) -> bool:
        """Whether the monotonic clock leads from what was kept to this label."""
        elapsed = now - self.mono_us
        allowed = 300 * MILLISECOND + elapsed // 10_000  # 100 ppm
        return (
            elapsed >= 0
            and allowed < _MAX_MISMATCH
            and abs(utc_us - self.utc_us - elapsed) <= allowed
        )


class TimePersistence(Component):
    """See the module. `saved`: records written; `read_error`: what was wrong with the one read."""

    PORTS = ("store",)
    COMMANDS = ("clock_forgive",)
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.saved = 0
        self._started = 0
        self._min_utc_us = agent.clock.min_utc_us
        """A UTC that is sure to be before the start."""
        self.read_error = ""
        self.record_found = False
        self._record = StoredRecord(port, KEY)
        self._period = settings["save_s"] * SECOND
        self._due = 0
        self._next_sample = 0
        self._sensor: PointSensor | None = None
        agent.clock.holdover.tempco_model = TempcoModel(agent.config.tempco_ppb)

    def start(self, now: int) -> None:
        """Begin; find the sensor."""
        self._started = now
        source = self.settings.get("temperature")
        if source is not None:
            device, _, point = source.partition(".")
            session = self.agent.fieldbus.session(device)
            self._sensor = PointSensor(session, point, self.agent.config.stale_us)

    def event(self, kind: str, now: int) -> None:
        """Ask for the record when the store opens for the first time."""
        self._record.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take the record: key, NUL, text; the key alone when there is none."""
        text = self._record.receive(data)
        if text is None:
            return
        try:
            self._restore(TimeRecord(text), now)
        except ValueError as error:
            self.read_error = str(error)
            self.agent.alarms.update(
                "time_store",
                True,
                "what was kept of the time cannot be read: " + self.read_error,
                now,
            )

    def _restore(self, record: TimeRecord, now: int) -> None:
        """Let the clock know what was kept."""
        clock, tempco = self.agent.clock, self.agent.config.tempco_ppb
        self.record_found = True
        clock.time_record = record
        clock.leap.leap_s = record.leap_s
        self._min_utc_us = max(self._min_utc_us, record.min_utc_us)
        clock.raise_min_utc(record.min_utc_us, now)
        if self.agent.receiver is not None:
            self.agent.receiver.raise_min_utc(record.min_utc_us)
        model = clock.holdover.tempco_model
        if model is not None and record.tempco_ppt is not None:
            model.slope = record.tempco_ppt
        if record.rate_ppt is not None and record.skew_ppt is not None:
            skew = 5 * record.skew_ppt // 1000 + tempco * _RANGE_CENTI_C // 100 + _AGEING_PPB
            clock.rate_ppt = record.rate_ppt
            clock.rate_skew_ppb = min(skew, clock.drift_ppb)
        clock_utc = clock.utc(now)
        if clock_utc is not None and record.monotonic_continued(clock_utc, now):
            clock.leap.uncertain = False

    def tick(self, now: int) -> None:
        """Once a second take the temperature, and write when it is time."""
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
        """Obey the command `clock_forgive`: forget the floor, the label and all convictions.

        For a person who knows that what is believed is a liar's. The next three fixes that agree
        set the label, and the next record is written from them.
        """
        if name != "clock_forgive":
            return None
        clock = self.agent.clock
        clock.reset()
        clock.time_record = None
        clock.min_utc_us = self._min_utc_us = MIN_UTC_US
        clock.confirmed_us = 0
        if self.agent.receiver is not None:
            self.agent.receiver.set_min_utc(MIN_UTC_US)
        self._record.delete()
        return "forgiven"

    def _current_min_utc(self, now: int) -> int:
        """The floor at `now`, see the module; never above what the clock says."""
        clock, record = self.agent.clock, self.agent.clock.time_record
        clock_utc = clock.utc(now) or 0
        if record is not None and clock_utc >= record.utc_us:
            self._min_utc_us = max(self._min_utc_us, record.utc_us)
        return min(max(self._min_utc_us + now - self._started, clock.confirmed_us), clock_utc)

    def _save(self, now: int) -> None:
        clock = self.agent.clock
        rate = clock.rate()
        model = clock.holdover.tempco_model
        record = JsonObject(
            [
                ("version", VERSION),
                ("utc_us", clock.utc(now)),
                ("mono_us", now),
                ("floor_us", self._current_min_utc(now)),
                ("leap_s", clock.leap.leap_s),
                ("rate_ppt", None if rate is None else rate[0]),
                ("skew_ppt", None if rate is None else rate[1]),
                ("tempco_ppt", None if model is None else model.slope),
                ("centi_c", clock.holdover.current_temperature(now)),
            ]
        )
        self.saved += 1
        self._record.write(write(record).encode())

    def outbox(self) -> "Actions":
        """Hand over what the store is asked."""
        return self._record.outbox()

    def status(self, now: int) -> JsonObject:
        """Show what was found and kept, and what is known of the oscillator."""
        clock = self.agent.clock
        model = clock.holdover.tempco_model
        rate = clock.rate()
        return JsonObject(
            [
                ("found", self.record_found),
                ("bad", self.read_error),
                ("saved", self.saved),
                ("floor_us", clock.min_utc_us),
                ("leap_s", clock.leap.leap_s),
                ("rate_ppt", None if rate is None else rate[0]),
                ("skew_ppt", None if rate is None else rate[1]),
                ("tempco_ppt", None if model is None else model.slope),
                ("centi_c", clock.holdover.current_temperature(now)),
            ]
        )
