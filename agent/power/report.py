# SPDX-License-Identifier: Apache-2.0
"""Reports of the power limits: state, alarms, telemetry points and status."""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.json_writer import JsonObject
from agent.power.detector.inlet_trend import INLET_RISES
from agent.power.limit.kept_limits import CAPS_RESTORED
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.core.context import Context
    from agent.power.demand_interval import DemandInterval
    from agent.power.detector.headroom import CoolingHeadroom
    from agent.power.limit.kept_limits import KeptLimits
    from agent.power.load import Load
    from agent.power.measurement import PowerMeasurement
    from agent.power.schedule import Schedule
    from drivers.redfish.client import RedfishClient

    class PowerState(Protocol):
        """The source of a report; see `agent.power.component`."""

        agent: Context
        loads: list[Load]
        services: list[RedfishClient]
        headroom: CoolingHeadroom
        measurement: PowerMeasurement
        demand_interval: DemandInterval
        plan: Schedule
        kept: KeptLimits
        executed: list[tuple[int, int]]
        state: int
        started_at: int
        budget_w: int
        demand_w: int
        cap_w: int
        cap_pct: int
        droop_permille: int


HEAT_LOSS = AlarmRecord("heat_lost", NORMAL, "heat is not rejected:", "", True)
THROTTLED = AlarmRecord("throttled", NORMAL, "loads are limited to %d of %d W", "", True)
LIMIT_REFUSED = AlarmRecord("limit_refused", NORMAL, "does not take its limit", "load", True)
SERVICE_SILENT = AlarmRecord(
    "service_silent", NORMAL, "no reading from the management service of", "load", True
)
DEVICE_HOT = AlarmRecord(
    "device_hot", NORMAL, "is hotter than its power and the supply explain:", "load", True
)
DEVICE_SENSOR = AlarmRecord(
    "device_sensor",
    NORMAL,
    "shows a device temperature or power that no heat explains:",
    "load",
    True,
)

_SILENT_US = 60 * SECOND
"""Six times the longest period of readings; two refused readings, each with its pause."""

FREE, DERATED, LIMITED, HEAT_LOST, SHED = 0, 1, 2, 3, 4
STATES = ("free", "derated", "limited", "lost", "shed")

POINTS = (
    ("throttle.State", "1", 1, 1),
    ("throttle.BudgetWatts", "W", 1, 1),
    ("throttle.LimitWatts", "W", 1, 1),
    ("throttle.LoadWatts", "W", 1, 1),
    ("throttle.HeatWatts", "W", 1, 1),
    ("throttle.HeadroomWatts", "W", 1, 1),
    ("throttle.LoadMeanWatts", "W", 1, 1),
    ("throttle.LoadPeakWatts", "W", 1, 1),
)
"""Name, UCUM unit, numerator and denominator of the scale."""


def update_state(component: "PowerState", now: int) -> int:
    """Return the new state and update its alarms."""
    limit_w = sum([load.limit_w for load in component.loads])
    rated_w = sum([load.max_w for load in component.loads])
    headroom, alarms = component.headroom, component.agent.alarms
    if False in [load.is_on for load in component.loads]:
        new_state = SHED
    elif headroom.heat_rejection_lost:
        new_state = HEAT_LOST
    elif component.budget_w < component.demand_w:
        new_state = LIMITED
    else:
        new_state = DERATED if limit_w < rated_w else FREE
    text = HEAT_LOSS.text + " " + headroom.loss_reason
    alarms.update(HEAT_LOSS, "", headroom.heat_rejection_lost, now, text)
    text = THROTTLED.text % (limit_w, rated_w)
    alarms.update(THROTTLED, "", new_state != FREE, now, text)
    alarms.update(INLET_RISES, "", component.measurement.inlet_trend.is_rising, now)
    is_limited = new_state != FREE or component.cap_w > 0 or component.cap_pct < 100
    alarms.update(CAPS_RESTORED, "", component.kept.update(is_limited), now)
    for load in component.loads:
        load.update_alarm(alarms, DEVICE_HOT, load.is_heat_shown, now)
        load.update_alarm(alarms, DEVICE_SENSOR, load.is_case_false, now)
        target = load.target
        if target is not None:
            rejected = target.write_unverified or target.rejected_status != 0
            alarms.update(LIMIT_REFUSED, load.name, rejected, now)
            is_silent = now - max(target.read_at, component.started_at) >= _SILENT_US
            is_silent = is_silent and not load.outlets_off
            load.update_alarm(alarms, SERVICE_SILENT, is_silent, now)
    return new_state


def values(component: "PowerState", now: int) -> "list[int | None]":
    """Return the values of POINTS."""
    headroom = component.headroom
    headroom_w = None
    if headroom.limit_w is not None and headroom.heat_w is not None:
        headroom_w = min(
            headroom.limit_w - headroom.heat_w, sum([load.max_w for load in component.loads])
        )
    return [
        component.state,
        component.budget_w,
        sum([load.limit_w if load.is_on else 0 for load in component.loads]),
        component.measurement.load_w(now),
        headroom.heat_w,
        headroom_w,
        component.demand_interval.mean_w,
        component.demand_interval.peak_w,
    ]


def status(component: "PowerState", now: int) -> JsonObject:
    """Return the limits of the loads and their causes."""
    point_values = values(component, now)
    return JsonObject(
        [
            ("state", STATES[component.state]),
            ("budget_w", component.budget_w),
            ("limit_w", point_values[2]),
            ("load_w", point_values[3]),
            ("heat_w", point_values[4]),
            ("headroom_w", point_values[5]),
            ("cap_w", component.cap_w),
            ("cap_pct", component.cap_pct),
            ("droop_permille", component.droop_permille),
            ("profile", [component.demand_interval.start_us, point_values[6], point_values[7]]),
            ("waiting", [list(entry) for entry in component.plan.entries]),
            ("done", [list(entry) for entry in component.executed]),
            ("services", [service.fault for service in component.services]),
            ("loads", [_load_status(load) for load in component.loads]),
        ]
    )


def _load_status(load: "Load") -> JsonObject:
    target = load.target
    return JsonObject(
        [
            ("name", load.name),
            ("on", load.is_on and not load.is_dark),
            ("limit_w", load.limit_w),
            ("shown_w", None if target is None else target.reported_w),
            ("watts", None if target is None else target.power_w),
            ("case_c", None if target is None or target.case_c is None else int(target.case_c)),
            ("refused", 0 if target is None else target.rejected_status),
        ]
    )
