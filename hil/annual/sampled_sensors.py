# SPDX-License-Identifier: Apache-2.0
"""The readings of the control code in a year: the sensors that the unit has, with their errors.

Resolution as in the bench's devices: row temperatures 0.1 K, facility temperatures 0.01 K, flow
0.1 L/min, pressure 0.1 kPa, valve 0.01 %. Lags and noise are those of the plant. Errors are
constant over a run and drawn from the seed, each uniform within its class:

    power meters       1 % (class 1 of IEC 62053-21)
    flow meters        1 % in the row, 2 % in the valve
    temperatures       0.15 K; outdoor air 0.3 K (radiation shield)
    humidity           fixed: one sensor 2 % and 0.2 K too low, the other 1 % and 0.1 K too high

Dropouts: once in a while a sensor gives nothing for 10 to 300 s, by default each sensor in 0.1 % of
all minutes. `faults` adds a fault of the humidity sensors, `silent` a sensor of the row that gives
nothing at all: the checks of the unit never learn its value.
"""

from __future__ import annotations

from random import Random

from agent.control.law.cooling import ControlReadings
from hil.annual.policy import Policy
from hil.plant.air.cooler import intake_c
from hil.plant.air.psychrometrics import humidity_pct
from hil.plant.plant import Plant

_ERRORS = ((-2.0, -0.2), (1.0, 0.1))  # relative humidity %, temperature K
_DEAD_FROM_HOUR = 31 * 24
_POWER_CLASS, _FLOW_CLASS, _VALVE_FLOW_CLASS = 0.01, 0.01, 0.02
_TEMPERATURE_K, _AIR_K = 0.15, 0.3
_MIN_DROPOUT_S, _MAX_DROPOUT_S = 10, 300
_SECOND = 1_000_000
DROPOUT_PCT = 0.1
_SILENT = {
    "none": None,
    "flow": "flow_lpm",
    "dp": "dp_kpa",
    "return": "return_c",
    "facility": "fws_supply_c",
}
_NOT_SAMPLED = {"fws_return_c", "lowest_reading_c"}
"""Readings that no year has. A further name would move the dropouts of all others."""


class SampledSensors:
    """Fills the agent's `ControlReadings` from the plant."""

    def __init__(
        self,
        plant: Plant,
        policy: Policy,
        faults: str = "none",
        seed: int = 1,
        dropout_pct: float = DROPOUT_PCT,
        silent: str = "none",
    ) -> None:
        self.plant = plant
        self.readings = ControlReadings()
        self._has = policy.sensors
        self._dead = {"none": 0, "dead": 1, "both-dead": 2}[faults]
        self._dead_from_hour = _DEAD_FROM_HOUR
        rng = Random(f"{seed}/sensor errors")
        self._power, self._pump_power = (1.0 + _error(rng, _POWER_CLASS) for _ in range(2))
        self._flow = 1.0 + _error(rng, _FLOW_CLASS)
        self._valve_flow = 1.0 + _error(rng, _VALVE_FLOW_CLASS)
        self._supply_k, self._return_k, self._facility_k, self._pads_k = (
            _error(rng, _TEMPERATURE_K) for _ in range(4)
        )
        self._air_k = _error(rng, _AIR_K)
        self._rng, self._dropout = Random(f"{seed}/dropouts"), dropout_pct / 100.0
        self._silent = _SILENT[silent]
        self._lost: dict[str, int] = {}
        self._names = sorted(set(vars(self.readings)) - _NOT_SAMPLED)

    def sample(self, now: int = 0) -> ControlReadings:
        """Read all sensors that are polled each second."""
        plant, readings, has = self.plant, self.readings, self._has
        facility = plant.facility
        readings.supply_c = round(plant.supply_c + self._supply_k, 1)
        readings.return_c = round(plant.return_c + self._return_k, 1)
        readings.flow_lpm = round(plant.flow_lpm * self._flow, 1)
        readings.dp_kpa = round(plant.supply_kpa - plant.return_kpa, 1)
        readings.fws_supply_c = round(plant.fws_c + self._facility_k, 2)
        readings.valve_pct = round(plant.valve.position_pct, 2)
        readings.pump_pct = plant.pumps[0].speed_pct
        if has.facility_flow:
            readings.fws_flow_lpm = plant.fws_flow_lpm * self._valve_flow
        if has.it_meter:
            readings.load_kw = plant.it_kw * self._power
        if has.pump_meter:
            readings.pump_w = plant.pump_electric_w * self._pump_power
        if facility is not None and has.outdoor:
            readings.air_c = round(facility.air.dry_c + self._air_k, 2)
            if has.wet_air:
                intake = intake_c(facility.cooler, facility.kind, facility.air, facility.wet)
                readings.adiabatic_air_c = round(intake + self._pads_k, 2)
        for name, until in self._lost.items():
            if now < until:
                setattr(readings, name, None)
        if self._silent is not None:
            setattr(readings, self._silent, None)
        return readings

    def begin_minute(self, now: int) -> None:
        """End the dropouts that are over, and begin new ones."""
        if self._lost:
            self._lost = {name: until for name, until in self._lost.items() if now < until}
        rng = self._rng
        for name in self._names:
            if rng.random() < self._dropout:
                self._lost[name] = now + _SECOND * rng.randint(_MIN_DROPOUT_S, _MAX_DROPOUT_S)

    def sample_room(
        self, policy: Policy, room_c: float, dew_c: float, now: int, hour: int = 0
    ) -> None:
        """Read the humidity sensors, once a minute. `hour`: of the weather, not of the run."""
        dead = self._dead if hour >= self._dead_from_hour else 0
        for i, (humidity_error, error_k) in enumerate(_ERRORS):
            if i < dead:
                continue
            celsius = room_c + error_k
            # the noise of a living element: one count up and down
            noise = now // 60_000_000 % 2 / 100
            rh = min(humidity_pct(room_c, dew_c) + humidity_error + noise, 100.0)
            policy.set_humidity(i, round(celsius, 2), round(rh, 2), now)


def _error(rng: Random, limit: float) -> float:
    return rng.uniform(-limit, limit)
