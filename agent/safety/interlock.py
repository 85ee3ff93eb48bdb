# SPDX-License-Identifier: Apache-2.0
"""Interlocks: trips of the unit, their reset, and the watchdog.

Does not set the unit state; see `agent.safety.supervisor`. Does not prevent condensation; see
`agent.control.law.dew_point`: condensation never trips the unit. This component is optional
(section `safety`). It needs no other optional part: it uses readings of the local bus and claims
the actuators. It works without MQTT, receiver, meter, flash and optimiser.

The causes, their reactions and their latches: see `agent.safety.interlock_input`.

The time to the safe state has four parts:

- the delay of the input;
- at most one cycle until the bit is read;
- at most half a cycle until the loops step;
- the write, which has priority over all polls.

While the delay of a stop runs, the loads are at their least power.

The component services the watchdog once a cycle, at the end of the tick that has read the inputs,
stepped the loops and run the protection. A cycle that does not reach this point does not service
it. While the component is off after an exception, its latched outputs stay, the pumps run at least
at their fail-safe speed, and the loads are limited to `OFF_PERMILLE` of their rating.
"""

from agent.core.actuator import AT_LEAST, EXACT, PUMPS, VALVE, ClaimSpec
from agent.core.actuator import INTERLOCK as RANK
from agent.core.alarm_record import DEGRADED, AlarmRecord, alarm_text
from agent.core.component.base import Component
from agent.core.errors import CommandError
from agent.core.json_writer import JsonObject
from agent.safety.interlock_input import INTERLOCKS, SNAPSHOT_LENGTH, InterlockInput
from agent.safety.loop_watch import LEVEL_LOW, LoopWatch
from agent.safety.protection import BRANCH_SHUT, Protection
from agent.safety.row_resistance import ROW_RESISTANCE
from agent.safety.start_permit import StartPermit
from agent.safety.stop_order import StopOrder
from protocols.rounding import round_half_away
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.core.alarm_record import Condition
    from agent.core.component.base import Actions

INPUT_LOST = AlarmRecord("input_lost", DEGRADED, "cannot be read: inputs of", "device", True)

OFF_PERMILLE = 700
"""Cap of the loads while `safety` or `throttle` is off after an exception."""
_RUNNING_PCT = 5.0
_RETURN_BAND_K = 5.0
_RELEASE_K = 2.0
"""`overheat` ends this far below its limit, K: it is not on and off at the limit."""
_LEAK_US = 10 * SECOND
"""Time for which the pumps cool loads that did not go off, although coolant leaks."""


