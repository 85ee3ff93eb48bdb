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

from agent.clock.temperature_model import Thermal
from agent.core.component import Part
from agent.core.json_writer import Object, write
from agent.core.stored_record import Kept
from agent.fieldbus.sensor import Sensor, centi_of
from drivers.gnss.fix_rules import FLOOR_US
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.core.component import Actions
    from protocols.cbor import Map

KEY = "clock.state"
VERSION = 1
_SURE = 2 * SECOND
"""No monotonic clock that leads to a label within so much did so by chance."""
_AGEING_PPB = 100
_RANGE_CENTI_C = 500
_OPTIONAL = ("floor_us", "rate_ppt", "skew_ppt", "tempco_ppt", "centi_c")
_NEEDED = ("utc_us", "mono_us", "leap_s")
_NUMBERS = _NEEDED + _OPTIONAL


class Memory:
    """What was kept, checked; `ValueError` for text that is no such record."""

    def __init__(self, text: bytes) -> None:
        try:
            raw = json.loads(str(text, "utf-8"))
        except (ValueError, UnicodeError):
            raise ValueError("no JSON")
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            raise ValueError("not of this version")
        found: list[int | None] = []
        for name in _NUMBERS:
            value = raw.get(name)
            if type(value) is not int and not (value is None and name in _OPTIONAL):
                raise ValueError("%s is no number" % name)
            found.append(value)
        self.utc_us, self.mono_us, self.leap_s = (found[0] or 0, found[1] or 0, found[2] or 0)
        self.floor_us = found[3] or 0
        self.rate_ppt, self.skew_ppt, self.tempco_ppt, self.centi_c = found[4:]

    def goes_on(self, utc_us: int, now: int) -> bool:
        """Whether the monotonic clock leads from what was kept to this label."""
        gone = now - self.mono_us
        allowed = 300 * MILLISECOND + gone // 10_000  # 100 ppm
        return gone >= 0 and allowed < _SURE and abs(utc_us - self.utc_us - gone) <= allowed


class Keeping(Part):
    """See the module. `saved`: records written; `bad`: what was wrong with the one read."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self.saved = 0
        self._started = 0
        self._floor = agent.clock.floor_us
        """A UTC that is sure to be before the start."""
        self.bad = ""
        self.found = False
        self._store = Kept(port, KEY)
        self._period = settings["save_s"] * SECOND
        self._due = 0
        self._look = 0
        self._sensor: Sensor | None = None
        agent.clock.holdover.thermal = Thermal(agent.config.tempco_ppb)

    def start(self, now: int) -> None:
        """Begin; find the sensor."""
        self._started = now
        source = self.settings.get("temperature")
        if source is not None:
            device, _, point = source.partition(".")
            station = self.agent.fieldbus.station(device)
            self._sensor = Sensor(station, point, self.agent.config.stale_us)

    def event(self, kind: str, now: int) -> None:
        """Ask for the record when the store opens for the first time."""
        self._store.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take the record: key, NUL, text; the key alone when there is none."""
        text = self._store.take(data)
        if text is None:
            return
        try:
            self._recall(Memory(text), now)
        except ValueError as error:
            self.bad = str(error)
            self.agent.alarms.set(
                "time_store", True, "what was kept of the time cannot be read: " + self.bad, now
            )

    def _recall(self, memory: Memory, now: int) -> None:
        """Let the clock know what was kept."""
        clock, tempco = self.agent.clock, self.agent.config.tempco_ppb
        self.found = True
        clock.memory = memory
        clock.leap.count = memory.leap_s
        self._floor = max(self._floor, memory.floor_us)
        clock.raise_floor(memory.floor_us, now)
        if self.agent.receiver is not None:
            self.agent.receiver.raise_floor(memory.floor_us)
        thermal = clock.holdover.thermal
        if thermal is not None and memory.tempco_ppt is not None:
            thermal.slope = memory.tempco_ppt
        if memory.rate_ppt is not None and memory.skew_ppt is not None:
            skew = 5 * memory.skew_ppt // 1000 + tempco * _RANGE_CENTI_C // 100 + _AGEING_PPB
            clock.rate_ppt = memory.rate_ppt
            clock.rate_skew_ppb = min(skew, clock.drift_ppb)
        said = clock.utc(now)
        if said is not None and memory.goes_on(said, now):
            clock.leap.uncertain = False

    def tick(self, now: int) -> None:
        """Once a second take the temperature, and write when it is time."""
        if now < self._look:
            return
        self._look = now + SECOND
        centi_c = centi_of(self._sensor, now)
        clock = self.agent.clock
        if centi_c is not None:
            clock.temperature(centi_c, now)
        good = clock.state(now) == "sync" and not clock.leap.uncertain and not clock.doubts
        if good and now >= self._due:
            self._due = now + self._period
            self._save(now)

    def order(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Obey the command `clock_forgive`: forget the floor, the label and all convictions.

        For a person who knows that what is believed is a liar's. The next three fixes that agree
        set the label, and the next record is written from them.
        """
        if name != "clock_forgive":
            return None
        clock = self.agent.clock
        clock.forget()
        clock.memory = None
        clock.floor_us = self._floor = FLOOR_US
        clock.confirmed_us = 0
        if self.agent.receiver is not None:
            self.agent.receiver.lower_floor(FLOOR_US)
        self._store.forget()
        return "forgiven"

    def _risen(self, now: int) -> int:
        """The floor at `now`, see the module; never above what the clock says."""
        clock, memory = self.agent.clock, self.agent.clock.memory
        said = clock.utc(now) or 0
        if memory is not None and said >= memory.utc_us:
            self._floor = max(self._floor, memory.utc_us)
        return min(max(self._floor + now - self._started, clock.confirmed_us), said)

    def _save(self, now: int) -> None:
        clock = self.agent.clock
        rate = clock.rate()
        thermal = clock.holdover.thermal
        record = Object(
            [
                ("version", VERSION),
                ("utc_us", clock.utc(now)),
                ("mono_us", now),
                ("floor_us", self._risen(now)),
                ("leap_s", clock.leap.count),
                ("rate_ppt", None if rate is None else rate[0]),
                ("skew_ppt", None if rate is None else rate[1]),
                ("tempco_ppt", None if thermal is None else thermal.slope),
                ("centi_c", clock.holdover.sensed(now)),
            ]
        )
        self.saved += 1
        self._store.write(write(record).encode())

    def outbox(self) -> "Actions":
        """Hand over what the store is asked."""
        return self._store.outbox()

    def status(self, now: int) -> Object:
        """Show what was found and kept, and what is known of the oscillator."""
        clock = self.agent.clock
        thermal = clock.holdover.thermal
        rate = clock.rate()
        return Object(
            [
                ("found", self.found),
                ("bad", self.bad),
                ("saved", self.saved),
                ("floor_us", clock.floor_us),
                ("leap_s", clock.leap.count),
                ("rate_ppt", None if rate is None else rate[0]),
                ("skew_ppt", None if rate is None else rate[1]),
                ("tempco_ppt", None if thermal is None else thermal.slope),
                ("centi_c", clock.holdover.sensed(now)),
            ]
        )
