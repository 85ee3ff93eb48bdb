# SPDX-License-Identifier: Apache-2.0
"""The guarded write test of one output: a small step, read back, and the old raw words again.

Does not choose the outputs and does not ask; see `hil.tools.commission.steps`. It writes nothing
while an alarm bit of the device is on, to a device that is another model, or if the present value
is not plausible. The words of the registers before the test are kept as read: they go to the caller
before the first write, are written back afterwards, and are then compared. Thus an error in the
type or the word order of the table cannot change the value that the device gets back.

The old value and the old words are of one read. A value outside the step, from the old one to the
tested one, is that of another master: it stays, and the test ends.

SIGINT, SIGTERM and SIGHUP wait while the old words are written back.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from drivers.device.device import GOOD as GOOD_VALUE
from drivers.device.identity import MISMATCH
from drivers.device.profile import Point
from drivers.errors import PortError
from drivers.tools.lib.arguments import describe_result
from hil.tools.commission.device_access import DeviceAccess
from protocols.errors import EncodeError
from protocols.modbus import pdu

DONE, REFUSED, FAILED, LEFT = "done", "refused", "failed", "left"
NOT_TESTED = "not tested"
"""States of a write test. `LEFT`: the device did not return to the old value."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FOREIGN = "another master has changed the output"
_STEPS = {"%": 2.0, "Cel": 0.5, "kPa": 2.0}
_READBACKS, _PAUSE_S = 10, 0.2


class WriteResult(NamedTuple):
    """Result of the test of one point: old value, tested value, state, reason."""

    point: str
    unit: str
    before: float | None
    tested: float | None
    state: str
    reason: str


class OldWords(NamedTuple):
    """The words of an output before its test, and where they belong."""

    point: str
    function: int
    address: int
    words: list[int]


def run_write_test(
    access: DeviceAccess, name: str, keep: Callable[[OldWords | None], None]
) -> WriteResult:
    """Move a point by a small step and back.

    `keep` gets the old words before the step, and None when the device has them again. It gets an
    entry without words if another master has the output: the old words must not be written later.
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
    target = _target(access, point, index, before)
    old = OldWords(name, point.function, point.address, words)
    keep(old)
    try:
        state, reason = write_count(access, index, target)
    finally:
        with deferred_signals():
            problem = return_output(access, index, (before, target), old, keep)
    if problem:
        state, reason = LEFT, f"the device did not return to its old value: {problem}"
    scale = point.numerator / point.denominator
    return WriteResult(name, point.unit, before * scale, target * scale, state, reason)


def find_refusal(access: DeviceAccess, index: int) -> str:
    """Return why the test is not possible; empty if it is."""
    device = access.device
    alarms = device.active_alarm_bits()
    if device.identity == MISMATCH:
        return access.identity
    if alarms:
        return f"alarm {', '.join(alarms)} is on"
    if device.readings[index].quality == "none":
        return "the present value cannot be read"
    reason = access.word_order_problem() or access.implausible(index)
    if reason:
        return reason
    try:
        device.build_writes([(index, device.readings[index].raw)])
    except EncodeError as error:
        return f"the present value is outside its limits: {error}"
    return "" if device.readings[index].quality == GOOD_VALUE else "the present value is bad"


def _target(access: DeviceAccess, point: Point, index: int, before: int) -> int:
    """Return the count of the test: a step up, or down at the upper limit."""
    low, high = point.limits or (before, before)
    step = max(1, access.device.to_count(index, _STEPS.get(point.unit, 1.0)))
    target = before + step if before + step <= high else before - step
    return max(low, min(high, target))


def write_count(access: DeviceAccess, index: int, count: int) -> tuple[str, str]:
    """Write a count and read it back; return (state, reason)."""
    before = access.device.readings[index].raw
    try:
        for request in access.device.build_writes([(index, count)]):
            result = access.request(request)
            if result.status != pdu.GOOD:
                return FAILED, describe_result(result)
        for _ in range(_READBACKS):
            access.poll()
            if access.device.readback_matches([(index, count)]):
                return DONE, ""
            if _is_foreign(access, index, (before, count)):
                return FAILED, FOREIGN
            time.sleep(_PAUSE_S)
    except (EncodeError, PortError) as error:
        return FAILED, str(error)
    return FAILED, "the device does not show the written value"


def return_output(
    access: DeviceAccess,
    index: int,
    step: tuple[int, int],
    old: OldWords,
    keep: Callable[[OldWords | None], None],
) -> str:
    """Give an output its old words, but never over the value of another master.

    `step`: the old and the tested count. Return the problem, or an empty text.
    """
    foreign = _find_foreign(access, index, step)
    problem = "" if foreign else restore(access, old)
    if problem:
        foreign = _find_foreign(access, index, step)
    if foreign:
        keep(old._replace(words=[]))
        return f"{foreign}; the old words {old.words} were not written over it"
    if not problem:
        keep(None)
    return problem


def _find_foreign(access: DeviceAccess, index: int, step: tuple[int, int]) -> str:
    """Return the text for an output with the value of another master; empty if not or unknown."""
    try:
        access.poll()
    except PortError:
        return ""
    if not _is_foreign(access, index, step):
        return ""
    return f"{FOREIGN}: it holds {access.polled_words(access.profile.points[index])}"


def _is_foreign(access: DeviceAccess, index: int, step: tuple[int, int]) -> bool:
    """Return whether the last poll shows a count outside the step; a count of rounding is free."""
    reading = access.device.readings[index]
    return reading.quality == GOOD_VALUE and not min(step) - 1 <= reading.raw <= max(step) + 1


def restore(access: DeviceAccess, old: OldWords) -> str:
    """Write the old words and compare them; return the problem, or an empty text."""
    words: list[int] = []
    error = ""
    try:
        result = access.request(_raw_write(access.profile.write_with, old))
        if result.status not in (pdu.GOOD, pdu.EXCEPTION):
            result = access.request(_raw_write(access.profile.write_with, old))
        problem = "" if result.status == pdu.GOOD else describe_result(result)
        for _ in range(_READBACKS):
            words, error = access.read_words(old.function, old.address, len(old.words))
            if words == old.words:
                return ""
            time.sleep(_PAUSE_S)
    except (EncodeError, PortError) as failure:
        return str(failure)
    return problem or error or f"the registers hold {words}, not {old.words}"


def _raw_write(write_function: int, old: OldWords) -> bytes:
    """Return the request that writes the words; the function codes are those of a normal write."""
    if write_function == pdu.READ_WRITE:
        return pdu.read_write(old.address, len(old.words), old.address, old.words)
    if len(old.words) == 1 and write_function != pdu.WRITE_MULTIPLE:
        return pdu.write_single(old.address, old.words[0])
    return pdu.write_multiple(old.address, old.words)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP wait until the block has ended."""
    waiting: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        waiting.append(number)

    handlers = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
