"""The snapshot that people on the site read with `coldloop status`, link or no link.

Not telemetry: it is written to the state folder once a second and replaced, never queued. Numbers
are integers in thousandths where the name says `_milli`, else whole. The order of the keys is
fixed, so that both interpreters write the same bytes.
"""

from agent.busstatus import buses, devices
from agent.jsontext import Object, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.agent import Agent
    from agent.alarms import Alarm
    from agent.integrity import Evidence

KEY = "status.json"
VERSION = 1


def milli(value: "float | None") -> "int | None":
    """Round to whole thousandths, or None."""
    if value is None:
        return None
    return int(value * 1000 + (0.5 if value >= 0 else -0.5))


def snapshot(agent: "Agent", now: int) -> bytes:
    """Write the state of `agent` at `now` as one JSON object."""
    parts: list[tuple[str, object]] = [
        ("version", VERSION),
        ("site", agent.config.site),
        ("unit", agent.config.unit),
        ("mono_us", now),
        ("utc_us", agent.clock.utc(now)),
        ("state", agent.supervisor.state),
        ("clock", _clock(agent, now)),
        ("ticks", _ticks(agent)),
        ("supply", _supply(agent, now)),
        ("dp", _pressure(agent, now)),
        ("modbus", _modbus(agent, now)),
        ("receiver", _receiver(agent)),
        ("telemetry", _telemetry(agent)),
        ("alarms", [_alarm(a) for a in agent.alarms.active]),
    ]
    for (section, _, _), part in zip(agent.config.parts, agent.parts):
        parts.append((section, part.status(now)))
    return write(Object(parts)).encode()


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


def _ticks(agent: "Agent") -> Object:
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


def _receiver(agent: "Agent") -> "Object | None":
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


def _telemetry(agent: "Agent") -> "Object | None":
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


def _alarm(alarm: "Alarm") -> Object:
    return Object(
        [
            ("code", alarm.code),
            ("text", alarm.text),
            ("since_us", alarm.since),
        ]
    )
