# SPDX-License-Identifier: Apache-2.0
"""Step `write-test` of `coldloop commission`: the write test of each output, one after the other.

Does not write by itself (`hil.tools.commission.outputs.write_test`). It asks for permission, and
lets a test fail that has moved another output (`hil.tools.commission.outputs.output_watch`), or
after which an alarm is on. The alarms of all devices of the site count: a leak panel is one.
"""

import argparse
from collections.abc import Callable
from typing import Any

from hil.tools.commission.device_access import DeviceAccess, find_alarms
from hil.tools.commission.findings import SHOWN
from hil.tools.commission.inputs.argument_values import NO_GAUGE, parse_answer, read_gauge
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.output_watch import OutputWatch, SideEffect
from hil.tools.commission.outputs.pending import Device, OldWords
from hil.tools.commission.outputs.tested_values import OLD_KEY
from hil.tools.commission.outputs.write_test import (
    DONE,
    FAILED,
    LEFT,
    NOT_TESTED,
    REFUSED,
    run_write_test,
)

NOT_UNDERSTOOD = "not_understood"
"""Key of a device: the rows of its table that can show an alarm which the command does not see."""
_PART_OF_STEP = 0.45
"""Part of the step by which the display can differ from the tested value at most."""
_SLOPE_ERROR = 0.2
"""The same without the last digit of the display. An offset that agrees at one value changes the
slope: 4000 to 20000 for 0 to 100 %, with a scale from 60 % only, shows 0.42 of the step more.
"""
_ANOTHER_LEFT = "another output is not at its old value"

Result = dict[str, Any]


