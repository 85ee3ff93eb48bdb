# SPDX-License-Identifier: Apache-2.0
"""Component `cooling`: model-based loops, pump group, fans, sensor validation and operating modes.

Does not contain the basic PI loops (`agent.control.loop`) and
does not decide trips (`agent.safety.interlock`). Each part needs its key in the section:

    exchanger   a supply loop with a model (`agent.control.loop.supply_feedforward`)
    pumps       a loop for two pumps: modes, rotation, failover (`agent.control.pump_group`)
    dew         a minimum of the supply set-point (`agent.control.law.dew_point`)
    optimum     set-points of least power (`agent.control.law.optimum`); no part depends on it
    fans        the fans of the cooler, on drives on the bus (`agent.control.fan_group`)

Always active: readings and their validation (`agent.control.sensors`), a check of the valve
position, detection of drives in local mode, operating modes and proof tests
(`agent.control.operation.manual`), and a watch of the supply loop for oscillation, stiction and
travel (`agent.control.watch.valve_watch`).

In each cycle, `read_inputs` takes the readings and checks them; `before_control` moves the
set-points and makes claims. The supervisor gets all findings as active conditions.
"""

from agent.control.actuator.actuator_check import DriveSpeedCheck, lock_local_drives
from agent.control.actuator.valve_check import ValveCheck
from agent.control.law.cooling import ControlReadings, CoolingControl, clear_readings
from agent.control.operation.manual import ManualControl
from agent.control.sensors import ControlSensors
from agent.control.watch.learned_store import LearnedStore
from agent.control.watch.proof_store import ProofStore
from agent.control.watch.valve_watch import ValveWatch
from agent.core.actuator import (
    AT_LEAST,
    AT_MOST,
    EXACT,
    FANS,
    INTERLOCK,
    LOCKOUT,
    MANUAL,
    PROOF,
    PROTECTION,
    PUMPS,
    VALVE,
    ClaimSpec,
)
from agent.core.alarm_record import DEGRADED, NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.errors import CommandError
from agent.core.json_writer import JsonObject
from agent.telemetry.status import to_milli

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.control.dew_control import DewControl
    from agent.control.fan_group import FanGroup
    from agent.control.loop.supply_feedforward import SupplyLoopFf
    from agent.control.operation.tuning import LoopTuning
    from agent.control.pump_group import PumpGroup
    from agent.core.alarm_record import Condition
    from agent.core.component.base import Actions
    from agent.core.context import LoadLimitsView

HUMIDITY_SENSOR = AlarmRecord(
    "humidity_sensor", DEGRADED, "%d of %d humidity sensors are believed", "", True
)
HUMIDITY_APART = AlarmRecord("humidity_apart", DEGRADED, "humidity sensors differ", "", True)
FOULING = AlarmRecord(
    "fouling", NORMAL, "the exchanger transfers less heat than a clean one", "", True
)
_FOULED, _CLEAN = 0.7, 0.75
PUMPS_WAIT = AlarmRecord("pumps_wait", DEGRADED, "pumps wait for their slot to start", "", True)

_OFF_K_S = 1 / 10
"""Rate of the set-point to the fallback while the component is off, K/s: a sudden change of the
room moves the dew point by some kelvin in a minute."""


