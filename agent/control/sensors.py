# SPDX-License-Identifier: Apache-2.0
"""Sensors of the component `cooling`: validation, and the readings of a cycle.

Does not react to a failed check; the supervisor gets it as an active condition. The loops, and
other components by services, use `supply`, `return_sensor`, `flow` and `dp`: the reading, or an
estimate with its uncertainty (`agent.control.law.plausibility`), or None.
"""

from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.checked_signal import RANGE, RATE, RELATION
from agent.control.law.row.exchanger_trend import ExchangerTrend
from agent.control.law.row.facility_check import FacilityCheck
from agent.control.law.row.facility_swap import FacilitySwap
from agent.control.law.row.readings import RowReadings
from agent.control.law.sensor_check import HeatBalanceCheck, SensorValidator
from agent.core.alarm_record import DEGRADED, AlarmRecord
from agent.fieldbus.sensor import PointSensor, sensor_if_present, value_or_none

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.checked_signal import CheckedSignal
    from agent.core.alarm_record import Condition
    from agent.core.context import SensorView

    class RowJudge(Protocol):
        """What the checks use of the protection (`agent.safety.protection`)."""

        @property
        def is_row_usual(self) -> bool:
            """Return whether flow and pressure belong together as usual."""
            ...

        @property
        def is_level_low(self) -> bool:
            """Return whether coolant is lost."""
            ...

        @property
        def is_filter_clogged(self) -> bool:
            """Return whether the pressure drop of the filter is high."""
            ...


