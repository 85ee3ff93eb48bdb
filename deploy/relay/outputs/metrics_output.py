# SPDX-License-Identifier: Apache-2.0
"""Metrics output: OpenMetrics of the fleet, of each unit, and of the relay.

Not a store; only the active alarms outlast a restart of the relay. A unit has about twelve series:
age of its data, online, backlog, quality of its clock, active alarms by priority (`alarm_order` has
the rule for late ones), versions. The backlog tells how old the rows
are that a unit sends after an outage. The value of each signal is a series only below
`/metrics/unit`, one page for each unit, and only while it is not older than 15 minutes. `/metrics`
thus stays small; `/metrics?site=NAME` is the part of one site, so that several scrape jobs share
the units. SOURCE: OpenMetrics 1.0.
"""

import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from agent.alarms.catalogue import catalogue
from deploy.relay.decode.alarm_order import UnitAlarms, concerns_alarms
from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.limits import UnitLimits, parse_note
from deploy.relay.outputs.base import Output, OutputContext, Page
from deploy.relay.outputs.text.metric_texts import format_counts
from protocols.errors import DecodeError
from protocols.telemetry.schema import CLOCK, CLOCKS, STATE, STATES

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_STALE_MS = 900_000
_MAX_UNITS = 100_000
_MOST_VALUES = 4000
_BACKLOG_MS = 120_000
_KEY_PREFIX = "metrics/"
_MOST_LABEL_CHARS = 40


@dataclass(slots=True)
class UnitMetrics:
    """What the page tells of one unit; times are UTC in ms, 0 if there is none."""

    newest_ms: int = 0
    last_message_ms: int = 0
    is_online: bool | None = None
    clock: int | None = None
    state: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    alarms: UnitAlarms = field(default_factory=UnitAlarms)
    late_blocks: int = 0
    undated_blocks: int = 0
    late_ms: int = 0
    """Time of the newest row of the last late block."""
    late_came_ms: int = 0
    versions: dict[str, str] = field(default_factory=dict)


class MetricsOutput(Output):
    """Serves `/metrics` and `/metrics/unit`."""

    BATCH = 500

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        self._blocks = 0
        self._units: dict[str, UnitMetrics] = {}
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        """Units whose alarms are not stored yet."""
        stored = {} if context.store is None else context.store.load_state(_KEY_PREFIX)
        for key, text in stored.items():
            self._unit(key.removeprefix(_KEY_PREFIX)).alarms = _load_alarms(json.loads(text))

    def _unit(self, unit: str) -> UnitMetrics:
        unit_metrics = self._units.get(unit)
        if unit_metrics is None:
            if len(self._units) >= _MAX_UNITS:
                self._units.pop(next(iter(self._units)))
            unit_metrics = self._units[unit] = UnitMetrics()
        return unit_metrics

    def rows(self, block: Rows) -> None:
        """Keep the values of the newest row of the unit. A late block changes no value."""
        with self._lock:
            self._blocks += 1
            unit = self._unit(block.unit)
            unit.last_message_ms = self.context.clock_ms()
            if not block.is_dated or not block.values:
                unit.undated_blocks += 1
                return
            time_ms, values = max(block.values, key=lambda entry: entry[0])
            if time_ms < unit.newest_ms:
                unit.late_blocks += 1
                unit.late_ms, unit.late_came_ms = time_ms, unit.last_message_ms
                return
            unit.newest_ms = time_ms
            if len(unit.values) > _MOST_VALUES:
                unit.values.clear()  # a unit whose names always change
            # A summary has other names than the rows; only what this block has is replaced.
            for name, value in zip(block.names, values, strict=True):
                if name == CLOCK:
                    unit.clock = None if value is None else int(value)
                elif name == STATE:
                    unit.state = None if value is None else int(value)
                elif value is None:
                    unit.values.pop(name, None)
                else:
                    unit.values[name] = value

    def note(self, note: Note) -> None:
        """Follow the alarms of the unit."""
        with self._lock:
            unit = self._unit(note.unit)
            unit.last_message_ms = self.context.clock_ms()
            if concerns_alarms(note):
                unit.alarms.follow(note)
                self._changed.add(note.unit)

    def flush(self) -> None:
        """Store the alarms of the units that have new ones."""
        store = self.context.store
        while self._changed and store is not None:
            unit = next(iter(self._changed))
            with self._lock:
                text = json.dumps(self._unit(unit).alarms.dump())
            store.store_state(_KEY_PREFIX + unit, text)
            self._changed.discard(unit)

    def on_unit_report(self, unit: str, payload: bytes) -> None:
        """Follow the configuration and the release that a unit reports."""
        try:
            content = parse_note(payload, UnitLimits())
        except DecodeError:
            return
        update = content.get("update")
        versions = {
            "configuration": content.get("version"),
            "hash": str(content.get("hash") or "")[:12],
            "release": update[0] if isinstance(update, list) and update else None,
        }
        with self._lock:
            self._unit(unit).versions = {
                name: str(value)[:_MOST_LABEL_CHARS]
                for name, value in versions.items()
                if isinstance(value, str | int)
            }

    def on_unit_state(self, unit: str, payload: bytes) -> None:
        """Follow whether the unit is online."""
        with self._lock:
            unit_metrics = self._unit(unit)
            unit_metrics.is_online = b'"online":false' not in payload.replace(b" ", b"")
            if unit_metrics.is_online:
                unit_metrics.last_message_ms = self.context.clock_ms()

    def pages(self) -> dict[str, Page]:
        """Return the pages `/metrics` and `/metrics/unit`."""
        return {"/metrics": self._page, "/metrics/unit": self._unit_page}

    def _page(self, query: str) -> tuple[str, str]:
        site = parse_qs(query).get("site", [""])[0]
        with self._lock:
            units = {
                name: unit
                for name, unit in sorted(self._units.items())
                if not site or name.startswith(site + "/")
            }
            counts = {**self.context.counts(), "blocks": self._blocks}
            return CONTENT_TYPE, format_metrics(units, counts, self.context.clock_ms())

    def _unit_page(self, query: str) -> tuple[str, str]:
        name = parse_qs(query).get("unit", [""])[0]
        with self._lock:
            unit = self._units.get(name, UnitMetrics())
            is_stale = self.context.clock_ms() - unit.newest_ms > _STALE_MS
            values = {} if is_stale else dict(unit.values)
        return CONTENT_TYPE, format_values(name, values)


