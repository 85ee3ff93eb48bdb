# SPDX-License-Identifier: Apache-2.0
"""The guarded write test of one output: a small step, read back, and the old raw words again.

Does not choose the outputs and does not ask; see `hil.tools.commission.steps`. It writes nothing
while an alarm bit of the device is on or cannot be read, to a device that is another model, or if
the present value is not plausible. An alarm at the tested value lets the test fail. The words of
the registers before the test are kept as read: they go to the caller before the first write, are
written back afterwards, and are then compared. Thus an error in the type or the word order of the
table cannot change the value that the device gets back.

The old value and the old words are of one read. A value outside the step, from the old one to the
tested one, is that of another master: it stays, and the test ends (`way_back`).

SIGINT, SIGTERM and SIGHUP wait while the old words are written back.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from drivers.device.device import GOOD as GOOD_VALUE
from drivers.device.identity import MISMATCH
from drivers.device.profile import Point
from drivers.errors import PortError
from drivers.tools.lib.arguments import describe_result
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.pending import (
    INTENDED,
    NOT_RETURNED,
    OldWords,
    count_range,
    make_old_words,
)
from hil.tools.commission.outputs.way_back import PAUSE_S, READBACKS, is_foreign, return_output
from protocols.errors import EncodeError
from protocols.modbus import pdu

DONE, REFUSED, FAILED, LEFT = "done", "refused", "failed", "left"
NOT_TESTED = "not tested"
"""States of a write test. `LEFT`: the device did not return to the old value."""
ANOTHER_MASTER = "another master has changed the output"
_STEPS = {"%": 2.0, "Cel": 0.5, "kPa": 2.0}
_SHOWN_STEPS = {"%": 2.0, "Cel": 2.0, "kPa": 10.0}
"""Steps that a coarse display shows."""


class WriteResult(NamedTuple):
    """Result of the test of one point: old value, tested value, state, reason."""

    point: str
    unit: str
    before: float | None
    tested: float | None
    state: str
    reason: str


def run_write_test(
    access: DeviceAccess,
    name: str,
    keep: Callable[[str, OldWords], None],
    compare: Callable[[float, float], str] | None = None,
) -> WriteResult:
    """Move a point by a small step and back.

    `keep` gets each state of the output (`hil.tools.commission.outputs.pending`) and its old words
    before the step that follows. `compare` gets the old and the tested value while the output has
    the latter, and returns why the test has failed; empty if it has not. The step is then so large
    that a display shows it.
    """
    index = access.device.point_index(name)
    point = access.profile.points[index]
    access.poll()
    reason = find_refusal(access, index)
    words = access.polled_words(point)
    if not words:
        reason = reason or "the present value cannot be read"
    if reason:
        return WriteResult(name, point.unit, None, None, REFUSED, reason)
    before = access.device.readings[index].raw
    steps = _STEPS if compare is None else _SHOWN_STEPS
    target = _target(access, point, index, before, steps.get(point.unit, 1.0))
    ours = [find_range(before, target)]
    old = make_old_words(point, words, ours, [count_range(before), count_range(target)])
    keep(INTENDED, old)
    scale = point.numerator / point.denominator
    with way_back(access, old, keep) as problems:
        state, reason = write_count(access, target, old)
        reason = reason or _find_alarm(access)
        if not reason and compare is not None:
            reason = compare(before * scale, target * scale) or _find_alarm(access)
        state = FAILED if reason else state
    if problems:
        state, reason = LEFT, f"the device did not return to its old value: {problems[0]}"
    return WriteResult(name, point.unit, before * scale, target * scale, state, reason)


def _find_alarm(access: DeviceAccess) -> str:
    """Return which alarm the moved output has brought; empty if none is on."""
    try:
        access.poll()
    except PortError as error:
        return str(error)
    problem = access.alarm_problem()
    return f"at the tested value: {problem}" if problem else ""


def find_refusal(access: DeviceAccess, index: int) -> str:
    """Return why the test is not possible; empty if it is."""
    device = access.device
    if device.identity == MISMATCH:
        return access.identity
    alarms = access.alarm_problem()
    if alarms:
        return alarms
    if device.readings[index].quality == "none":
        return "the present value cannot be read"
    reason = access.word_order_problem() or access.implausible(index)
    reason = reason or access.unseen_word_order(index)
    if reason:
        return reason
    try:
        device.build_writes([(index, device.readings[index].raw)])
    except EncodeError as error:
        return f"the present value is outside its limits: {error}"
    return "" if device.readings[index].quality == GOOD_VALUE else "the present value is bad"


def find_range(before: int, target: int) -> list[int]:
    """Return the counts of a step, with one count of rounding at both ends."""
    return [min(before, target) - 1, max(before, target) + 1]


@contextmanager
def way_back(
    access: DeviceAccess, old: OldWords, keep: Callable[[str, OldWords], None]
) -> Iterator[list[str]]:
    """Let a block write to the output of `old`, then return it; the list gets the problem."""
    problems: list[str] = []
    try:
        keep(NOT_RETURNED, old)
        yield problems
    finally:
        with deferred_end_signals():
            state, problem = return_output(access, old)
            if problem:
                problems.append(problem)
            keep(state, old)


def _target(access: DeviceAccess, point: Point, index: int, before: int, unit_step: float) -> int:
    """Return the count of the test: a step up, or down at the upper limit."""
    low, high = point.limits or (before, before)
    step = max(1, access.device.to_count(index, unit_step))
    target = before + step if before + step <= high else before - step
    return max(low, min(high, target))


def write_count(access: DeviceAccess, count: int, old: OldWords) -> tuple[str, str]:
    """Write a count to the output of `old` and read it back; return (state, reason)."""
    index = access.device.point_index(old.point)
    try:
        for request in access.device.build_writes([(index, count)]):
            result = access.request(request)
            if result.status != pdu.GOOD:
                return FAILED, describe_result(result)
        for _ in range(READBACKS):
            access.poll()
            if access.device.readback_matches([(index, count)]):
                return DONE, ""
            if is_foreign(access, old):
                return FAILED, ANOTHER_MASTER
            time.sleep(PAUSE_S)
    except (EncodeError, PortError) as error:
        return FAILED, str(error)
    return FAILED, "the device does not show the written value"