SENSOR_RATE = AlarmRecord(
    "sensor_rate", DEGRADED, "supply temperature moved faster than it can", "", True
)
SENSOR_STUCK = AlarmRecord(
    "sensor_stuck", DEGRADED, "supply temperature stands while the return moves", "", True
)
SENSOR_DISCREPANCY = AlarmRecord(
    "sensor_apart", DEGRADED, "supply temperature and its spare differ", "", True
)
SENSOR_IMPLAUSIBLE = AlarmRecord("sensor_lie", DEGRADED, "%s is suspect (%s), %s", "signal", True)
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
_AIR, _HUMIDITY, _POWER = "TemperatureCelsius", "HumidityPercent", "PowerWatts"
REASONS = (RANGE, RATE, RELATION)
_MAX_DIFFERENCE_K = 15 / 10
MISSING = "missing"
_DRIFT = "supply and return may be too high"
_ESTIMATE, _NO_ESTIMATE = "an estimate is used", "no estimate"
_NO_MODEL_LPM = 1e5


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
            session = agent.fieldbus.session(name)
            self.room_sensors.append(
                (PointSensor(session, _AIR, stale), PointSensor(session, _HUMIDITY, stale))
            )
        optimum = settings.get("optimum", {})
        self.outdoor = self._point(optimum, "air", _AIR)
        self._adiabatic_air = self._point(optimum, "wet_air", _AIR)
        self._it_meter = self._point(optimum, "it_meter", _POWER)
        self._pump_meter = self._point(optimum, "pump_meter", _POWER)
        self.validator = SensorValidator(_MAX_DIFFERENCE_K)
        self.heat_balance = (
            HeatBalanceCheck(settings["balance_pct"]) if settings["balance_pct"] else None
        )
        self.inputs = RowReadings()
        self.plausibility: RowPlausibility | None = None
        self.facility_check = FacilityCheck()
        self._facility_swap = FacilitySwap()
        self.exchanger_trend = ExchangerTrend()
        self._is_drifting = False
        self._protection: RowJudge | None = None
        self.supply = ValidatedSensor("supply", agent.supply_sensor, stale)
        self.return_sensor = ValidatedSensor("return", self._return, stale)
        self.flow = ValidatedSensor("flow", self._flow, stale)
        self.dp = ValidatedSensor("dp", agent.dp_sensor, stale)
        self._checked = (self.supply, self.return_sensor, self.flow, self.dp)

    def _point(self, section: "dict[str, Any]", key: str, point: str) -> "PointSensor | None":
        """Return the sensor of the device that `key` of the section names; None without it."""
        name = section.get(key)
        if name is None:
            return None
        agent = self._agent
        return PointSensor(agent.fieldbus.session(name), point, agent.config.stale_us)

    def use_protection(self, protection: "RowJudge | None") -> None:
        """Learn only while `protection` calls the row usual; None: the unit has no protection."""
        self._protection = protection

    def read_optimum(self, now: int) -> None:
        """Take the readings that only the optimiser needs."""
        readings = self._readings
        readings.air_c = value_or_none(self.outdoor, now)
        readings.adiabatic_air_c = value_or_none(self._adiabatic_air, now)
        watts = value_or_none(self._it_meter, now)
        readings.load_kw = None if watts is None else watts / 1000.0
        readings.pump_w = value_or_none(self._pump_meter, now)

    def set_exchanger(self, exchanger: "Exchanger | None") -> None:
        """Set the model for the estimates; called once."""
        design_lpm = _NO_MODEL_LPM if exchanger is None else exchanger.design_lpm
        self.plausibility = row = RowPlausibility(exchanger, design_lpm)
        for sensor, signal in (
            (self.supply, row.supply),
            (self.return_sensor, row.return_signal),
            (self.flow, row.flow),
            (self.dp, row.dp),
        ):
            sensor.set_signal(signal)

    def retain(self) -> "list[str]":
        """Return a line for each suspect sensor, and that of the exchanger."""
        names = [(sensor, sensor.name) for sensor in self._checked]
        lines = ["suspect %s %s" % (n, s.suspect) for s, n in names if s.suspect in REASONS]
        return lines + self.exchanger_trend.retain()

    def restore(self, name: str, reason: str) -> bool:
        """Suspect a sensor as before the restart: it is valid again only by evidence."""
        for sensor in self._checked:
            if sensor.name == name and reason in REASONS:
                sensor.mark_suspect(reason)
                return True
        return False

    def read_raw(self, now: int) -> "tuple[float | None, float | None]":
        """Return supply and return temperature without offsets, °C."""
        return self.supply.raw_value(now), self.return_sensor.raw_value(now)

    def read(self, exchanger: "Exchanger | None", now: int, dt: float) -> "list[Condition]":
        """Take the readings of a cycle. Return the active conditions of their checks."""
        readings, settings, agent, inputs = self._readings, self._settings, self._agent, self.inputs
        supply_c, return_c = self.read_raw(now)
        inputs.return_c = None if return_c is None else return_c + settings["return_offset_k"]
        if supply_c is not None:
            supply_c += settings["supply_offset_k"]
        inputs.redundant_supply_c = value_or_none(self._redundant, now)
        inputs.supply_c = self.validator.validate(
            supply_c, inputs.redundant_supply_c, inputs.return_c, self.supply.last_value(), dt
        )
        inputs.supply_age_s = (self.supply.age(now) or 0) / 1e6
        inputs.return_age_s = (self.return_sensor.age(now) or 0) / 1e6
        inputs.flow_lpm = self.flow.raw_value(now)
        inputs.dp_kpa = self.dp.raw_value(now)
        inputs.fws_supply_c = value_or_none(self._fws_supply, now)
        inputs.fws_return_c = value_or_none(self._fws_return, now)
        inputs.fws_flow_lpm = value_or_none(self._fws_flow, now)
        inputs.pump_pct = None
        for pump in agent.pumps:
            speed = pump.speed()
            if speed is not None and (inputs.pump_pct is None or speed > inputs.pump_pct):
                inputs.pump_pct = speed
        if self.plausibility is None:
            self.set_exchanger(exchanger)
        read = inputs.supply_c, inputs.return_c, inputs.fws_return_c
        known = [value for value in read if value is not None]
        readings.lowest_reading_c = min(known) if len(known) == len(read) else None
        too_high_k = self._check_row(exchanger, dt)
        readings.supply_c = self.supply.update(now)
        low_c = readings.supply_c
        if low_c is None:
            low_c = inputs.supply_c
        else:
            low_c -= self.exchanger_trend.total_k + readings.low_flow_k + too_high_k
        if low_c is not None and self.supply.suspect == RELATION:
            # The estimate can itself be false, by the facility water.
            low_c = min(low_c, inputs.supply_c or low_c)
            if self.return_sensor.suspect == RELATION:  # they can be swapped
                low_c = min(low_c, inputs.return_c or low_c)
        readings.lowest_supply_c = low_c
        readings.return_c = self.return_sensor.update(now)
        readings.flow_lpm = self.flow.update(now)
        readings.dp_kpa = self.dp.update(now)
        readings.valve_pct = agent.valve.position()
        return self._findings() + self._check_heat_balance(exchanger, dt)

    def _check_row(self, exchanger: "Exchanger | None", dt: float) -> float:
        """Check row and facility side. Return by how much the supply may be too high, K."""
        inputs, readings, row = self.inputs, self._readings, self.plausibility
        check = self.facility_check
        if row is not None and exchanger is not None:
            if self._facility_swap.step(inputs, exchanger, dt):
                check.accept_return()
            if check.compare_all(inputs, row.factors.heat, exchanger, dt) and row.accept_all():
                check.fws_return.end_suspicion()
            row.read_facility(inputs, dt)
            self._check_facility(exchanger, row.factors.heat, dt)
        readings.fws_flow_lpm, readings.fws_supply_c = inputs.fws_flow_lpm, inputs.fws_supply_c
        readings.fws_return_c, readings.fws_shown_c = inputs.fws_return_c, inputs.fws_supply_c
        if row is None:
            readings.fws_proof_lpm = inputs.fws_flow_lpm
            return 0.0
        inputs.is_fws_flow_replaced = check.flow.is_suspect or check.estimate_lpm is not None
        if check.estimate_lpm is not None:
            inputs.fws_flow_lpm = check.estimate_lpm
        protection = self._protection
        if protection is not None:
            inputs.is_row_usual = protection.is_row_usual
            inputs.is_level_low = protection.is_level_low
            inputs.is_filter_clogged = protection.is_filter_clogged
        row.step(inputs, dt)
        if row.fws_supply.signal.suspect or row.fws_supply.is_unproven:
            # An estimate follows the valve: a law that uses it would follow itself.
            readings.fws_supply_c = None
            if row.fws_supply.signal.suspect:
                readings.fws_shown_c = None
        readings.is_usual, readings.low_flow_k = row.is_usual, row.low_flow_k
        if exchanger is not None:
            exchanger.permit_ua_learning(row.may_learn_ua)
            if row.is_usual:
                trend = self.exchanger_trend
                trend.step(exchanger, inputs, inputs.flow_lpm, dt, row.is_steady)
        return row.too_high_k

    def _check_facility(self, exchanger: "Exchanger", heat_factor: float, dt: float) -> None:
        """Check the facility side by the row, as far as this is valid."""
        inputs, readings, check = self.inputs, self._readings, self.facility_check
        rise_k = None
        is_valid = not (self.supply.suspect or self.return_sensor.suspect or self.flow.suspect)
        if is_valid and inputs.supply_c is not None and inputs.return_c is not None:
            rise_k = inputs.return_c - inputs.supply_c
        check.step(inputs, rise_k, heat_factor, self._agent.valve.position(), exchanger, dt)
        readings.is_fws_flow_unproven = check.is_unproven
        readings.fws_proof_lpm = check.proof_lpm

    def _findings(self) -> "list[Condition]":
        validator, supply = self.validator, self.supply
        conditions: list[Condition] = []
        self._is_drifting = self.exchanger_trend.total_k > (2.0 if self._is_drifting else 3.0)
        if self._is_drifting:
            conditions.append((SENSOR_IMPLAUSIBLE, "both", _DRIFT))
        if supply.suspect == RATE:
            conditions.append((SENSOR_RATE, "", SENSOR_RATE.text))
        for sensor in self._checked:
            if sensor.suspect and not (sensor.suspect == MISSING and self._is_lost(sensor)):
                used = _NO_ESTIMATE if sensor.last_value() is None else _ESTIMATE
                text = SENSOR_IMPLAUSIBLE.text % (sensor.name, sensor.suspect, used)
                conditions.append((SENSOR_IMPLAUSIBLE, sensor.name, text))
        check, row = self.facility_check, self.plausibility
        is_swapped = self._facility_swap.is_swapped
        is_return_suspect = check.fws_return.is_suspect or is_swapped
        supply_reason = "" if row is None else row.fws_supply.signal.suspect
        supply_reason = supply_reason or (RELATION if is_swapped else "")
        for name, reason, used in (
            ("facility_flow", RELATION if check.flow.is_suspect else "", _ESTIMATE),
            ("facility_return", RELATION if is_return_suspect else "", _NO_ESTIMATE),
            ("facility_supply", supply_reason, _NO_ESTIMATE),
        ):
            if reason:
                text = SENSOR_IMPLAUSIBLE.text % (name, reason, used)
                conditions.append((SENSOR_IMPLAUSIBLE, name, text))
        if validator.stuck:
            conditions.append((SENSOR_STUCK, "", SENSOR_STUCK.text))
        if validator.sensors_disagree:
            conditions.append((SENSOR_DISCREPANCY, "", SENSOR_DISCREPANCY.text))
        return conditions

    def _is_lost(self, sensor: "ValidatedSensor") -> bool:
        """Return whether the device of a sensor is lost: `device_lost` is then its alarm."""
        config = self._agent.config
        name = config.pressure.sensor if sensor is self.dp else config.supply.sensor
        return self._agent.fieldbus.session(name).lost

    def _check_heat_balance(self, exchanger: "Exchanger | None", dt: float) -> "list[Condition]":
        """Compare the heat on both sides of the exchanger, if all readings are available."""
        heat_balance, inputs = self.heat_balance, self.inputs
        supply_c, return_c, flow_lpm = inputs.supply_c, inputs.return_c, inputs.flow_lpm
        fws_supply_c, fws_return_c, fws_flow_lpm = (
            inputs.fws_supply_c,
            inputs.fws_return_c,
            inputs.fws_flow_lpm,
        )
        if (
            heat_balance is None
            or exchanger is None
            or None in (fws_supply_c, fws_return_c, fws_flow_lpm, flow_lpm, supply_c, return_c)
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
    """A sensor after validation: the value of the last cycle, its uncertainty, and `suspect`.

    `value` is the reading, or an estimate while `suspect` has a reason (`range`, `rate`,
    `relation`, or `missing`). Without a cycle in `stale_us` it is the raw reading, unless that was
    suspect: then there is no value.
    """

    def __init__(self, name: str, raw_sensor: "SensorView | None", stale_us: int) -> None:
        self.name = name
        self.uncertainty = 0.0
        self.suspect = ""
        self._raw_sensor = raw_sensor
        self._stale_us = stale_us
        self._signal: CheckedSignal | None = None
        self._validated_at: int | None = None

    def set_signal(self, signal: "CheckedSignal") -> None:
        """Set the signal of the checks."""
        self._signal = signal
        if self.suspect:
            signal.mark_suspect(self.suspect)

    def mark_suspect(self, reason: str) -> None:
        """Make the sensor suspect, also before its first cycle."""
        self.suspect = reason
        if self._signal is not None:
            self._signal.mark_suspect(reason)

    def raw_value(self, now: int) -> "float | None":
        """Return the reading before validation."""
        return None if self._raw_sensor is None else self._raw_sensor.value(now)

    def age(self, now: int) -> "int | None":
        """Return the microseconds since the device was read; None before the first reading."""
        return None if self._raw_sensor is None else self._raw_sensor.age(now)

    def last_value(self) -> "float | None":
        """Return the value of the last cycle."""
        return None if self._signal is None else self._signal.value

    def update(self, now: int) -> "float | None":
        """Take over the result of the checks at `now`, and return the value."""
        signal = self._signal
        if signal is None or self._raw_sensor is None:
            return None
        self._validated_at = now
        self.uncertainty, self.suspect = signal.uncertainty, signal.suspect
        if not self.suspect and signal.uncertainty > 0.0:
            self.suspect = MISSING
        return signal.value

    def quality(self, now: int) -> str:
        """Return the quality: good, bad, stale or none. An estimate is good."""
        if self.value(now) is not None:
            return "good"
        quality = "none" if self._raw_sensor is None else self._raw_sensor.quality(now)
        return "bad" if quality == "good" else quality

    def value(self, now: int) -> "float | None":
        """Return the value; None if there is neither a valid reading nor an estimate."""
        at = self._validated_at
        if at is None or now - at > self._stale_us:
            return None if self.suspect else self.raw_value(now)
        return self.last_value()
