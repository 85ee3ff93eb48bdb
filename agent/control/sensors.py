# SPDX-License-Identifier: Apache-2.0
"""Sensors of the component `cooling`: validation, and the readings of a cycle.

Does not react to a failed check; the supervisor gets it as an active condition. The loops use
`validated` instead of the supply sensor. Its value comes from `agent.control.law.sensor_check`: the
sensor, its redundant sensor, or None.
"""

from agent.control.law.sensor_check import HeatBalanceCheck, SensorValidator
from agent.core.alarm_record import DEGRADED, AlarmRecord
from agent.fieldbus.sensor import PointSensor, sensor_if_present, value_or_none

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings
    from agent.control.law.exchanger import Exchanger
    from agent.core.alarm_record import Condition
    from agent.core.context import SensorView

SENSOR_RATE = AlarmRecord(
    "sensor_rate", DEGRADED, "supply temperature moved faster than it can", "", True
)
SENSOR_STUCK = AlarmRecord(
    "sensor_stuck", DEGRADED, "supply temperature stands while the return moves", "", True
)
SENSOR_APART = AlarmRecord(
    "sensor_apart", DEGRADED, "supply temperature and its spare differ", "", True
)
HEAT_BALANCE = AlarmRecord(
    "heat_balance", DEGRADED, "heat on both sides differs: a sensor is off", "", True
)

_SUPPLY, _RETURN, _FLOW = (
    "SupplyTemperatureCelsius",
    "ReturnTemperatureCelsius",
    "FlowLitersPerMinute",
)
_FWS_SUPPLY, _FWS_RETURN = "PrimarySupplyTemperatureCelsius", "PrimaryReturnTemperatureCelsius"
_FWS_FLOW = "PrimaryFlowLitersPerMinute"
_AIR, _HUMIDITY = "TemperatureCelsius", "HumidityPercent"
_RATE_K_S, _MAX_DIFFERENCE_K = 2.0, 15 / 10


class ControlSensors:
    """Fills `readings` once a cycle. `settings` is the section `cooling`."""

    def __init__(
        self, agent: "ControlContext", settings: "dict[str, Any]", readings: "ControlReadings"
    ) -> None:
        config = agent.config
        stale = config.stale_us
        unit = agent.fieldbus.session(config.supply.sensor)
        facility = agent.fieldbus.session(settings["facility"])
        self._agent, self._settings, self._readings = agent, settings, readings
        self._return = sensor_if_present(unit, _RETURN, stale)
        self._flow = sensor_if_present(unit, _FLOW, stale)
        self._fws_supply = sensor_if_present(facility, _FWS_SUPPLY, stale)
        self._fws_return = sensor_if_present(facility, _FWS_RETURN, stale)
        self._fws_flow = sensor_if_present(facility, _FWS_FLOW, stale)
        self._redundant: PointSensor | None = None
        if "spare_supply" in settings:
            self._redundant = PointSensor(
                agent.fieldbus.session(settings["spare_supply"]), _SUPPLY, stale
            )
        self.room_sensors: list[tuple[PointSensor, PointSensor]] = []
        for name in settings.get("dew", {}).get("sensors", []):
            room = agent.fieldbus.session(name)
            self.room_sensors.append(
                (PointSensor(room, _AIR, stale), PointSensor(room, _HUMIDITY, stale))
            )
        self.outdoor: PointSensor | None = None
        if "optimum" in settings:
            self.outdoor = PointSensor(
                agent.fieldbus.session(settings["optimum"]["air"]), _AIR, stale
            )
        self.validator = SensorValidator(_RATE_K_S, _MAX_DIFFERENCE_K)
        self.heat_balance = (
            HeatBalanceCheck(settings["balance_pct"]) if settings["balance_pct"] else None
        )
        self.validated = ValidatedSensor(agent.supply_sensor)

    def read_raw(self, now: int) -> "tuple[float | None, float | None]":
        """Return supply and return temperature without offsets, °C."""
        return self.validated.raw_sensor.value(now), value_or_none(self._return, now)

    def read(self, exchanger: "Exchanger | None", now: int, dt: float) -> "list[Condition]":
        """Take the readings of a cycle. Return the active conditions of their checks."""
        readings, settings, agent = self._readings, self._settings, self._agent
        supply_c, return_c = self.read_raw(now)
        readings.return_c = None if return_c is None else return_c + settings["return_offset_k"]
        if supply_c is not None:
            supply_c += settings["supply_offset_k"]
        readings.supply_c = self.validator.validate(
            supply_c, value_or_none(self._redundant, now), return_c, dt
        )
        self.validated.set_value(readings.supply_c, now)
        readings.flow_lpm = value_or_none(self._flow, now)
        readings.dp_kpa = agent.dp_sensor.value(now)
        readings.fws_supply_c = value_or_none(self._fws_supply, now)
        readings.fws_flow_lpm = value_or_none(self._fws_flow, now)
        readings.valve_pct = agent.valve.position()
        return self._findings() + self._check_heat_balance(exchanger, now, dt)

    def _findings(self) -> "list[Condition]":
        validator = self.validator
        return [
            (record, "", record.text)
            for active, record in (
                (validator.rate_exceeded, SENSOR_RATE),
                (validator.stuck, SENSOR_STUCK),
                (validator.sensors_disagree, SENSOR_APART),
            )
            if active
        ]

    def _check_heat_balance(
        self, exchanger: "Exchanger | None", now: int, dt: float
    ) -> "list[Condition]":
        """Compare the heat on both sides of the exchanger, if all readings are available."""
        heat_balance, readings = self.heat_balance, self._readings
        fws_return_c = value_or_none(self._fws_return, now)
        fws_supply_c, fws_flow_lpm, flow_lpm = (
            readings.fws_supply_c,
            readings.fws_flow_lpm,
            readings.flow_lpm,
        )
        supply_c, return_c = readings.supply_c, readings.return_c
        if (
            heat_balance is None
            or exchanger is None
            or None in (fws_return_c, fws_supply_c, fws_flow_lpm, flow_lpm, supply_c, return_c)
        ):
            return []
        heat_in_w = exchanger.tcs_capacity(flow_lpm or 0.0) * (
            (return_c or 0.0) - (supply_c or 0.0)
        )
        heat_out_w = exchanger.fws_capacity(fws_flow_lpm or 0.0) * (
            (fws_return_c or 0.0) - (fws_supply_c or 0.0)
        )
        heat_balance.check(heat_in_w, heat_out_w, dt)
        if not heat_balance.unbalanced:
            return []
        return [(HEAT_BALANCE, "", HEAT_BALANCE.text)]


class ValidatedSensor:
    """The supply sensor after validation; the loops use it."""

    def __init__(self, raw_sensor: "SensorView") -> None:
        self.raw_sensor = raw_sensor
        self._validated_at = -1
        self._value: float | None = None

    def set_value(self, value: "float | None", now: int) -> None:
        """Set the validated value of the cycle at `now`."""
        self._validated_at, self._value = now, value

    def quality(self, now: int) -> str:
        """Return the quality: good, bad, stale or none. A suspect sensor is bad."""
        quality = self.raw_sensor.quality(now)
        if self.value(now) is not None:
            return "good"
        return "bad" if quality == "good" else quality

    def value(self, now: int) -> "float | None":
        """Return the value of this cycle; None if it is not good."""
        return self._value if now == self._validated_at else self.raw_sensor.value(now)