def _load_alarms(state: dict[str, Any]) -> UnitAlarms:
    """Return the alarms of a unit; an earlier version stored the active ones by their codes."""
    is_old = all(type(value) is int for value in state.values())
    return UnitAlarms.of_active(state) if is_old else UnitAlarms.load(state)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unit_labels(unit: str) -> str:
    site, _, name = unit.partition("/")
    return f'site="{_escape(site)}",unit="{_escape(name)}"'


def _alarm_samples(name: str, unit: UnitMetrics) -> list[tuple[str, str, float]]:
    """Return the number of active alarms of each priority."""
    by_priority: dict[str, int] = {}
    for code in unit.alarms.active():
        priority = str(catalogue().priority(code))
        by_priority[priority] = by_priority.get(priority, 0) + 1
    return [(name, f',priority="{p}"', float(count)) for p, count in sorted(by_priority.items())]


def format_values(unit: str, values: dict[str, float]) -> str:
    """Format the newest value of each signal of a unit."""
    lines = ["# TYPE coldloop_value gauge", "# HELP coldloop_value Newest value of a signal."]
    labels = _unit_labels(unit)
    lines += [
        f'coldloop_value{{{labels},signal="{_escape(signal)}"}} {value!r}'
        for signal, value in sorted(values.items())
    ]
    return "\n".join([*lines, "# EOF", ""])


def _backlog_s(unit: UnitMetrics, now_ms: int) -> float:
    is_old = now_ms - unit.late_came_ms > _BACKLOG_MS
    return 0.0 if is_old or not unit.late_ms else (unit.newest_ms - unit.late_ms) / 1000


def _info_labels(versions: dict[str, str]) -> str:
    return "".join([f',{name}="{_escape(text)}"' for name, text in versions.items()])


def format_metrics(units: dict[str, UnitMetrics], counts: dict[str, int], now_ms: int) -> str:
    """Format the page of all units, and the counters of the relay."""
    lines: list[str] = []

    def add_family(name: str, text: str, samples: list[tuple[str, str, float]]) -> None:
        lines.append(f"# TYPE coldloop_{name} gauge")
        lines.append(f"# HELP coldloop_{name} {text}")
        for unit, extra, value in samples:
            lines.append(f"coldloop_{name}{{{_unit_labels(unit)}{extra}}} {value!r}")

    items = list(units.items())
    add_family(
        "unit_data_age_seconds",
        "Age of the newest row of a unit.",
        [(n, "", (now_ms - u.newest_ms) / 1000) for n, u in items if u.newest_ms],
    )
    add_family(
        "unit_message_age_seconds",
        "Time since the last message of a unit.",
        [(n, "", (now_ms - u.last_message_ms) / 1000) for n, u in items if u.last_message_ms],
    )
    add_family(
        "unit_online",
        "1 while the broker has the connection of the unit.",
        [(n, "", int(u.is_online)) for n, u in items if u.is_online is not None],
    )
    add_family(
        "unit_late_blocks",
        "Blocks older than the newest row.",
        [(n, "", u.late_blocks) for n, u in items],
    )
    add_family(
        "unit_backlog_seconds",
        "How much older than the newest row the late rows are that a unit sends; 0: none come.",
        [(n, "", _backlog_s(u, now_ms)) for n, u in items if u.newest_ms],
    )
    add_family(
        "unit_info",
        "Configuration and release that a unit reports, as labels.",
        [(n, _info_labels(u.versions), 1.0) for n, u in items if u.versions],
    )
    add_family(
        "unit_undated_blocks",
        "Blocks without UTC.",
        [(n, "", u.undated_blocks) for n, u in items if u.undated_blocks],
    )
    for index, names, column in ((0, CLOCKS, "clock"), (1, STATES, "state")):
        samples = []
        for name, unit in items:
            value = (unit.clock, unit.state)[index]
            if value is not None and 0 <= value < len(names):
                samples.append((name, f',{column}="{names[value]}"', 1.0))
        add_family(f"unit_{column}", f"The {column} of a unit, as a label.", samples)
    alarms = [sample for name, unit in items for sample in _alarm_samples(name, unit)]
    add_family("unit_alarms", "Active alarms by priority.", alarms)
    lines += format_counts(counts)
    return "\n".join([*lines, "# EOF", ""])
