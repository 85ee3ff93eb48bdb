# SPDX-License-Identifier: Apache-2.0
"""Compares the outputs with what the write test has left, before they are moved again.

Does not test outputs (`write_test`) and does not watch a test (`output_watch`). A device can take a
tested value up again later, from a queue, by a ramp, or by a second controller. The tuning and the
agent would then keep the tested value as that of before. So such an output gets its old words, and
its write test has failed. Any other value is that of another master: it is named, and stays.
"""

from collections.abc import Callable, Iterator
from typing import Any

from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.errors import BenchError
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.pending import NOT_RETURNED, RESTORED, Device, OldWords
from hil.tools.commission.outputs.way_back import is_foreign, return_output
from hil.tools.commission.outputs.write_test import DONE, FAILED, LEFT

OLD_KEY = "old"
"""Key of a result: the words that a write test has left, and the count that it has tested."""


def check_tested_outputs(
    writes: list[dict[str, Any]],
    devices: list[Device],
    open_device: Callable[[Device], DeviceAccess],
    guard: OutputGuard,
    say: Callable[[str], None],
) -> list[str]:
    """Compare each tested output; return a line for each that has its tested value again.

    The result of its test is changed then. Raises BenchError if an output cannot be read, and
    DriverError.
    """
    problems = []
    for device, tested in _tested(writes, devices):
        with open_device(device) as access:
            for write in tested:
                problem = _check(access, device, write, guard, say)
                problems += [problem] if problem else []
    return problems


def find_tested_values(
    writes: list[dict[str, Any]],
    devices: list[Device],
    open_device: Callable[[Device], DeviceAccess],
) -> list[tuple[str, list[int], list[int]]]:
    """Return (output, its words, its old words) of each that has its tested value again.

    Writes nothing. Raises BenchError if an output cannot be read, and DriverError.
    """
    found = []
    for device, tested in _tested(writes, devices):
        with open_device(device) as access:
            for write in tested:
                old, words = _read(access, write)
                if words != old.words and not is_foreign(access, old):
                    found.append((str(write["point"]), words, old.words))
    return found


def _tested(
    writes: list[dict[str, Any]], devices: list[Device]
) -> Iterator[tuple[Device, list[dict[str, Any]]]]:
    """Yield each device with the results of its outputs that were tested."""
    for device in devices:
        prefix = f"{device['name']}."
        done = [w for w in writes if w["point"].startswith(prefix) and w["state"] == DONE]
        tested = [write for write in done if write.get(OLD_KEY)]
        if tested:
            yield device, tested


def _read(access: DeviceAccess, write: dict[str, Any]) -> tuple[OldWords, list[int]]:
    """Return the old words of a tested output, and its present ones. Raises BenchError."""
    old = OldWords(**write[OLD_KEY])
    old = old._replace(ours=(old.late or [])[-1:])  # the tested value is the last one
    index = access.device.point_index(old.point)
    error = access.poll_point(index)
    words = access.polled_words(access.profile.points[index])
    if error or not words:
        raise BenchError(f"{write['point']}: {error or 'cannot be read'}")
    return old, words


def _check(
    access: DeviceAccess,
    device: Device,
    write: dict[str, Any],
    guard: OutputGuard,
    say: Callable[[str], None],
) -> str:
    name = write["point"]
    old, words = _read(access, write)
    if words == old.words:
        return ""
    if is_foreign(access, old):
        say(f"  {name}: holds {words}; the write test has left {old.words}: another master has it")
        return ""
    with deferred_end_signals():
        guard.keep(device, NOT_RETURNED, old)
        state, problem = return_output(access, old)
        guard.keep_on_way_back(device, state, old)
    is_back = state == RESTORED
    end = "it has its old words again" if is_back else problem
    write["state"] = FAILED if is_back else LEFT
    write["reason"] = f"it had its tested value {words} again after its test; {end}"
    return f"{name}: {write['reason']}"