class CoolingComponent(Component):
    """The component `cooling`. Offers its loops and its supply sensor as services."""

    PORTS = ("store",)
    CLAIMS = (
        ClaimSpec(VALVE, MANUAL, EXACT),
        ClaimSpec(VALVE, PROOF, EXACT),
        ClaimSpec(VALVE, INTERLOCK, AT_MOST),
        ClaimSpec(VALVE, PROTECTION, AT_MOST),
        ClaimSpec(PUMPS, PROTECTION, AT_LEAST),
        ClaimSpec(PUMPS, MANUAL, EXACT),
        ClaimSpec(PUMPS, LOCKOUT, EXACT),
        ClaimSpec(FANS, LOCKOUT, EXACT),
    )
    PROVIDES = (
        "supply_sensor",
        "return_sensor",
        "flow_sensor",
        "supply_loop",
        "pressure_loop",
        "fan_group",
    )
    POINTS = (("ValveHolderRank", "1", 1, 1), ("PumpHolderRank", "1", 1, 1))
    REQUIRES = ("load_limits", "protection")
    COMMANDS = ("override", "release", "rotate", "hold", "proof", "calibrate", "autotune")
    agent: "ControlContext"

    def __init__(self, agent: "ControlContext", settings: "dict[str, Any]", port: int) -> None:
        super().__init__(agent, settings, port)
        self.readings = ControlReadings()
        self.cooling: CoolingControl | None = None
        self.supply_loop: SupplyLoopFf | None = None
        self.pressure_loop: PumpGroup | None = None
        self.fan_group: FanGroup | None = None
        self.dew_control: DewControl | None = None
        self._limits: LoadLimitsView | None = None
        self._conditions: list[Condition] = []
        self._valve_check = ValveCheck(agent.valve, settings)
        self._speed_check = DriveSpeedCheck(agent.pumps)
        self._ticks_since_poll = 0
        self._trip_handled = self._is_fouled = False
        self.sensors = ControlSensors(agent, settings, self.readings)
        self.supply_sensor = self.sensors.supply
        self.return_sensor, self.flow_sensor = self.sensors.return_sensor, self.sensors.flow
        if "exchanger" in settings:
            self._build_supply_loop()
        if "pumps" in settings:
            self._build_pump_group()
        self.valve_watch: ValveWatch | None = None
        self.manual = ManualControl(agent, self.readings, self.pressure_loop)
        self.tuning: LoopTuning | None = None
        self.proof_store = ProofStore(self.manual.proofs, port)
        self.learned_store = LearnedStore(port)

    def _build_supply_loop(self) -> None:
        """Build the supply loop with a model of the exchanger."""
        from agent.control.loop.supply_feedforward import SupplyLoopFf  # noqa: PLC0415 - only where there is a model

        agent, settings = self.agent, self.settings
        config = agent.config.supply
        sections = {
            "exchanger": settings["exchanger"],
            "supply": {
                "setpoint_c": config.setpoint,
                "low_c": settings["low_c"],
                "high_c": settings["high_c"],
                "min_pct": config.min_pct,
                "max_pct": config.max_pct,
                "rate_pct_per_s": config.rate_pct_per_s,
                "lag_s": settings["lag_s"],
            },
        }
        has_dew = "dew" in settings
        if has_dew:
            dew = dict(settings["dew"])
            dew["sensors"] = len(dew["sensors"])
            sections["dew"] = dew
        if "optimum" in settings:
            sections["optimum"] = settings["optimum"]
        if "fans" in settings:
            sections["fans"] = settings["fans"]
        self.cooling = CoolingControl(sections)
        if has_dew:
            from agent.control.dew_control import DewControl  # noqa: PLC0415 - only with its section

            self.dew_control = DewControl(agent, self.cooling, self.readings)
        if "fans" in settings:
            from agent.control.fan_group import FanGroup  # noqa: PLC0415 - only where there are fans

            self.fan_group = FanGroup(agent, self.cooling, settings["fans"], self.readings)
        self.supply_loop = SupplyLoopFf(
            config,
            self.supply_sensor,
            agent.valve,
            agent.arbiters[VALVE],
            self.cooling,
            self.readings,
        )

    def _build_pump_group(self) -> None:
        """Build the pressure loop for a group of pumps."""
        from agent.control.pump_group import PumpGroup  # noqa: PLC0415 - only where it is wanted

        self.pressure_loop = PumpGroup(
            self.agent, self.sensors.dp, self.settings["pumps"], self.readings
        )

    def start(self, now: int) -> None:
        """Watch the supply loop: all loops exist now. Find the loads."""
        self.valve_watch = ValveWatch(self.agent.supply_loop, self.readings)
        self._limits = self.agent.service("load_limits")
        self.sensors.use_protection(self.agent.service("protection"))
        if self.dew_control is not None:
            self.dew_control.use_limits(self._limits)

    # The control cycle.

    def read_inputs(self, now: int, dt: float) -> None:
        """Read and check the sensors."""
        self._trip_handled = False
        exchanger = None if self.cooling is None else self.cooling.exchanger
        self._conditions = self.sensors.read(exchanger, now, dt)
        if self.sensors.plausibility is not None:
            self.learned_store.step(self.sensors.plausibility, now)

    def before_control(self, now: int, dt: float) -> None:
        """Move the set-points, lock out drives in local mode, claim for a mode or a proof test."""
        if self.cooling is not None:
            self._update_setpoints(self.cooling, now, dt)
        if self.dew_control is not None:
            is_manual, is_proof = self.manual.mode != "auto", self.manual.proofs.running != ""
            self._conditions += self.dew_control.step(now, dt, is_manual, is_proof)
            if self.fan_group is not None:
                self.fan_group.set_near_dew(self.dew_control.guard.approaching)
        self._conditions += self._valve_check.step(self.cooling, self.readings, dt)
        self._check_drives(dt)
        if self.valve_watch is not None:
            self.valve_watch.step(dt, self.supply_sensor.uncertainty > 0.0)
        self.manual.step(now, dt)
        if self.tuning is not None:
            self.tuning.step(dt)
        self.proof_store.check_records(self.agent.clock.utc(now))
        if self.manual.calibration.state == "running":
            supply_c, return_c = self.sensors.read_raw(now)
            self.manual.calibrate(supply_c, return_c, dt)

    def while_off(self, now: int, dt: float) -> None:
        """Let the loops control without the checks and the model; keep the modes of people.

        The readings of the model end, so the loops use the sensors themselves. The set-point rises
        to the dew point fallback, because the humidity is not checked meanwhile.
        """
        readings, cooling = self.readings, self.cooling
        clear_readings(readings)
        if cooling is not None and cooling.dew_limit is not None:
            fallback_c = min(cooling.dew_limit.fallback_c, self.settings["high_c"])
            cooling.raise_setpoint(fallback_c, _OFF_K_S * dt)
            guard_c, supply_c = cooling.dew_limit.guard_c, self.supply_sensor.value(now)
            if guard_c is not None and supply_c is not None and supply_c <= guard_c:
                self.agent.arbiters[VALVE].claim(INTERLOCK, "dew", AT_MOST, 0.0, "part_off")
        self._conditions = []
        self.agent.valve.set_limited(False)
        if self.fan_group is not None:
            self.fan_group.set_near_dew(False)
        self._check_drives(dt)
        self.manual.step(now, dt)

    def _check_drives(self, dt: float) -> None:
        """Lock out drives in local mode, and compare speeds with commands."""
        arbiters = self.agent.arbiters
        self._conditions += self._speed_check.step(dt)
        self._conditions += lock_local_drives(arbiters[PUMPS], self.agent.pumps)
        if self.fan_group is not None:
            self._conditions += lock_local_drives(arbiters[FANS], self.fan_group.drives)

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store."""
        self.proof_store.event(kind)
        self.learned_store.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Handle the stored records."""
        self.proof_store.receive(data)
        self.learned_store.receive(data)

    def retain(self, now: int) -> "list[str]":
        """Return the manual mode, the order of the pumps, the suspect sensors, the exchanger."""
        lines = self.manual.retain(now) + self.sensors.retain()
        if self.pressure_loop is not None:
            lines.append("pumps " + " ".join([str(i) for i in self.pressure_loop.order]))
        if self.cooling is not None and self.cooling.dew_limit is not None:
            lines += ["frozen %d" % i for i in self.cooling.dew_limit.frozen_sensors()]
        return lines

    def restore(self, line: str, now: int) -> bool:
        """Continue a manual mode, and suspect the sensors of before the restart."""
        words = line.split(" ")
        if words[0] == "mode":
            return self.manual.restore(words[1:], now)
        if words[0] == "suspect" and len(words) == 3:
            return self.sensors.restore(words[1], words[2])
        if words[0] == "pumps" and self.pressure_loop is not None:
            return self.pressure_loop.restore_order(words[1:])
        if words[0] == "exchanger" and len(words) == 3:
            return self.sensors.exchanger_trend.restore(words[1], words[2])
        limit = None if self.cooling is None else self.cooling.dew_limit
        if words[0] == "frozen" and limit is not None and len(words) == 2:
            return limit.restore_frozen(words[1])
        return False

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        return self.proof_store.outbox() + self.learned_store.outbox()

    def _update_setpoints(self, cooling: CoolingControl, now: int, dt: float) -> None:
        """Ramp the supply set-point. Its limits come from the dew point and the optimiser."""
        for i, (air, humidity) in enumerate(self.sensors.room_sensors):
            cooling.add_humidity(i, air.value(now), humidity.value(now), now)
        if self.sensors.outdoor is not None:
            self.sensors.read_optimum(now)
            cooling.optimise(self.readings, now)
            self._optimise_dp(cooling, dt)
        else:
            cooling.set_target(self.agent.supply_loop.config.setpoint)
        limits = self._limits
        cooling.want_cold(limits is not None and limits.is_cold_needed)
        cooling.set_uncertainty(
            max(self.supply_sensor.uncertainty, self.sensors.exchanger_trend.error_k),
            self.readings.low_flow_k,
        )
        cooling.ramp_setpoint(now, dt)
        dew_limit = cooling.dew_limit
        if dew_limit is not None:
            if dew_limit.guard_c is not None and dew_limit.valid_count < len(
                self.sensors.room_sensors
            ):
                text = HUMIDITY_SENSOR.text % (
                    dew_limit.valid_count,
                    len(self.sensors.room_sensors),
                )
                self._conditions.append((HUMIDITY_SENSOR, "", text))
            if dew_limit.sensors_disagree:
                self._conditions.append((HUMIDITY_APART, "", HUMIDITY_APART.text))

    def _optimise_dp(self, cooling: CoolingControl, dt: float) -> None:
        """Ramp the dP set-point to that of the optimiser."""
        loop = self.agent.pressure_loop
        setpoint = loop.config.setpoint
        loop.set_setpoint(cooling.ramp_dp(loop.setpoint, setpoint, self.readings, dt))

    def tick(self, now: int) -> None:
        """Poll running drives between two cycles and start the failover after a trip."""
        pump_group = self.pressure_loop
        if pump_group is None:
            return
        poll_period_us = self.settings["pumps"]["glance_ms"] * 1000
        if not poll_period_us:
            return
        self._ticks_since_poll += 1
        if not self._trip_handled and pump_group.running_pump_tripped():
            self._trip_handled = True
            pump_group.fail_over(now)
        if self._ticks_since_poll * self.agent.ticks.period >= poll_period_us:
            self._ticks_since_poll = 0
            pump_group.fast_poll()

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the active conditions for the supervisor."""
        conditions = self._conditions
        if self.pressure_loop is not None and self.pressure_loop.start_pending(now):
            conditions = conditions + [(PUMPS_WAIT, "", PUMPS_WAIT.text)]
        if self.fan_group is not None:
            conditions = conditions + self.fan_group.active_conditions()
        if self.cooling is not None:
            limit = _CLEAN if self._is_fouled else _FOULED
            self._is_fouled = self.cooling.exchanger.ua_factor < limit
            if self._is_fouled:
                conditions = conditions + [(FOULING, "", FOULING.text)]
        if self.valve_watch is not None:
            conditions = conditions + self.valve_watch.active_conditions()
        return conditions + self.manual.active_conditions(now)

    def values(self, now: int) -> "list[int | None]":
        """Return the ranks of the holders of valve and pumps; see `agent.core.actuator`."""
        arbiters = self.agent.arbiters
        return [arbiters[VALVE].holder_rank(), arbiters[PUMPS].holder_rank()]

    def handle_command(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Execute a command; see the modules of `agent.control.operation`."""
        if name == "autotune":
            return self._loop_tuning().handle_command(arguments)
        if name == "proof" and self.tuning is not None and self.tuning.is_running:
            raise CommandError("autotune runs")
        from agent.control.operation import manual_commands  # noqa: PLC0415 - rare

        return manual_commands.execute(self.manual, name, arguments, now)

    def _loop_tuning(self) -> "LoopTuning":
        """Load the code of the command `autotune`."""
        if self.tuning is None:
            from agent.control.operation.tuning import LoopTuning  # noqa: PLC0415 - rare

            self.tuning = LoopTuning(
                self.agent, self.settings, self.readings, self.manual, self.cooling
            )
        return self.tuning

    def status(self, now: int) -> "object":
        """Return modes, set-points, learned factors and proof records."""
        cooling, pump_group, manual = self.cooling, self.pressure_loop, self.manual
        fields: list[tuple[str, object]] = [("mode", manual.mode)]
        if manual.ended_by:
            fields.append(("ended_by", manual.ended_by))
        if cooling is not None:
            fields += [
                ("floor_milli_c", to_milli(cooling.min_setpoint_c)),
                ("setpoint_milli_c", to_milli(cooling.setpoint_c)),
                (
                    "dew_milli_c",
                    to_milli(None if cooling.dew_limit is None else cooling.dew_limit.dew_c),
                ),
                ("fouling_milli", to_milli(cooling.exchanger.ua_factor)),
                ("scale_milli", to_milli(cooling.exchanger.valve_flow_factor)),
                ("curve_milli", [to_milli(factor) for factor in cooling.exchanger.shape]),
                ("wave_s", int(cooling.feedforward.wave.period_s)),
                ("wave", cooling.feedforward.wave.active),
            ]
        if self.valve_watch is not None:
            fields += self.valve_watch.status()
        if pump_group is not None:
            fields += [
                ("holds", pump_group.mode),
                ("holds_milli", to_milli(pump_group.active_setpoint())),
                ("lead", pump_group.pumps[pump_group.order[0]].session.name),
                ("shares_milli", [to_milli(fraction) for fraction in pump_group.speed_fractions]),
                ("rotations", pump_group.rotations),
                ("output_milli_pct", to_milli(pump_group.controller.output)),
            ]
        if self.fan_group is not None and cooling is not None:
            fields += [
                ("fans_milli_pct", to_milli(cooling.fan_pct)),
                ("fans_full", self.fan_group.at_full_speed),
            ]
        fields += manual.proof_status()
        if self.proof_store.lines:
            fields.append(("kept", self.proof_store.lines))
        fields += manual.calibration_status()
        if self.tuning is not None:
            fields += self.tuning.status()
        return JsonObject(fields)
