# SPDX-License-Identifier: Apache-2.0
"""Text of the record of all points, once a second for the servers of the site.

Does not send it; see `agent.northbound.component`. Two records, JSON with integers only:

    layout.json   once: [device.Point, unit, numerator, denominator] of each value of a device
    points.json   each second; see `build`. `points`: key -> [raw, quality, age in ms]. `values`:
                  [raw, quality, age in ms] of the layout, quality as a number: 0 good, 1 bad

A value that is not good is null. UTC is null while it is unknown.
"""

from agent.core.actuator import ACTUATORS
from agent.core.json_writer import JsonObject, write
from agent.northbound.point_sources import component_values, number_value, word_value
from agent.northbound.site_writes import SETPOINTS
from protocols.rounding import round_half_away
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.northbound.alarm_states import AlarmStates
    from agent.northbound.point_sources import Sources, Value

    class RecordHost(Protocol):
        """The component as its record uses it; see `agent.northbound.component`."""

        agent: Any
        settings: "dict[str, Any]"
        sequence: int
        started_at: int
        sources: "Sources | None"
        alarm_states: "AlarmStates"

        def permitted_commands(self) -> "list[str]":
            """Return the commands that the site can send."""
            ...


KEY, LAYOUT_KEY = "points.json", "layout.json"
VERSION = 1
_STATES = ("unknown", "normal", "degraded", "safe", "stopped")


def build_layout(agent: "Any") -> bytes:
    """Return the layout: name, unit, numerator and denominator of each value of a device."""
    points = [
        (session.name + "." + point.name, point.unit, point.numerator, point.denominator)
        for session in agent.fieldbus.sessions
        for point in session.profile.points
    ]
    return write(JsonObject([("version", VERSION), ("points", points)])).encode()


def build(component: "RecordHost", now: int) -> bytes:
    """Return the record at `now`."""
    agent: Any = component.agent
    clock = agent.clock
    pairs: list[tuple[str, object]] = [
        ("version", VERSION),
        ("sequence", component.sequence),
        ("mono_us", now),
        ("uptime_us", now - component.started_at),
        ("utc_us", clock.utc(now)),
        ("bound_us", clock.bound_us(now)),
        ("state", agent.supervisor.state),
        ("identity", _identity(component)),
        ("setpoints", _setpoints(component)),
        ("alarms", _alarms(component, now)),
        ("actuators", _actuators(agent)),
        ("devices", _devices(agent)),
        ("clock", _clock(agent, now)),
        ("link", _link(agent)),
        ("commands", component.permitted_commands()),
        ("remote", _component_status(agent, "remote", now)),
        ("safety", _component_status(agent, "safety", now)),
        ("cooling", _component_status(agent, "cooling", now)),
    ]
    pair = _component_status(agent, "redundancy", now)
    if pair is not None:
        pairs.append(("pair", pair))
    group = _component_status(agent, "group", now)
    if group is not None:
        pairs.append(("group", group))
    text = write(JsonObject(pairs))[:-1]
    points, values = _points(component, pair, group, now), _values(agent, now)
    return (text + ',"points":' + points + ',"values":' + values + "}").encode()


def _points(
    component: "RecordHost", pair: "JsonObject | None", group: "JsonObject | None", now: int
) -> str:
    agent: Any = component.agent
    sources = component.sources
    if sources is None:
        return "{}"
    parts = [_point_text(key, sources.by_key[key](now)) for key in sources.order]
    for key, value in component_values(agent, component.started_at, now):
        parts.append(_point_text(key, value))
    if pair is not None:
        from agent.northbound.pair_points import pair_values  # noqa: PLC0415 - few units are pairs

        codes = [entry.code for entry in component.alarm_states.entries if not entry.cleared_at]
        for key, value in pair_values(pair, codes):
            parts.append(_point_text(key, value))
    if group is not None:
        from agent.northbound.group_points import group_values  # noqa: PLC0415 - as above

        for key, value in group_values(_component(agent, "group"), group):
            parts.append(_point_text(key, value))
    parts.append(_point_text("unit_state", word_value(agent.supervisor.state, _STATES)))
    parts.append(_point_text("alarm_count", number_value(component.alarm_states.count(now))))
    return "{" + ",".join(parts) + "}"


def _point_text(key: str, value: "Value") -> str:
    raw, quality, age = value
    return '"%s":[%s,"%s",%s]' % (
        key,
        "null" if raw is None else str(raw),
        quality,
        "null" if age is None else str(age),
    )


