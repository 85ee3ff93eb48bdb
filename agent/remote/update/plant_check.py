# SPDX-License-Identifier: Apache-2.0
"""Values of the plant in a trial: flow, temperature difference, pump current, dew-point margin.

Does not use alarms: a changed set-point can halve the flow without any alarm. The points of all
devices are searched when a trial begins. A value that the plant does not measure is not checked. At
the end of the health window the values are compared with those from the beginning.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import Context

FLOW, CURRENT, DEW = "FlowLitersPerMinute", "MotorAmperes", "DewPointCelsius"
SUPPLY, RETURN = "SupplyTemperatureCelsius", "ReturnTemperatureCelsius"
_LEAST_FLOW = 0.6
_MAX_CURRENT_RATIO = 1.3
_MORE_DELTA_T = 1.5
_DELTA_T_K = 3.0
_MARGIN_K = 2.0
"""Ratios to the values before; significant rise of ΔT in K; smallest dew-point margin in K, as in
ASHRAE's guidance for liquid cooling."""


class PlantValues:
    """The values at `now`, None without a measurement."""

    def __init__(self, agent: "Context", now: int) -> None:
        flow = _values(agent, FLOW, now)
        current = _values(agent, CURRENT, now)
        dew = _values(agent, DEW, now)
        supply_c, return_c = _values(agent, SUPPLY, now), _values(agent, RETURN, now)
        self.flow = sum(flow) if flow else None
        self.current = max(current) if current else None
        self.margin = supply_c[0] - max(dew) if supply_c and dew else None
        self.delta_t = return_c[0] - supply_c[0] if supply_c and return_c else None

    def find_degraded(self, before: "PlantValues") -> str:
        """Return the name of a value that is too much worse than `before`, or an empty text."""
        for name, is_degraded in _CHECKS:
            if is_degraded(self, before):
                return name
        return ""


def _values(agent: "Context", point: str, now: int) -> "list[float]":
    """Return all good readings of a point, in the order of the devices."""
    values = []
    for session in agent.fieldbus.sessions:
        if not session.profile.has_point(point) or session.lost:
            continue
        index = session.device.point_index(point)
        reading = session.device.readings[index]
        if reading.quality == "good" and now - reading.read_at <= agent.config.stale_us:
            values.append(session.device.value(index))
    return values


def _flow(now: PlantValues, before: PlantValues) -> bool:
    if before.flow is None or before.flow <= 0:
        return False
    return now.flow is None or now.flow < _LEAST_FLOW * before.flow


def _current(now: PlantValues, before: PlantValues) -> bool:
    if before.current is None or now.current is None or before.current <= 0:
        return False
    return now.current > _MAX_CURRENT_RATIO * before.current


def _margin(now: PlantValues, before: PlantValues) -> bool:
    if before.margin is None or now.margin is None:
        return False
    return now.margin < _MARGIN_K and now.margin < before.margin


def _delta_t(now: PlantValues, before: PlantValues) -> bool:
    if before.delta_t is None or now.delta_t is None or before.delta_t <= 0:
        return False
    rise = now.delta_t - before.delta_t
    return rise > _DELTA_T_K and now.delta_t > _MORE_DELTA_T * before.delta_t


_CHECKS = (("flow", _flow), ("delta_t", _delta_t), ("pump_current", _current), ("dew", _margin))
