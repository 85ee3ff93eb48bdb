# SPDX-License-Identifier: Apache-2.0
"""Commands of operators for manual control: operating mode, lead pump, pump mode, proof test.

Does not act in a cycle; see `agent.control.operation.manual`. Loaded with the first command.
"""

from agent.control.law.pump_speed import DELTA_T, DP, FLOW
from agent.control.operation.manual import LONGEST_MIN
from agent.core.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.operation.manual import ManualControl

OPERATING_MODES = (
    ("off", 0.0, 0.0),
    ("fill", 0.0, 30.0),
    ("vent", 0.0, 60.0),
    ("drain", 100.0, 0.0),
)
"""(operating mode, valve and pumps in percent). `hand` has its own values, `auto` has none."""


def execute(manual: "ManualControl", name: str, arguments: "Any", now: int) -> "str | None":
    """Execute `override`, `release`, `rotate`, `hold`, `proof` or `calibrate`."""
    if name == "override":
        return override(
            manual,
            str(arguments.get("mode", "hand")),
            arguments.get("minutes", 10),
            arguments.get("valve_pct"),
            arguments.get("pump_pct"),
            now,
        )
    if name == "release":
        manual.end_mode()
        return "automatic"
    if name == "rotate":
        return rotate(manual)
    if name == "hold":
        mode = str(arguments.get("mode", DP))
        return set_pump_mode(manual, mode, arguments.get("setpoint_milli"))
    if name == "proof":
        return start_proof_test(manual, str(arguments.get("what", "valve")))
    if name == "calibrate":
        manual.calibration.begin()
        return "see the status in a minute"
    return None


def override(
    manual: "ManualControl",
    mode: str,
    minutes: int,
    valve_pct: "int | None",
    pump_pct: "int | None",
    now: int,
) -> str:
    """Start an operating mode for 1 to 240 `minutes`. Raises `CommandError`."""
    if type(minutes) is not int or not 1 <= minutes <= LONGEST_MIN:
        raise CommandError("minutes: 1 to %d" % LONGEST_MIN)
    outputs = [(valve, pumps) for name, valve, pumps in OPERATING_MODES if name == mode]
    if mode == "hand":
        for percent in (valve_pct, pump_pct):
            if type(percent) is not int or not 0 <= percent <= 100:
                raise CommandError("hand needs valve_pct and pump_pct, 0 to 100")
        outputs = [(float(valve_pct or 0), float(pump_pct or 0))]
    if not outputs:
        raise CommandError(
            "mode: one of hand " + " ".join([name for name, _, _ in OPERATING_MODES])
        )
    manual.begin_mode(mode, minutes, outputs[0], now)
    return "%s for %d min" % (mode, minutes)


def rotate(manual: "ManualControl") -> str:
    """Change the lead pump. Raises `CommandError` if no other pump is available."""
    lead = "" if manual.pump_group is None else manual.pump_group.rotate()
    if not lead:
        raise CommandError("no other pump is available")
    return "lead is " + lead


def set_pump_mode(manual: "ManualControl", mode: str, setpoint_milli: "int | None") -> str:
    """Set the control mode of the pumps: `dp`, `flow` (L/min) or `delta_t` (K), until a
    restart. Without `setpoint_milli` (thousandths) the present value is the set-point. Raises
    `CommandError`.
    """
    pump_group, readings = manual.pump_group, manual.readings
    if pump_group is None or mode not in (DP, FLOW, DELTA_T):
        raise CommandError("mode: dp, flow or delta_t, and a pair of pumps")
    value = None
    if mode != DP:
        low, high = (1, 20_000) if mode == FLOW else (2, 30)
        value = readings.flow_lpm
        if mode == DELTA_T:
            known = readings.return_c is not None and readings.supply_c is not None
            value = (readings.return_c or 0.0) - (readings.supply_c or 0.0) if known else None
        if setpoint_milli is not None:
            value = setpoint_milli / 1000 if type(setpoint_milli) is int else None
        if value is None or not low <= value <= high:
            raise CommandError("setpoint_milli: %d to %d thousand" % (low, high))
    pump_group.set_mode(mode, value)
    return "pumps hold " + mode


def start_proof_test(manual: "ManualControl", actuator: str) -> str:
    """Start a proof test, `valve` or `pumps`. Raises `CommandError`."""
    if manual.proofs.running:
        raise CommandError("a proof of %s runs" % manual.proofs.running)
    if manual.agent.supervisor.state != "normal":
        raise CommandError("only while the state is normal")
    if actuator == "valve":
        position = manual.agent.valve.position()
        if position is None:
            raise CommandError("valve position unknown")
        manual.proofs.begin_valve(position)
    elif actuator == "pumps":
        rotate(manual)
        manual.proofs.begin_pumps()
    else:
        raise CommandError("what: valve or pumps")
    return "proof of %s begun" % actuator