def _values(agent: "Any", now: int) -> str:
    """Return the values of all points of all devices in the order of the layout."""
    stale_us = agent.config.stale_us
    parts = []
    for session in agent.fieldbus.sessions:
        for reading in session.device.readings:
            if reading.quality == "none":
                parts.append("[null,1,null]")
                continue
            age = now - reading.read_at
            good = reading.quality == "good" and age <= stale_us
            parts.append(
                "[%s,%d,%d]"
                % (str(reading.raw) if good else "null", 0 if good else 1, age // MILLISECOND)
            )
    return "[" + ",".join(parts) + "]"


def _identity(component: "RecordHost") -> JsonObject:
    config = component.agent.config
    identity: dict[str, str] = component.settings.get("identity", {})
    pairs: list[tuple[str, object]] = [("site", config.site), ("unit", config.unit)]
    pairs.extend([(key, identity[key]) for key in sorted(identity)])
    return JsonObject(pairs)


def _setpoints(component: "RecordHost") -> JsonObject:
    """Return the set-points: configured value, limits of a change, whether it is permitted.

    The values are thousandths. Without `northbound.writes` the limits are the value itself.
    """
    agent: Any = component.agent
    pairs: list[tuple[str, object]] = []
    loops = (("supply_setpoint", agent.supply_loop), ("pressure_setpoint", agent.pressure_loop))
    for (path, name), (key, loop) in zip(SETPOINTS, loops):
        if not loop.config.actuators:
            continue
        raw = round_half_away(loop.config.setpoint * 1000)
        limit = component.settings.get("writes", {}).get(name)
        fields: list[tuple[str, object]] = [
            ("configured", raw),
            ("low", raw if limit is None else round_half_away(limit["low"] * 1000)),
            ("high", raw if limit is None else round_half_away(limit["high"] * 1000)),
            ("step", 0 if limit is None else round_half_away(limit["step"] * 1000)),
            ("writable", limit is not None),
            ("path", path),
        ]
        pairs.append((key, JsonObject(fields)))
    return JsonObject(pairs)


def able_commands(agent: "Any") -> "list[str]":
    """Return the commands that a component of the unit declares."""
    able = ["acknowledge"]  # `agent.remote` does it for all components
    for component in agent.components:
        able += component.COMMANDS
    return able


def _alarms(component: "RecordHost", now: int) -> "list[JsonObject]":
    return [
        JsonObject(
            [
                ("code", entry.code),
                ("text", entry.text),
                ("state", entry.state(now)),
                ("severity", entry.severity),
                ("acknowledged", entry.acknowledged),
                ("raised_utc_us", entry.raised_utc),
                ("raised_ago_ms", (now - entry.raised_at) // MILLISECOND),
                ("cleared_utc_us", entry.cleared_utc),
                ("cleared", entry.cleared_at is not None),
                ("shelved_ms", max(0, (entry.shelved_until - now) // MILLISECOND)),
            ]
        )
        for entry in component.alarm_states.entries
    ]


def _actuators(agent: "Any") -> "list[JsonObject]":
    found = []
    for name in ACTUATORS:
        arbiter = agent.arbiters.get(name)
        if arbiter is None or arbiter.decision is None:
            continue
        output, owner, reason, _ = arbiter.decision
        fields: list[tuple[str, object]] = [
            ("name", name),
            ("holder", owner),
            ("reason", reason),
            ("rank", arbiter.holder_rank()),
            ("output_milli_pct", None if output is None else round_half_away(output * 1000)),
        ]
        found.append(JsonObject(fields))
    return found


def _devices(agent: "Any") -> "list[JsonObject]":
    return [
        JsonObject(
            [
                ("name", session.name),
                ("model", session.profile.model),
                ("lost", session.lost),
                ("identity", session.device.identity),
            ]
        )
        for session in agent.fieldbus.sessions
    ]


def _clock(agent: "Any", now: int) -> JsonObject:
    clock = agent.clock
    return JsonObject(
        [
            ("state", clock.state(now)),
            ("bound_us", clock.bound_us(now)),
            ("source", clock.source()),
            ("flags", clock.flags()),
        ]
    )


def _link(agent: "Any") -> "JsonObject | None":
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
        ]
    )


def _component_status(agent: "Any", section: str, now: int) -> "JsonObject | None":
    """Return the status of a component of this unit; None without it."""
    component = _component(agent, section)
    if component is None:
        return None
    try:
        status: JsonObject | None = component.status(now)
        return status
    except Exception as error:  # noqa: BLE001 - the guard handles it
        agent.guard.handle(component, error, now)
    return None


def _component(agent: "Any", section: str) -> "Any":
    """Return the component of a section; None without it."""
    for i, (name, _, _) in enumerate(agent.config.components):
        if name == section:
            return agent.components[i]
    return None