class OutputTests:
    """The write tests of a site. `open_device` opens a device; `guard` keeps its words.

    `refuse`: why no output of the device with this name is moved; empty if it can be. `unproven`:
    why the scale of an output (DEVICE.POINT) with this highest value is not proven.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        dialogue: Dialogue,
        open_device: Callable[[Device], DeviceAccess],
        guard: OutputGuard,
        refuse: Callable[[str], str],
        unproven: Callable[[str, float], str],
    ) -> None:
        self.arguments, self.dialogue = arguments, dialogue
        self._open, self._guard, self._refuse = open_device, guard, refuse
        self._unproven = unproven

    def run(self, devices: list[Device]) -> list[Result]:
        """Return the result of the test of each output of the devices."""
        results: list[Result] = []
        with OutputWatch(self._guard, devices, self._open, self.dialogue.say) as watch:
            for device in devices:
                with self._open(device) as access:
                    points = access.outputs()
                for point in points:
                    is_left = any(result["state"] == LEFT for result in results)
                    results.append(self._test(devices, device, point, watch, is_left=is_left))
            tested = [r for r in results if r["state"] not in (NOT_TESTED, REFUSED)]
            for effect in watch.settle_late() if tested else ():
                own = [result for result in tested if result["point"] == effect.output]
                self._add_effects((own or tested)[-1], [effect])
            for result in tested[-1:]:
                self._add_alarm(result, devices)
        return results

    def _test(
        self,
        devices: list[Device],
        device: Device,
        point: str,
        watch: OutputWatch,
        *,
        is_left: bool,
    ) -> Result:
        """Return the result of the test of one output, with its side effects on the others."""
        name = f"{device['name']}.{point}"
        refusal = self._refuse(device["name"])
        if refusal:
            self.dialogue.say(f"  {name}: {REFUSED} {refusal}")
            return {"point": name, "state": REFUSED, "reason": refusal}
        reason = _ANOTHER_LEFT if is_left or self._guard.problems() else ""
        question = f"{device['name']}: move {point} by a small step and back?"
        is_allowed = not reason and (
            self.arguments.write_test
            or (not self.dialogue.assume_yes and self.dialogue.confirm(question))
        )
        if not is_allowed:
            return {"point": name, "state": NOT_TESTED, "reason": reason}
        with self._open(device) as access:
            unproven = self._unproven(name, highest_value(access, point))
        refusal = find_unseen_alarms(devices, self.dialogue) or find_alarms(devices, self._open)
        refusal = refusal or (unproven if self.dialogue.assume_yes else "")
        if refusal:
            self.dialogue.say(f"  {name}: {REFUSED} {refusal}")
            return {"point": name, "state": REFUSED, "reason": refusal}
        watch.start()
        shown: list[float] = []
        kept: list[OldWords] = []

        def keep(state: str, old: OldWords) -> None:
            kept.append(old)
            self._guard.keep(device, state, old)

        with self._open(device) as access:
            unit = access.profile.points[access.device.point_index(point)].unit

            def compare(before: float, tested: float) -> str:
                return self._compare_display(name, (before, tested), unit, shown)

            result = run_write_test(access, point, keep, compare if unproven else None)
        self.dialogue.say(f"  {name}: {result.state} {result.reason}".rstrip())
        if result.state == LEFT:
            watch.leave(name)
        found = {**result._asdict(), "point": name}
        if result.state == DONE:
            found[OLD_KEY] = kept[0]._asdict()
        if shown:
            found[SHOWN] = shown[0]
        for old in kept[:1]:
            watch.add_sent(old)
        self._add_effects(found, watch.settle())
        self._add_alarm(found, devices)
        return found

    def _compare_display(
        self, name: str, moved: tuple[float, float], unit: str, shown: list[float]
    ) -> str:
        """Ask for the display while the output has its tested value; return why it has failed.

        `moved`: the value before, and the tested one. The display must have followed the step: one
        that is nearer to the value before is that of another register.
        """
        before, tested = moved
        if before == tested:
            return "its limits leave no step that a display can show"
        question = f"{name} is now {tested:.1f} {unit}; the display shows"
        answer = self.dialogue.ask_valid(question, "-", lambda text: parse_answer(text, unit))
        if answer in ("-", NO_GAUGE):
            return "the display was not compared, so its scale is not proven"
        shown.append(read_gauge(answer))
        if abs(shown[0] - tested) > _tolerance(abs(tested - before), answer):
            reason = "the scale or the register of the table is wrong"
            return f"the display shows {shown[0]:g} {unit}: {reason}"
        return ""

    def _add_alarm(self, result: Result, devices: list[Device]) -> None:
        """Let a test fail after which an alarm is on."""
        problem = find_alarms(devices, self._open) if result["state"] == DONE else ""
        if problem:
            result["state"], result["reason"] = FAILED, f"after the test: {problem}"
            self.dialogue.say(f"  {result['point']}: {FAILED} {result['reason']}")

    def _add_effects(self, result: Result, effects: list[SideEffect]) -> None:
        """Let a test fail that has moved another output."""
        for effect in effects:
            self.dialogue.say(f"  {result['point']}: {effect.text}")
            result["reason"] = "; ".join(filter(None, (result["reason"], effect.text)))
            if result["state"] != LEFT:
                result["state"] = FAILED if effect.is_back else LEFT


def _tolerance(step: float, answer: str) -> float:
    """Return how far a display can be from the tested value; `answer`: as it was typed."""
    digits = sum(sign.isdigit() for sign in answer.replace(",", ".").partition(".")[2])
    return min(step * _PART_OF_STEP, step * _SLOPE_ERROR + 10.0**-digits)


def highest_value(access: DeviceAccess, name: str) -> float:
    """Return the end of the range of an output, in its unit; 0 without limits."""
    point = access.profile.points[access.device.point_index(name)]
    return (point.limits or (0, 0))[1] * point.numerator / point.denominator


def find_unseen_alarms(devices: list[Device], dialogue: Dialogue) -> str:
    """Return why no output of a site is moved: the technician has not excluded its alarms.

    With `--yes` there is no question: the table must name the bits or the role of the row.
    """
    question = "does the device itself show that no alarm is on?"
    rows = [(device["name"], row) for device in devices for row in device.get(NOT_UNDERSTOOD, [])]
    for name, row in rows:
        if dialogue.assume_yes or not dialogue.confirm(f"{name}: {row}; {question}"):
            return str(row)
    return ""