class Interlock(Component):
    """The component `safety`."""

    PORTS = ("watchdog",)
    CLAIMS = (
        ClaimSpec(VALVE, RANK, EXACT),
        ClaimSpec(PUMPS, RANK, EXACT),
        ClaimSpec(PUMPS, RANK, AT_LEAST),
    )
    PROVIDES = ("stop_order", "protection")
    REQUIRES = ("load_limits",)
    COMMANDS = ("acknowledge", "reset")
    ESSENTIAL = True
    agent: "ControlContext"

    def __init__(self, agent: "ControlContext", settings: "dict[str, Any]", port: int) -> None:
        super().__init__(agent, settings, port)
        self.inputs: list[tuple[InterlockInput, Any, str, bool]] = []
        for entry in settings["inputs"]:
            trip_input = InterlockInput(
                entry["kind"], entry["name"], entry.get("reaction", ""), entry["delay_s"]
            )
            session = agent.fieldbus.session(entry["device"])
            self.inputs.append((trip_input, session, entry["bit"], entry["when_lost"] == "act"))
        self._overheat = InterlockInput("overheat", "", "", settings["overheat_s"])
        self._dry_run = InterlockInput("dry_run", "", "", settings["dry_run_s"])
        trip_inputs = [trip_input for trip_input, _, _, _ in self.inputs] + [
            self._overheat,
            self._dry_run,
        ]
        self.by_priority: list[InterlockInput] = []
        for _, record in INTERLOCKS:
            self.by_priority.extend(
                [trip_input for trip_input in trip_inputs if trip_input.kind == record.code]
            )
        self.protection = Protection(agent, settings)
        self.loop_watch = LoopWatch(agent)
        self.start_permit = StartPermit(agent, self.protection)
        self.stop_order = StopOrder()
        self._lost_devices: list[str] = []
        self._kicked_at = 0
        self._cycle_complete = False
        self._open = False
        self._out: Actions = []

    def start(self, now: int) -> None:
        """Find the loads."""
        limits = self.agent.service("load_limits")
        self.protection.use_limits(limits)
        self.stop_order.use_limits(limits, self.agent.pumps)

    # The control cycle.

    def before_control(self, now: int, dt: float) -> None:
        """Read all inputs and claim the actuators."""
        self._scan_inputs(now)
        self.loop_watch.step(now)
        self.protection.is_level_low = self.loop_watch.is_low
        self.protection.is_filter_clogged = self.loop_watch.is_clogged
        self._limit_early()
        if self.start_permit.missing:
            is_read = None not in [cause.is_on for cause, _, _, _ in self.inputs]
            self.start_permit.step(now, is_read, self._is_stopping(now))
        self._claim(VALVE, now)
        self._claim(PUMPS, now)
        min_pct, reason = self.protection.pump_floor(now), "flow_low"
        if min_pct is None and self.protection.is_branch_starved():
            min_pct, reason = 100.0, BRANCH_SHUT.code
        if min_pct is not None:
            self.agent.arbiters[PUMPS].claim(RANK, "safety", AT_LEAST, min_pct, reason)
        self._cycle_complete = True

    def _limit_early(self) -> None:
        """Limit the loads while the delay of a stop runs, and during a fast loss of coolant."""
        limits = self.stop_order.limits
        if limits is not None:
            self.loop_watch.order_loads(limits)
            for cause in self.by_priority:
                if cause.is_on and not cause.active and cause.reaction[3] == 0:
                    limits.limit_all(cause.code)

    def _claim(self, actuator: str, now: int) -> None:
        """Claim the output of the first active cause that defines one for the actuator."""
        for trip_input in self.by_priority:
            if trip_input.active:
                _, _, valve_pct, pump_pct, _ = trip_input.reaction
                output = valve_pct if actuator == VALVE else pump_pct
                if actuator == PUMPS and output == 0:
                    output = self._stop_output(trip_input, now)
                if output is not None:
                    arbiter = self.agent.arbiters[actuator]
                    arbiter.claim(RANK, "safety", EXACT, output, trip_input.code)
                    return

    def _stop_output(self, trip_input: InterlockInput, now: int) -> "float | None":
        """Return the output of the pumps in a stop: None or the minimum until the loads are off."""
        is_leak = trip_input.kind == "leak_critical"
        if self.stop_order.may_stop(trip_input.code, now, _LEAK_US if is_leak else 0):
            return 0.0
        return self.agent.config.pressure.min_pct if self.stop_order.is_late(now) else None

    def demand(self) -> "tuple[float | None, float | None]":
        """Return the outputs for valve and pumps, percent; None: the loop controls the actuator."""
        valve: float | None = None
        pumps: float | None = None
        for trip_input in self.by_priority:
            if trip_input.active:
                _, _, valve_pct, pump_pct, _ = trip_input.reaction
                valve = valve_pct if valve is None else valve
                pumps = pump_pct if pumps is None else pumps
        return valve, pumps

    def while_off(self, now: int, dt: float) -> None:
        """Claim the outputs of the active causes: a trip and its order stay."""
        if self.stop_order.limits is not None:
            self.stop_order.limits.cap(OFF_PERMILLE, "part_off")
        self._claim(VALVE, now)
        self._claim(PUMPS, now)
        if self.demand()[1] is None:
            safe_pct = self.agent.config.pressure.safe_pct
            self.agent.arbiters[PUMPS].claim(RANK, "safety", AT_LEAST, safe_pct, "part_off")

    def retain(self, now: int) -> "list[str]":
        """Return the latched causes, the pumps that are blocked, the usual row, and a loss of
        coolant.
        """
        lines = [
            "latch %s %d %s" % (cause.code, cause.acknowledged, cause.snapshot)
            for cause in self.by_priority
            if cause.active and cause.reaction[4]
        ]
        protection = self.protection
        lines += ["stalled " + name for name in protection.stalled_pumps()]
        lines += ["curve " + words for words in protection.curve.words()]
        return lines + [
            words for words in (protection.resistance.words(), self.loop_watch.words()) if words
        ]

    def restore(self, line: str, now: int) -> bool:
        """Latch a cause again: only a person resets it, also after a restart."""
        words = line.split(" ", 3)
        if words[0] == "stalled" and len(words) == 2:
            return self.protection.restore_stalled(words[1], now)
        if words[0] in ("shut", "usual"):
            return self.protection.resistance.restore(words)
        if words[0] in ("low", "loss"):
            return self.loop_watch.restore(words)
        if words[0] == "curve":
            return self.protection.curve.restore(words[1:])
        for cause in self.by_priority:
            if words[0] == "latch" and len(words) == 4 and words[1] == cause.code:
                cause.restore(words[2] == "1", words[3][:SNAPSHOT_LENGTH], now)
                return cause.active
        return False

    def _scan_inputs(self, now: int) -> None:
        lost_devices = self._lost_devices
        lost_devices.clear()
        for trip_input, session, bit, trip_on_loss in self.inputs:
            lost = session.lost
            if lost and session.name not in lost_devices:
                lost_devices.append(session.name)
            if not lost or trip_on_loss:
                self._update_input(trip_input, lost or session.device.is_bit_on(bit), now)
        agent, settings = self.agent, self.settings
        supply_c = agent.supply_loop.sensor.value(now)
        if supply_c is not None:
            limit_c = settings["overheat_c"] - (_RELEASE_K if self._overheat.active else 0.0)
            is_hot = supply_c >= limit_c and self._return_agrees(supply_c, now)
            self._update_input(self._overheat, is_hot, now)
        kpa = agent.pressure_loop.sensor.value(now)
        if settings["dry_run_s"] > 0 and kpa is not None:
            is_dry = kpa < settings["dry_run_kpa"] and self._pumps_running()
            is_dry = is_dry and self.protection.confirms_dry()
            self._update_input(self._dry_run, is_dry, now)

    def _return_agrees(self, supply_c: float, now: int) -> bool:
        """Return whether the return is not much colder than the supply: then the supply is true."""
        sensor = self.agent.return_sensor
        return_c = None if sensor is None else sensor.value(now)
        return return_c is None or return_c >= supply_c - _RETURN_BAND_K

    def _update_input(self, trip_input: InterlockInput, on: bool, now: int) -> None:
        if trip_input.update(on, now):
            trip_input.snapshot = self._take_snapshot(now)[:SNAPSHOT_LENGTH]

    def _pumps_running(self) -> bool:
        for pump in self.agent.pressure_loop.pumps:
            speed = pump.speed()
            if speed is not None and speed > _RUNNING_PCT:
                return True
        return False

    def _take_snapshot(self, now: int) -> str:
        """Return the first-out snapshot of the unit: the measured values at the trip."""
        agent = self.agent
        speeds = [pump.speed() for pump in agent.pressure_loop.pumps]
        return "supply %s C, dp %s kPa, valve %s %%, pumps %s %%" % (
            _one_decimal(agent.supply_loop.sensor.value(now)),
            _one_decimal(agent.pressure_loop.sensor.value(now)),
            _one_decimal(agent.supply_loop.valve.position()),
            " ".join([_one_decimal(speed) for speed in speeds]),
        )

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the active conditions for the supervisor."""
        conditions: list[Condition] = [
            (
                trip_input.record,
                trip_input.name,
                trip_input.record.text + "; " + trip_input.snapshot,
            )
            for trip_input in self.by_priority
            if trip_input.active
        ]
        return (
            conditions
            + self.protection.active_conditions()
            + self.start_permit.active_conditions(now)
            + self.loop_watch.active_conditions()
            + [(INPUT_LOST, name, alarm_text(INPUT_LOST, name)) for name in self._lost_devices]
        )

    # The watchdog.

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the watchdog port."""
        self._open = kind == "opened" or (self._open and kind == "drained")

    def protect(self, now: int) -> None:
        """Step the protection."""
        self.protection.step(now, self._is_stopping(now))

    def _is_stopping(self, now: int) -> bool:
        return self.demand()[1] == 0 or self.stop_order.is_asked(now)

    def tick(self, now: int) -> None:
        """Service the watchdog if the control cycle has run in this tick."""
        if self._cycle_complete and self._open:
            self._out.append((self.port, "write", b"1"))
            self._kicked_at = now
        if self._cycle_complete:
            self.protection.mark_cycle(now)
        self._cycle_complete = False

    def outbox(self) -> "Actions":
        """Return the requests for the watchdog."""
        out, self._out = self._out, []
        return out

    # Operator commands.

    def handle_command(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Execute `acknowledge` or `reset` for one `code` or for all."""
        if name == "acknowledge":
            return self.acknowledge(arguments.get("code"))
        if name == "reset":
            return self.reset(arguments.get("code"))
        return None

    def acknowledge(self, code: "str | None" = None) -> str:
        """Acknowledge active causes. Raises `CommandError` if `code` is unknown."""
        matching = [trip_input for trip_input in self._matching(code) if trip_input.active]
        for trip_input in matching:
            trip_input.acknowledged = True
        return "acknowledged: " + (
            " ".join([trip_input.code for trip_input in matching]) or "nothing"
        )

    def reset(self, code: "str | None" = None) -> str:
        """Reset latched causes. Raises `CommandError` if an input is on or `code` is unknown.

        `row_resistance`: with a shut branch, the row as it is becomes the usual one. `level_low`:
        so does the static pressure as it is.
        """
        if (code == LEVEL_LOW.code and self.loop_watch.accept()) or (
            code == ROW_RESISTANCE.code and self.protection.resistance.accept()
        ):
            return "reset: %s" % code
        matching = [
            trip_input
            for trip_input in self._matching(code)
            if trip_input.active and trip_input.reaction[4]
        ]
        for trip_input in matching:
            if trip_input.is_on:
                raise CommandError("%s is still on" % trip_input.code)
        for trip_input in matching:
            trip_input.active = False
        return "reset: " + (" ".join([trip_input.code for trip_input in matching]) or "nothing")

    def _matching(self, code: "str | None") -> "list[InterlockInput]":
        matching = [
            trip_input for trip_input in self.by_priority if code is None or trip_input.code == code
        ]
        if not matching:
            raise CommandError("no cause is named %s" % code)
        return matching

    def status(self, now: int) -> "object":
        """Return the active causes with their snapshots, the last service of the watchdog, and the
        start permissives that are missing.
        """
        valve, pumps = self.demand()
        return JsonObject(
            [
                ("valve_forced", valve is not None),
                ("pumps_forced", pumps is not None),
                ("fed_us", self._kicked_at if self._kicked_at else None),
                ("not_shown", self.start_permit.missing),
                (
                    "causes",
                    [
                        JsonObject(
                            [
                                ("code", trip_input.code),
                                ("reaction", trip_input.reaction[0]),
                                ("latched", trip_input.reaction[4]),
                                ("on", bool(trip_input.is_on)),
                                ("acknowledged", trip_input.acknowledged),
                                ("at_us", trip_input.tripped_at),
                                ("evidence", trip_input.snapshot),
                            ]
                        )
                        for trip_input in self.by_priority
                        if trip_input.active
                    ],
                ),
            ]
        )


def _one_decimal(value: "float | None") -> str:
    """Return a value with one decimal. It uses integers, so both interpreters give equal text."""
    if value is None:
        return "?"
    tenths = round_half_away(value * 10)
    sign = "-" if tenths < 0 else ""
    tenths = tenths if tenths >= 0 else -tenths
    return "%s%d.%d" % (sign, tenths // 10, tenths % 10)
