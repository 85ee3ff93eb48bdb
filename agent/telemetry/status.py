"""The snapshot that people on the site read with `coldloop status`, link or no link.

Not telemetry: it is written to the state folder once a second and replaced, never queued. A board
without a folder says it on a line, in pieces. Numbers are integers in thousandths where the name
says `_milli`, else whole. The order of the keys is fixed, so that both interpreters write the same
bytes.
"""

from agent.core.json_writer import Object, write
from agent.telemetry.bus_status import buses, devices
from protocols.rounding import nearest_whole
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.agent import Agent
    from agent.clock.evidence import Evidence
    from agent.core.alarm_list import Alarm

KEY = "status.json"
VERSION = 1
_PERIOD = SECOND
_TOLD_IN = 800 * MILLISECOND


def milli(value: "float | None") -> "int | None":
    """Round to whole thousandths, or None."""
    if value is None:
        return None
    return nearest_whole(value * 1000)


class Pieces:
    """A snapshot that is written piece by piece, so that no tick has to write all of it.

    The first piece tells the time; each other is as of when it was written.
    """

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._next = -1
        self.left = 2 + len(_SECTIONS) + len(agent.config.parts)

    def piece(self, now: int) -> str:
        """Write the next of the `left` pieces."""
        agent, number = self._agent, self._next
        self._next += 1
        self.left -= 1
        if number < 0:
            return write(Object(_head(agent, now)))[:-1]
        if self.left == 0:
            return "}"
        if number < len(_SECTIONS):
            name, section = _SECTIONS[number]
            return ',"' + name + '":' + write(section(agent, now))
        number -= len(_SECTIONS)
        name = agent.config.parts[number][0]
        return ',"' + name + '":' + write(agent.parts[number].status(now))


def snapshot(agent: "Agent", now: int) -> bytes:
    """Write the state of `agent` at `now` as one JSON object."""
    pieces = Pieces(agent)
    return "".join([pieces.piece(now) for _ in range(pieces.left)]).encode()


class Teller:
    """Says the status once a second: whole to a store, to a line some pieces a tick.

    A record on a line is over when the next begins. It takes most of a second, or one tick where a
    tick is that long.
    """

    def __init__(self, agent: "Agent", whole: bool) -> None:
        self._agent = agent
        self._due = 0
        self._pieces = Pieces(agent)
        self._at_once = self._pieces.left
        if not whole:
            ticks = max(1, _TOLD_IN // agent.config.tick_us)
            self._at_once = -(-self._pieces.left // ticks)
        self._pieces.left = 0

    def start(self, now: int) -> None:
        """Begin with the first tick."""
        self._due = now

    def tick(self, now: int) -> bytes:
        """Give what is to be written now, often nothing."""
        begin = b""
        if not self._pieces.left:
            if now < self._due:
                return b""
            self._due = now + _PERIOD
            self._pieces = Pieces(self._agent)
            begin = KEY.encode() + b"\0"
        count = min(self._at_once, self._pieces.left)
        return begin + "".join([self._pieces.piece(now) for _ in range(count)]).encode()


def _head(agent: "Agent", now: int) -> "list[tuple[str, object]]":
    return [
        ("version", VERSION),
        ("site", agent.config.site),
        ("unit", agent.config.unit),
        ("mono_us", now),
        ("utc_us", agent.clock.utc(now)),
        ("state", agent.supervisor.state),
    ]


def _clock(agent: "Agent", now: int) -> Object:
    clock = agent.clock
    rate = clock.rate()
    return Object(
        [
            ("state", clock.state(now)),
            ("bound_us", clock.bound_us(now)),
            ("accepted", clock.accepted),
            ("rejected", clock.rejected),
            ("flags", clock.flags()),
            ("source", clock.source()),
            ("rate_ppt", rate[0] if rate else None),
            ("skew_ppt", rate[1] if rate else None),
            ("leap_s", clock.leap.count),
            ("late", clock.late),
            ("relabelled", clock.relabelled),
            ("evidence", [_evidence(e) for e in clock.verdicts.evidence]),
        ]
    )


def _evidence(e: "Evidence") -> Object:
    return Object(
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


def _ticks(agent: "Agent", _now: int) -> Object:
    ticks = agent.ticks
    return Object(
        [
            ("count", ticks.count),
            ("missed", ticks.missed),
            ("worst_late_us", ticks.worst_late),
            ("lateness", list(ticks.lateness)),
        ]
    )


def _supply(agent: "Agent", now: int) -> Object:
    loop = agent.supply
    return Object(
        [
            ("quality", loop.sensor.quality(now)),
            ("milli_c", milli(loop.sensor.value(now))),
            ("setpoint_milli_c", milli(loop.setpoint)),
            (
                "return_milli_c",
                milli(agent.return_sensor.value(now)) if agent.return_sensor else None,
            ),
            ("valve_milli_pct", milli(loop.valve.position())),
            ("valve_asked_milli_pct", milli(loop.valve.asked)),
        ]
    )


def _pressure(agent: "Agent", now: int) -> Object:
    loop = agent.pressure
    return Object(
        [
            ("quality", loop.sensor.quality(now)),
            ("milli_kpa", milli(loop.sensor.value(now))),
            ("setpoint_milli_kpa", milli(loop.setpoint)),
            ("pumps_milli_pct", [milli(p.speed()) for p in loop.pumps]),
            ("pumps_asked_milli_pct", [milli(p.asked) for p in loop.pumps]),
        ]
    )


def _modbus(agent: "Agent", now: int) -> Object:
    bus = agent.fieldbus
    return Object(
        [
            ("transactions", bus.transactions()),
            ("errors", bus.errors()),
            ("lost", [s.name for s in bus.stations if s.lost]),
            ("dropped_bytes", sum([b.dropped_bytes for b in bus.buses])),
            ("crc_errors", sum([b.crc_errors for b in bus.buses])),
            ("foreign", sum([b.foreign for b in bus.buses])),
            ("late", sum([b.late for b in bus.buses])),
            ("buses", buses(bus, now)),
            ("devices", devices(bus)),
        ]
    )


def _receiver(agent: "Agent", _now: int) -> "Object | None":
    receiver = agent.receiver
    if receiver is None:
        return None
    framer = receiver.framer
    return Object(
        [
            ("fixes", receiver.valid_fixes),
            ("void_fixes", receiver.void_fixes),
            ("used", agent.satellites_used),
            ("sentences", framer.sentences),
            ("bad_checksum", framer.bad_checksum),
            ("skipped_bytes", framer.skipped_bytes),
        ]
    )


def _telemetry(agent: "Agent", _now: int) -> "Object | None":
    uplink = agent.uplink
    if uplink is None:
        return None
    return Object(
        [
            ("connected", uplink.connected),
            ("published", uplink.published),
            ("acknowledged", uplink.acknowledged),
            ("queued", len(agent.telemetry.queue)),
            ("dropped", agent.telemetry.dropped),
            ("refused", uplink.refused),
        ]
    )


def _alarms(agent: "Agent", _now: int) -> "list[Object]":
    return [_alarm(alarm) for alarm in agent.alarms.active]


def _alarm(alarm: "Alarm") -> Object:
    return Object(
        [
            ("code", alarm.code),
            ("text", alarm.text),
            ("since_us", alarm.since),
        ]
    )


_SECTIONS: "tuple[tuple[str, Callable[[Agent, int], object]], ...]" = (
    ("clock", _clock),
    ("ticks", _ticks),
    ("supply", _supply),
    ("dp", _pressure),
    ("modbus", _modbus),
    ("receiver", _receiver),
    ("telemetry", _telemetry),
    ("alarms", _alarms),
)
