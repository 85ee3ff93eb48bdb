# SPDX-License-Identifier: Apache-2.0
"""Step `tune` of `coldloop commission`: a step test of each loop, its gains in `unit.json`.

Does not control the CDU: one output moves at a time, the others keep their values. A loop is left
as it is if the technician does not permit its test, or if its value does not answer. Then it keeps
its gains, and the report says so. The supply loop needs a heat load. A test that a change of the
load has disturbed is repeated. A CDU that controls
itself has no gains of the agent.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.core.tunable import TUNABLES
from drivers.errors import PortError
from drivers.tools.terminal.activity_line import ActivityLine
from hil.io.regular_file import write_whole
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.output_tests import find_unseen_alarms
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.output_watch import OutputWatch, SideEffect
from hil.tools.commission.outputs.write_test import DONE, FAILED, LEFT, NOT_TESTED, REFUSED
from hil.tools.commission.tuning.step_response import (
    Gains,
    TuningError,
    check_direction,
    find_gains,
)
from hil.tools.commission.tuning.step_test import LoopLimits, StepResult, StepTest

Device = dict[str, Any]

_LIMITS = {
    "supply": LoopLimits(
        step_pct=5.0,
        least_change=0.4,
        largest_change=4.0,
        answer_s=90.0,
        longest_s=300.0,
        unit="K",
    ),
    "dp": LoopLimits(
        step_pct=4.0,
        least_change=1.5,
        largest_change=40.0,
        answer_s=10.0,
        longest_s=40.0,
        unit="kPa",
    ),
}
_SIGNS = {"supply": -1, "dp": 1}
"""Loop: sign of its response. More valve cools the supply; more pump speed raises the pressure."""
_OUTPUTS = {"supply": ("valve", "valve"), "dp": ("pumps", "pump")}
"""Loop: key of its actuator in the configuration, and the role in the profile."""
GAIN_KEYS = {"supply": "gain_pct_per_k", "dp": "gain_pct_per_kpa"}
_SUPPLY_MAX_C = 40.0
_TRIES, _PAUSE_S = 3, 10.0
_DIGITS = 3


class LoopStepTests:
    """The tests of one unit. `open_device` opens a device; `guard` keeps its words.

    `refuse`: why no output of the device with this name is moved; empty if it can be.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        dialogue: Dialogue,
        open_device: Callable[[Device, DeviceAccess | None], DeviceAccess],
        guard: OutputGuard,
        refuse: Callable[[str], str],
    ) -> None:
        self.arguments, self.dialogue = arguments, dialogue
        self._open, self._guard, self._refuse = open_device, guard, refuse
        self._devices: list[Device] = []

    def run(self, unit_file: Path, devices: list[Device]) -> list[dict[str, Any]]:
        """Test each loop with an actuator, and write the gains. Return the results."""
        unit = load_unit(unit_file)
        self._devices = devices
        by_name = {device["name"]: device for device in devices}
        results = []
        with OutputWatch(self._guard, devices, self._open_one, self.dialogue.say) as watch:
            for loop, (key, _) in _OUTPUTS.items():
                settings = unit.raw["control"].get(loop, {})
                actuator = settings.get(key)
                actuator = actuator[0] if isinstance(actuator, list) else actuator
                if not actuator:
                    continue
                sensor = by_name[settings["sensor"]]
                result = self._tune(unit, loop, by_name[actuator], sensor, watch)
                results.append(result)
                self.dialogue.say(f"  {describe(result)}")
        _write_gains(unit_file, results)
        return results

    def _open_one(self, device: Device) -> DeviceAccess:
        return self._open(device, None)

    def _tune(
        self, unit: UnitFile, loop: str, actuator: Device, sensor: Device, watch: OutputWatch
    ) -> dict[str, Any]:
        limits = _LIMITS[loop]
        point = getattr(unit.compiled[actuator["name"]], _OUTPUTS[loop][1])["setpoint"]
        result = {"loop": loop, "point": f"{actuator['name']}.{point}", "state": NOT_TESTED}
        refusal = self._refuse(actuator["name"]) or self._refuse(sensor["name"])
        if refusal:
            return {**result, "state": REFUSED, "reason": refusal}
        if self._guard.problems():
            return {**result, "reason": "another output is not at its old value"}
        question = (
            f"{result['point']}: step test of {limits.step_pct:g} %, up to "
            f"{2 * limits.longest_s:.0f} s, to tune the loop?"
        )
        if not (
            self.arguments.tune
            or (not self.dialogue.assume_yes and self.dialogue.confirm(question))
        ):
            return {**result, "reason": ""}
        refusal = find_unseen_alarms(self._devices, self.dialogue)
        if refusal:
            return {**result, "state": REFUSED, "reason": refusal}
        watch.start()
        try:
            with ActivityLine(f"step test of {result['point']}"):
                tested, tries = self._test_until_quiet(unit, loop, actuator, sensor, point)
        except PortError as error:
            return {**result, "state": FAILED, "reason": str(error)}
        if tested.state == LEFT:
            watch.leave(result["point"])
        tested = _add_effects(tested, watch.settle())
        found = {**result, **tested._asdict(), "tries": tries}
        if tested.process is None:
            return found
        try:
            check_direction(tested.process, _SIGNS[loop])
        except TuningError as error:
            return {**found, "process": None, "state": FAILED, "reason": str(error)}
        gains = _limit(loop, find_gains(tested.process))
        return {**found, "process": tested.process._asdict(), "gains": gains}

    def _test_until_quiet(
        self, unit: UnitFile, loop: str, actuator: Device, sensor: Device, point: str
    ) -> tuple[StepResult, int]:
        """Test again, a few times, while the load changes; return the last result and the tries."""
        number, tested = 1, self._test(unit, loop, actuator, sensor, point)
        while tested.is_disturbed and number < _TRIES:
            self.dialogue.say(f"  {loop} loop: {tested.reason}; the test is repeated")
            time.sleep(_PAUSE_S)
            number, tested = number + 1, self._test(unit, loop, actuator, sensor, point)
        return tested, number

    def _test(
        self, unit: UnitFile, loop: str, actuator: Device, sensor: Device, point: str
    ) -> StepResult:
        names = [p.name for p in unit.compiled[sensor["name"]].points]
        points = {"SupplyTemperatureCelsius": 1.0}
        if loop == "dp":
            points = {"DeltaPressurekPa": 1.0}
            if "DeltaPressurekPa" not in names:
                points = {"SupplyPressurekPa": 1.0, "ReturnPressurekPa": -1.0}
        keep = functools.partial(self._guard.keep, actuator)
        supply_max_c = unit.raw.get("limits", {}).get("supply_max_c", _SUPPLY_MAX_C)
        with ExitStack() as stack:
            opened: dict[str, DeviceAccess] = {}
            of_port: dict[str, DeviceAccess] = {}
            first = [actuator, sensor]
            for device in [*first, *(other for other in self._devices if other not in first)]:
                if device["name"] not in opened:
                    access = stack.enter_context(self._open(device, of_port.get(device["port"])))
                    of_port.setdefault(device["port"], access)
                    opened[device["name"]] = access
            moved, read = opened.pop(actuator["name"]), opened.pop(sensor["name"], None)
            limits = _LIMITS[loop], supply_max_c
            test = StepTest(moved, point, read or moved, points, *limits, opened.values())
            return test.run(keep)


