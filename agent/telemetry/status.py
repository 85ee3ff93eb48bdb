# SPDX-License-Identifier: Apache-2.0
"""Status snapshot for `coldloop status`; works without a link.

Does not belong to the telemetry: the agent replaces it once a second in the state folder. A board
without a folder writes it on a line, in chunks. Numbers are integers, in thousandths if the key
contains `_milli`. The order of the keys is fixed, so that both interpreters write the same bytes.
"""

from agent.core.actuator import ACTUATORS
from agent.core.json_writer import quote, write
from agent.telemetry.bus_status import buses_json, devices_json
from protocols.rounding import round_half_away
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock.evidence import CheckEvidence
    from agent.telemetry.status_source import StatusSource

STATUS_FILE = "status.json"
STATUS_VERSION = 1
_PERIOD_US = SECOND
_WRITE_US = 800 * MILLISECOND
_BOOL = ("false", "true")
_HEAD = '{"version":%d,"site":"%s","unit":"%s","mono_us":%d,"utc_us":%s,"state":"%s"'
"""The names of the configuration need no escapes (`agent.config.validate.is_valid_name`)."""
_CLOCK = (
    '{"state":"%s","bound_us":%s,"budget_us":{%s},"accepted":%d,"rejected":%d,"flags":[%s],'
    '"source":"%s","rate_ppt":%s,"skew_ppt":%s,"leap_s":%d,"late":%d,"relabelled":%d,'
    '"evidence":[%s]}'
)
_EVIDENCE = '{"check":"%s","since_us":%d,"last_us":%d,"count":%d,"first":%d,"figure":%d,"limit":%d}'
_TICKS = '{"count":%d,"missed":%d,"worst_late_us":%d,"lateness":[%s]%s}'
_SUPPLY = (
    '{"quality":"%s","milli_c":%s,"setpoint_milli_c":%s,"return_milli_c":%s,'
    '"valve_milli_pct":%s,"valve_asked_milli_pct":%s}'
)
_PRESSURE = (
    '{"quality":"%s","milli_kpa":%s,"setpoint_milli_kpa":%s,"pumps_milli_pct":[%s],'
    '"pumps_asked_milli_pct":[%s]}'
)
_MODBUS = (
    '{"transactions":%d,"errors":%d,"lost":[%s],"dropped_bytes":%d,"crc_errors":%d,"foreign":%d,'
    '"late":%d,"buses":%s,"devices":%s}'
)
_RECEIVER = (
    '{"fixes":%d,"void_fixes":%d,"used":%s,"sentences":%d,"bad_checksum":%d,"skipped_bytes":%d}'
)
_TELEMETRY = (
    '{"connected":%s,"published":%d,"acknowledged":%d,"queued":%d,"dropped":%d,"refused":%s}'
)


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
            return _head(agent, now)
        if self.remaining == 0:
            return "}"
        if number < len(_SECTIONS):
            name, section = _SECTIONS[number]
            return ',"' + name + '":' + section(agent, now)
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
            ticks = max(1, _WRITE_US // agent.config.tick_us)
            self._chunks_per_tick = -(-self._chunks.remaining // ticks)
        self._chunks.remaining = 0

    def start(self, now: int) -> None:
        """Begin at the next tick."""
        self._due = now

    def is_due(self, now: int) -> bool:
        """Return whether `tick` has bytes to write."""
        return now >= self._due or self._chunks.remaining > 0

    def tick(self, now: int) -> "list[bytes]":
        """Return the bytes to write now, often none; on a line one item for each chunk.

        A board then needs no free block of memory for several chunks.
        """
        begin = ""
        if not self._chunks.remaining:
            if now < self._due:
                return []
            self._due = now + _PERIOD_US
            self._chunks = StatusChunks(self._agent)
            begin = STATUS_FILE + "\0"
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


def _null(value: "int | None") -> "int | str":
    return "null" if value is None else value


def _milli(value: "float | None") -> "int | str":
    """Return thousandths as `to_milli`, in one call: the status has many of them."""
    if value is None:
        return "null"
    return int(value * 1000 + (0.5 if value >= 0 else -0.5))


def _texts(values: "list[str]") -> str:
    return ",".join([quote(text) for text in values])


def _milli_list(values: "list[float | None]") -> str:
    return ",".join([str(_milli(value)) for value in values])


def _head(agent: "StatusSource", now: int) -> str:
    config = agent.config
    return _HEAD % (
        STATUS_VERSION,
        config.site,
        config.unit,
        now,
        _null(agent.clock.utc(now)),
        agent.supervisor.state,
    )


def _clock(agent: "StatusSource", now: int) -> str:
    clock = agent.clock
    rate, skew = clock.rate() or (None, None)
    return _CLOCK % (
        clock.state(now),
        _null(clock.bound_us(now)),
        ",".join(['"%s":%s' % term for term in clock.budget(now)]),
        clock.accepted,
        clock.rejected,
        _texts(clock.flags()),
        clock.source(),
        _null(rate),
        _null(skew),
        clock.leap.leap_s,
        clock.late,
        clock.whole_second_steps,
        ",".join([_evidence(entry) for entry in clock.evidence_log.entries]),
    )


def _evidence(e: "CheckEvidence") -> str:
    return _EVIDENCE % (e.check, e.since, e.time, e.count, e.first, e.figure, e.limit)


def _ticks(agent: "StatusSource", _now: int) -> str:
    ticks, guard = agent.ticks, agent.guard
    faults = ""
    if guard.containment is not None:
        faults = ',"faults":' + write(guard.containment.status())
    if guard.restarts:
        faults += ',"restarts":%d' % guard.restarts
    counts = ",".join([str(count) for count in ticks.lateness])
    return _TICKS % (ticks.count, ticks.missed, ticks.max_late_us, counts, faults)


def _supply(agent: "StatusSource", now: int) -> str:
    loop, return_sensor = agent.supply_loop, agent.return_sensor
    return _SUPPLY % (
        loop.sensor.quality(now),
        _milli(loop.sensor.value(now)),
        _milli(loop.setpoint if loop.config.actuators else None),
        _milli(return_sensor.value(now) if return_sensor else None),
        _milli(loop.valve.position()),
        _milli(loop.valve.command_pct),
    )


def _pressure(agent: "StatusSource", now: int) -> str:
    loop = agent.pressure_loop
    return _PRESSURE % (
        loop.sensor.quality(now),
        _milli(loop.sensor.value(now)),
        _milli(loop.setpoint if loop.config.actuators else None),
        _milli_list([pump.speed() for pump in loop.pumps]),
        _milli_list([pump.command_pct for pump in loop.pumps]),
    )


def _modbus(agent: "StatusSource", now: int) -> str:
    fieldbus = agent.fieldbus
    buses = fieldbus.buses
    return _MODBUS % (
        fieldbus.transactions(),
        fieldbus.errors(),
        _texts([session.name for session in fieldbus.sessions if session.lost]),
        sum([bus.discarded_bytes for bus in buses]),
        sum([bus.crc_errors for bus in buses]),
        sum([bus.other_unit_frames for bus in buses]),
        sum([bus.unsolicited for bus in buses]),
        buses_json(fieldbus, now),
        devices_json(fieldbus),
    )


def _receiver(agent: "StatusSource", _now: int) -> str:
    receiver = agent.receiver
    if receiver is None:
        return "null"
    framer = receiver.framer
    return _RECEIVER % (
        receiver.valid_fixes,
        receiver.void_fixes,
        _null(receiver.satellites_used),
        framer.sentences,
        framer.bad_checksum,
        framer.skipped_bytes,
    )


def _telemetry(agent: "StatusSource", _now: int) -> str:
    uplink, telemetry = agent.uplink, agent.telemetry
    if uplink is None:
        return "null"
    return _TELEMETRY % (
        _BOOL[uplink.connected],
        uplink.published,
        uplink.acknowledged,
        len(telemetry.queue),
        telemetry.dropped,
        quote(uplink.last_error),
    )


def _alarms(agent: "StatusSource", _now: int) -> str:
    alarms = [
        '{"code":%s,"text":%s,"since_us":%d}' % (quote(a.code), quote(a.text), a.since)
        for a in agent.alarms.active
    ]
    return "[" + ",".join(alarms) + "]"


def _actuators(agent: "StatusSource") -> "list[object]":
    """Return who holds each actuator; only on a unit with components."""
    held = [(name, agent.arbiters[name]) for name in ACTUATORS]
    return [arbiter.status(name) for name, arbiter in held if arbiter.decision is not None]


_SECTIONS: "tuple[tuple[str, Callable[[StatusSource, int], str]], ...]" = (
    ("clock", _clock),
    ("ticks", _ticks),
    ("supply", _supply),
    ("dp", _pressure),
    ("modbus", _modbus),
    ("receiver", _receiver),
    ("telemetry", _telemetry),
    ("alarms", _alarms),
)
