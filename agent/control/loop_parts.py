# SPDX-License-Identifier: Apache-2.0
"""The sensors, actuators and basic loops of a unit, by its configuration.

Does not control. A loop of the configuration has one of three forms:

- with actuators (`valve`, `pumps`): the agent controls them, see `agent.control.loop`;
- with `cdu`: a CDU that controls itself gets the set-point, see `agent.control.actuator.set_point`;
- with neither: the agent only monitors.
"""

from agent.control.actuator.pump import PumpActuator
from agent.control.actuator.valve import ValveActuator
from agent.control.loop.pressure_loop import PressureLoop
from agent.control.loop.supply_loop import SupplyLoop
from agent.fieldbus.sensor import PointSensor, pressure_sensor, sensor_if_present

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.core.config_records import Config
    from agent.core.context import SensorView
    from agent.fieldbus.fieldbus import Fieldbus


class LoopParts:
    """The parts from which loops are built. `valve`: without one, an object without position."""

    def __init__(self, config: "Config", fieldbus: "Fieldbus") -> None:
        supply, pressure, stale = config.supply, config.pressure, config.stale_us
        self.supply_sensor: SensorView
        self.return_sensor: PointSensor | None = None
        self.dp_sensor: SensorView
        if supply.sensor:
            cdu = fieldbus.session(supply.sensor)
            self.supply_sensor = PointSensor(cdu, "SupplyTemperatureCelsius", stale)
            self.return_sensor = sensor_if_present(cdu, "ReturnTemperatureCelsius", stale)
        else:
            self.supply_sensor = _no_sensor()
        if supply.is_driven:
            self.valve: Any = ValveActuator(fieldbus.claim_outputs(supply.actuators[0]))
        else:
            self.valve = _no_valve()
        if pressure.sensor:
            self.dp_sensor = pressure_sensor(fieldbus.session(pressure.sensor), stale)
        else:
            self.dp_sensor = _no_sensor()
        names = pressure.actuators if pressure.is_driven else []
        self.pumps = [PumpActuator(fieldbus.claim_outputs(name)) for name in names]


def _no_sensor() -> "SensorView":
    from agent.control.actuator.set_point import NoSensor  # noqa: PLC0415 - few units need it

    return NoSensor()


def _no_valve() -> "Any":
    from agent.control.actuator.set_point import NO_VALVE  # noqa: PLC0415 - few units need it

    return NO_VALVE


def make_loops(agent: "ControlContext") -> "tuple[Any, Any]":
    """Return the loops of temperature and pressure: those that a component offers, else basic ones.

    `agent` has their parts.
    """
    sensor = agent.service("supply_sensor") or agent.supply_sensor
    return (
        agent.service("supply_loop") or _make_supply_loop(agent, sensor),
        agent.service("pressure_loop") or _make_pressure_loop(agent),
    )


def _make_supply_loop(agent: "ControlContext", sensor: "SensorView") -> "Any":
    config = agent.config.supply
    if config.is_driven:
        return SupplyLoop(config, sensor, agent.valve, agent.arbiters.get("valve"))
    from agent.control.actuator.set_point import SetPointLoop  # noqa: PLC0415 - few units need it

    return SetPointLoop(config, sensor, agent.fieldbus, "supply")


def _make_pressure_loop(agent: "ControlContext") -> "Any":
    config = agent.config.pressure
    if config.is_driven:
        return PressureLoop(config, agent.dp_sensor, agent.pumps, agent.arbiters.get("pumps"))
    from agent.control.actuator.set_point import SetPointLoop  # noqa: PLC0415 - few units need it

    return SetPointLoop(config, agent.dp_sensor, agent.fieldbus, "dp")