def _add_effects(tested: StepResult, effects: list[SideEffect]) -> StepResult:
    """Return a result without a process if the test has moved another output."""
    if not effects:
        return tested
    is_left = tested.state == LEFT or not all(effect.is_back for effect in effects)
    reason = "; ".join(filter(None, (tested.reason, *(effect.text for effect in effects))))
    return tested._replace(state=LEFT if is_left else FAILED, reason=reason, process=None)


def _limit(loop: str, gains: Gains) -> dict[str, float]:
    """Return the gains within the ranges of the configuration, rounded to its resolution."""
    found = {}
    for key, value in ((GAIN_KEYS[loop], gains.gain), ("integral_s", gains.integral_s)):
        low, high = find_range(loop, key)
        found[key] = round(min(max(value, low), high), _DIGITS)
    return found


def find_range(loop: str, key: str) -> tuple[float, float]:
    """Return the smallest and the largest value of a key of a loop."""
    rule = next(t for t in TUNABLES if t.path == f"control.{loop}.{key}")
    return rule.low / 1000.0, rule.high / 1000.0


def _write_gains(unit_file: Path, results: list[dict[str, Any]]) -> None:
    """Write the found gains into the configuration; the other keys stay."""
    raw = json.loads(unit_file.read_text(encoding="utf-8"))
    for result in results:
        raw["control"][result["loop"]].update(result.get("gains", {}))
    text = json.dumps(raw, indent=2, ensure_ascii=False) + "\n"
    write_whole(unit_file, text.encode())
    load_unit(unit_file)


def describe(result: dict[str, Any]) -> str:
    """Return the line of one loop."""
    head = f"{result['loop']} loop, {result['point']}"
    if "gains" not in result:
        reason = f" ({result['reason']})" if result["reason"] else ""
        return f"{head}: {result['state']}, keeps its gains{reason}"
    process, gains = result["process"], result["gains"]
    values = ", ".join(f"{key} {value:g}" for key, value in gains.items())
    return (
        f"{head}: {values} (response {process['gain']:.2f} for each %, "
        f"lag {process['lag_s']:.1f} s, delay {process['delay_s']:.1f} s)"
    )


def tune_problems(results: list[dict[str, Any]] | None) -> list[str]:
    """Return a line for each test that did not end well; a loop without an answer is none."""
    return [
        f"step test of {result['point']}: {result['state']} {result['reason']}".rstrip()
        for result in results or []
        if result["state"] not in (DONE, NOT_TESTED, "refused")
    ]


def describe_tuning(results: list[dict[str, Any]] | None) -> str:
    """Return which loops have gains of this unit, such as "loops tuned: dp"; part of a verdict."""
    if not results:
        return ""
    tuned = [result["loop"] for result in results if "gains" in result]
    return f"loops tuned: {', '.join(tuned) or 'none'}"
