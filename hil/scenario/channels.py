# SPDX-License-Identifier: Apache-2.0
"""The measures that the bench records once a second for the plots of reports and the live page.

Does not contain the measures; see `hil.measure.registry`.
"""

from dataclasses import dataclass, field

from hil.bench.testbed_settings import TestbedSettings
from hil.scenario.judge import ReadMeasure


@dataclass(frozen=True)
class Channel:
    """One curve: measure, title of its plot, unit, and label in the plot."""

    measure: str
    plot: str
    unit: str
    label: str


CHANNELS: tuple[Channel, ...] = (
    Channel("supply_c", "temperatures", "°C", "supply"),
    Channel("case_c", "temperatures", "°C", "hottest case"),
    Channel("dp_kpa", "flow and pressure", "kPa", "differential pressure"),
    Channel("flow_lpm", "flow and pressure", "L/min", "flow"),
    Channel("valve_pct", "actuators", "%", "valve"),
    Channel("pump_pct:1", "actuators", "%", "pump 1"),
    Channel("pump_pct:2", "actuators", "%", "pump 2"),
    Channel("utc_error_ms", "time", "ms", "UTC error"),
    Channel("it_kw", "loads", "kW", "IT power"),
    Channel("limit_kw", "loads", "kW", "limit"),
    Channel("rows_waiting", "link", "rows", "telemetry waiting"),
)

PAIR_CHANNELS: tuple[Channel, ...] = (
    Channel("role:1", "roles", "", "controller a"),
    Channel("role:2", "roles", "", "controller b"),
    Channel("writers", "writers in a bus cycle", "", "writers"),
    Channel("writer_gap_s", "time without a writer", "s", "gap"),
    Channel("step_pct", "steps of the actuators", "%", "largest step"),
)
"""Further curves of a redundant pair."""
GROUP_CHANNELS: tuple[Channel, ...] = (
    Channel("units_running", "units", "", "running"),
    Channel("unit_views", "units", "", "different selections"),
    Channel("stage_changes", "units", "", "stage changes"),
    Channel("excess_k", "temperatures above the set-point", "K", "warmest supply"),
    Channel("hottest_case_c", "hottest case", "°C", "hottest case"),
    Channel("speed_spread_pct", "spread of the pump speeds", "%", "spread"),
    Channel("heat_kw", "heat", "kW", "heat of the group"),
)
"""Curves of a group of CDUs."""


@dataclass
class Series:
    """The samples of a run: `at_s`, and for each channel its values (None: not known)."""

    channels: tuple[Channel, ...]
    at_s: list[float] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)

    def sample(self, at_s: float, read: ReadMeasure) -> None:
        """Take one sample of each channel, rounded to 4 decimals."""
        self.at_s.append(at_s)
        for channel in self.channels:
            value = read(channel.measure)
            rounded = None if value is None else round(value, 4)
            self.values.setdefault(channel.measure, []).append(rounded)


def select_channels(pumps: int, sections: str = "") -> tuple[Channel, ...]:
    """Return the channels of a row with `pumps` pumps.

    `sections`: names of optional sections of the unit; without `throttle` there are no loads.
    """
    return tuple(
        c
        for c in CHANNELS
        if (not c.measure.startswith("pump_pct:") or int(c.measure[9:]) <= pumps)
        and (c.plot != "loads" or "throttle" in sections)
    )


def list_channels(settings: TestbedSettings) -> tuple[Channel, ...]:
    """Return the channels of a scenario in virtual time: of a row, a pair or a group."""
    if settings.units > 1:
        return GROUP_CHANNELS
    channels = select_channels(settings.pumps, settings.parts)
    if settings.controllers < 2:
        return channels
    known = tuple(c for c in channels if c.plot not in ("time", "link"))
    return known + PAIR_CHANNELS
