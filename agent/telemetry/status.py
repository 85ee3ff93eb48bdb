# SPDX-License-Identifier: Apache-2.0
"""Status snapshot for `coldloop status`; works without a link.

Does not belong to the telemetry: the agent replaces it once a second in the state folder. A board
without a folder writes it on a line, in chunks. Numbers are integers, in thousandths if the key
contains `_milli`. The order of the keys is fixed, so that both interpreters write the same bytes.
"""

from agent.core.actuator import ACTUATORS
from agent.core.json_writer import JsonObject, write
from agent.telemetry.bus_status import buses_json, devices_json
from protocols.rounding import round_half_away
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock.evidence import CheckEvidence
    from agent.core.alarm_list import Alarm
    from agent.telemetry.status_source import StatusSource

KEY = "status.json"
VERSION = 1
_PERIOD = SECOND
_WRITE_TIME = 800 * MILLISECOND


def to_milli(value: "float | None") -> "int | None":
    """Round to integer thousandths. None stays None."""
    if value is None:
        return None
    return round_half_away(value * 1000)


class StatusChunks:
    """A snapshot written in chunks, so that no tick has to write all of it.

    The first chunk holds the time. Each other chunk shows the state when it is written.
    """

    def __init__(self, agent: "StatusSource") -> None:
        self._agent = agent
        self._next = -1
        self.remaining = 2 + len(_SECTIONS) + len(agent.config.components)
        if agent.arbiters:
            self.remaining += 1

    def next_chunk(self, now: int) -> str:
        """Write the next of the `remaining` chunks."""
        agent, number = self._agent, self._next
        self._next += 1
        self.remaining -= 1
        if number < 0:
            return write(JsonObject(_head(agent, now)))[:-1]
        if self.remaining == 0:
            return "}"
        if number < len(_SECTIONS):
            name, section = _SECTIONS[number]
            return ',"' + name + '":' + write(section(agent, now))
        number -= len(_SECTIONS)
        if number == len(agent.config.components):
            return ',"actuators":' + write(_actuators(agent))
        component = agent.components[number]
        try:
            text = write(component.status(now))
        except Exception as error:
            agent.guard.handle(component, error, now)
            text = "null"
        return ',"' + agent.config.components[number][0] + '":' + text


def snapshot(agent: "StatusSource", now: int) -> bytes:
    """Return the state of `agent` at `now` as one JSON object."""
    chunks = StatusChunks(agent)
    return "".join([chunks.next_chunk(now) for _ in range(chunks.remaining)]).encode()


class StatusWriter:
    """Writes the status once a second: whole to a store, in chunks over several ticks to a line.

    On a line a record ends when the next one begins. A record takes most of a second, or one tick
    if a tick is that long.
    """

    def __init__(self, agent: "StatusSource", single_write: bool) -> None:
        self._agent = agent
        self._due = 0
        self._single_write = single_write
        self._chunks = StatusChunks(agent)
        self._chunks_per_tick = self._chunks.remaining
        if not single_write:
            ticks = max(1, _WRITE_TIME // agent.config.tick_us)
            self._chunks_per_tick = -(-self._chunks.remaining // ticks)
        self._chunks.remaining = 0

    def start(self, now: int) -> None:
        """Begin at the next tick."""
        self._due = now

    def tick(self, now: int) -> "list[bytes]":
        """Return the bytes to write now, often none; on a line one item for each chunk.

        A board then needs no free block of memory for several chunks.
        """
        begin = ""
        if not self._chunks.remaining:
            if now < self._due:
                return []
            self._due = now + _PERIOD
            self._chunks = StatusChunks(self._agent)
            begin = KEY + "\0"
        try:
            return self._write(begin, now)
        except (MemoryError, RuntimeError):
            self._chunks.remaining = 0  # without this one, the rest would end the record before
            raise

    def _write(self, begin: str, now: int) -> "list[bytes]":
        """Write the next chunks; `begin` is written before the first chunk of a record."""
        count = min(self._chunks_per_tick, self._chunks.remaining)
        if self._single_write:
            texts = [self._chunks.next_chunk(now) for _ in range(count)]
            return [(begin + "".join(texts)).encode()]
        parts = []
        for _ in range(count):
            parts.append((begin + self._chunks.next_chunk(now)).encode())
            begin = ""
        return parts


def _head(agent: "StatusSource", now: int) -> "list[tuple[str, object]]":
    return [
        ("version", VERSION),
        ("site", agent.config.site),
        ("unit", agent.config.unit),
        ("mono_us", now),
        ("utc_us", agent.clock.utc(now)),
        ("state", agent.supervisor.state),
    ]


def _clock(agent: "StatusSource", now: int) -> JsonObject:
    clock = agent.clock
    rate = clock.rate()
    return JsonObject(
        [
            ("state", clock.state(now)),
            ("bound_us", clock.bound_us(now)),
            ("budget_us", JsonObject(clock.budget(now))),
            ("accepted", clock.accepted),
            ("rejected", clock.rejected),
            ("flags", clock.flags()),
            ("source", clock.source()),
            ("rate_ppt", rate[0] if rate else None),
            ("skew_ppt", rate[1] if rate else None),
            ("leap_s", clock.leap.leap_s),
            ("late", clock.late),
            ("relabelled", clock.whole_second_steps),
            ("evidence", [_evidence(e) for e in clock.evidence_log.entries]),
        ]
    )


def _evidence(e: "CheckEvidence") -> JsonObject:
    return JsonObject(
        [
            ("check", e.check),
            ("since_us", e.since),
            ("last_us", e.time),
            ("count", e.count),
            ("first", e.first),
            ("figure", e.figure),
            ("limit", e.limit),
        ]
    )


def _ticks(agent: "StatusSource", _now: int) -> JsonObject:
    ticks = agent.ticks
    fields: list[tuple[str, object]] = [
        ("count", ticks.count),
        ("missed", ticks.missed),
        ("worst_late_us", ticks.max_late_us),
        ("lateness", list(ticks.lateness)),
    ]
    guard = agent.guard
    if guard.containment is not None:
        fields.append(("faults", guard.containment.status()))
    if guard.restarts:
        fields.append(("restarts", guard.restarts))
    return JsonObject(fields)


def _supply(agent: "StatusSource", now: int) -> JsonObject:
    loop = agent.supply_loop
    return JsonObject(
        [
            ("quality", loop.sensor.quality(now)),
            ("milli_c", to_milli(loop.sensor.value(now))),
            ("setpoint_milli_c", to_milli(loop.setpoint) if loop.config.actuators else None),
            (
                "return_milli_c",
                to_milli(agent.return_sensor.value(now)) if agent.return_sensor else None,
            ),
            ("valve_milli_pct", to_milli(loop.valve.position())),
            ("valve_asked_milli_pct", to_milli(loop.valve.command_pct)),
        ]
    )


def _pressure(agent: "StatusSource", now: int) -> JsonObject:
    loop = agent.pressure_loop
    return JsonObject(
        [
            ("quality", loop.sensor.quality(now)),
            ("milli_kpa", to_milli(loop.sensor.value(now))),
            ("setpoint_milli_kpa", to_milli(loop.setpoint) if loop.config.actuators else None),
            ("pumps_milli_pct", [to_milli(p.speed()) for p in loop.pumps]),
            ("pumps_asked_milli_pct", [to_milli(p.command_pct) for p in loop.pumps]),
        ]
    )


def _modbus(agent: "StatusSource", now: int) -> JsonObject:
    fieldbus = agent.fieldbus
    return JsonObject(
        [
            ("transactions", fieldbus.transactions()),
            ("errors", fieldbus.errors()),
            ("lost", [s.name for s in fieldbus.sessions if s.lost]),
            ("dropped_bytes", sum([b.discarded_bytes for b in fieldbus.buses])),
            ("crc_errors", sum([b.crc_errors for b in fieldbus.buses])),
            ("foreign", sum([b.other_unit_frames for b in fieldbus.buses])),
            ("late", sum([b.unsolicited for b in fieldbus.buses])),
            ("buses", buses_json(fieldbus, now)),
            ("devices", devices_json(fieldbus)),
        ]
    )


def _receiver(agent: "StatusSource", _now: int) -> "JsonObject | None":
    receiver = agent.receiver
    if receiver is None:
        return None
    framer = receiver.framer
    return JsonObject(
        [
            ("fixes", receiver.valid_fixes),
            ("void_fixes", receiver.void_fixes),
            ("used", receiver.satellites_used),
            ("sentences", framer.sentences),
            ("bad_checksum", framer.bad_checksum),
            ("skipped_bytes", framer.skipped_bytes),
        ]
    )


def _telemetry(agent: "StatusSource", _now: int) -> "JsonObject | None":
    uplink = agent.uplink
    if uplink is None:
        return None
    return JsonObject(
        [
            ("connected", uplink.connected),
            ("published", uplink.published),
            ("acknowledged", uplink.acknowledged),
            ("queued", len(agent.telemetry.queue)),
            ("dropped", agent.telemetry.dropped),
            ("refused", uplink.last_error),
        ]
    )


def _alarms(agent: "StatusSource", _now: int) -> "list[JsonObject]":
    return [_alarm(alarm) for alarm in agent.alarms.active]


def _alarm(alarm: "Alarm") -> JsonObject:
    return JsonObject(
        [
            ("code", alarm.code),
            ("text", alarm.text),
            ("since_us", alarm.since),
        ]
    )


def _actuators(agent: "StatusSource") -> "list[JsonObject]":
    """Return who holds each actuator; only on a unit with components."""
    held = [(name, agent.arbiters[name]) for name in ACTUATORS]
    return [arbiter.status(name) for name, arbiter in held if arbiter.decision is not None]


_SECTIONS: "tuple[tuple[str, Callable[[StatusSource, int], object]], ...]" = (
    ("clock", _clock),
    ("ticks", _ticks),
    ("supply", _supply),
    ("dp", _pressure),
    ("modbus", _modbus),
    ("receiver", _receiver),
    ("telemetry", _telemetry),
    ("alarms", _alarms),
)
