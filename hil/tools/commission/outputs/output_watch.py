# SPDX-License-Identifier: Apache-2.0
"""All outputs of a site during the tests of single ones: a side effect is found and returned.

Does not move outputs (`write_test`, `step_test`). A CDU can move one output when another one is
written, for example because it goes to manual mode. So the words of all outputs are read and stored
before the first write. After each test and at the end they are compared. An output that differs
gets its old words, and has a line. Who has moved it cannot be known: it can be another master.

A gateway or a wrong table can send a write to another register. So the other registers
of the device are compared, too: those of bits, those without a unit, and those that can be written.
One that has changed to a word which a test has written, and rests there, is named, and the test has
failed. A measured value can have such a word by chance. It is not written back: that write
could land in another register, too. The next calls compare it, and do no step until it is back.

After SIGKILL the next call compares the outputs that were not tested, and names one that differs.
It does not write it: the value can be of any time since.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Self

from drivers.device.device import GOOD
from drivers.device.profile import Bit
from drivers.errors import DriverError
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.errors import BenchError
from hil.tools.commission.device_access import DeviceAccess, Place, writable_places
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.pending import (
    BESIDE,
    NOT_RETURNED,
    RESTORED,
    WATCHED,
    Device,
    OldWords,
    Ranges,
    make_old_words,
)
from hil.tools.commission.outputs.way_back import return_output

_REGISTERS = (3, 4)
_ROUNDS = 2  # the way back of one output can move another one again
_REST_S = 1.0
_LATE_S = 5.0  # a queue or a ramp of the device can move an output that late


class SideEffect(NamedTuple):
    """An output that a test of another one has moved: its name, a text, and whether it is back."""

    output: str
    text: str
    is_back: bool


class OutputWatch:
    """The outputs of `devices`. A block with it ends with a comparison, however it ends."""

    def __init__(
        self,
        guard: OutputGuard,
        devices: list[Device],
        open_device: Callable[[Device], DeviceAccess],
        say: Callable[[str], None],
    ) -> None:
        self._guard, self._devices, self._open, self._say = guard, devices, open_device, say
        self._old: dict[str, tuple[Device, OldWords]] = {}
        self._beside: list[tuple[Device, OldWords]] = []
        self._sent: set[int] = set()
        self._is_started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_details: object) -> None:
        with deferred_end_signals():
            for effect in self._compare_and_return() + self._compare_beside():
                with suppress(OSError, ValueError):  # the terminal is lost
                    self._say(f"  {effect.text}")
            for device, old in self._old.values():
                with suppress(BenchError):  # the file: the next call compares once more
                    self._guard.unwatch(device, old)
        if kind is None:
            self._raise_file_error()

    def start(self) -> None:
        """Read and store the words of all outputs before the first write; later calls do nothing.

        Raises BenchError and DriverError.
        """
        if self._is_started:
            return
        self._guard.check_elsewhere(self._devices)
        for device in self._devices:
            with self._open(device) as access:
                access.poll()
                for name in access.outputs():
                    point = access.profile.points[access.device.point_index(name)]
                    words = access.polled_words(point)
                    if words:
                        old = make_old_words(point, words, [])
                        self._old[f"{device['name']}.{name}"] = (device, old)
                        self._guard.keep(device, WATCHED, old)
                        self._sent.update(words)
                beside = _registers_beside(access, writable_places(device))
                self._beside += [(device, old) for old in beside]
        self._is_started = True

    def add_sent(self, old: OldWords) -> None:
        """Add the words that a test has written."""
        self._sent.update((low + high) // 2 & 0xFFFF for low, high in old.late or ())

    def leave(self, output: str) -> None:
        """Compare an output no longer: it is known that it is not at its old words."""
        self._old.pop(output, None)

    def settle(self) -> list[SideEffect]:
        """Compare all outputs, and give the old words to those that differ.

        Raises BenchError at its end if the journal cannot be written.
        """
        with deferred_end_signals():
            effects = self._compare_and_return() + self._compare_beside()
        self._raise_file_error()
        return effects

    def _compare_beside(self) -> list[SideEffect]:
        """Name each register beside the outputs that has changed to a word of a test."""
        found = []
        changed = self._find_changed(self._beside)
        if changed:
            time.sleep(_REST_S)  # a measured value can pass a word of the test
            changed = [entry for entry in self._find_changed(self._beside) if entry in changed]
        for device, old, words in changed:
            self._beside.remove((device, old))
            self._guard.keep_on_way_back(device, BESIDE, old)
            text = (
                f"{device['name']}.{old.point}, register {old.address}, has changed from "
                f"{old.words} to {words}, a word of this test: a write has landed there. It is not "
                f"written back: write {old.words} yourself"
            )
            found.append(SideEffect(f"{device['name']}.{old.point}", text, False))
        return found

    def _find_changed(
        self, beside: list[tuple[Device, OldWords]]
    ) -> list[tuple[Device, OldWords, list[int]]]:
        """Return the registers that hold another word than before, which a test has written."""
        found = []
        for device in self._devices:
            own = [old for owner, old in beside if owner is device]
            if not own:
                continue
            # The outputs of a device that does not answer have a line of their own.
            with suppress(BenchError, DriverError), self._open(device) as access:
                access.poll()
                for old in own:
                    word = access.device.register_value(Bit(_register(old.function, old.address)))
                    if word is not None and [word] != old.words and word in self._sent:
                        found.append((device, old, [word]))
        return found

    def settle_late(self) -> list[SideEffect]:
        """Compare once more after a pause: a CDU can need it to move an output."""
        if not self._is_started:
            return []
        time.sleep(_LATE_S)
        return self.settle()

    def _compare_and_return(self) -> list[SideEffect]:
        found: dict[str, SideEffect] = {}
        for number in range(_ROUNDS + 1):
            effects = [
                effect
                for device in self._watched()
                for effect in self._settle_device(device, is_returned=number < _ROUNDS)
            ]
            found.update({effect.output: effect for effect in effects})
            if not effects:
                break
        for effect in found.values():
            if not effect.is_back:
                self.leave(effect.output)
        return list(found.values())

    def _raise_file_error(self) -> None:
        error = self._guard.take_file_error()
        if error:
            raise BenchError(error)

    def _watched(self) -> list[Device]:
        names = [device["name"] for device, _ in self._old.values()]
        return [device for device in self._devices if device["name"] in names]

    def _settle_device(self, device: Device, *, is_returned: bool) -> list[SideEffect]:
        outputs = {n: old for n, (owner, old) in self._old.items() if owner is device}
        found: list[SideEffect] = []
        try:
            with self._open(device) as access:
                access.poll()
                for name, old in outputs.items():
                    effect = self._compare(access, device, name, old)
                    if effect and is_returned:
                        effect = self._return(access, device, effect)
                    found += [effect] if effect else []
        except (BenchError, DriverError) as error:
            tried = [effect.output for effect in found]
            for name, old in outputs.items():
                if name not in tried:
                    self._guard.keep_on_way_back(device, NOT_RETURNED, old)
                    found.append(SideEffect(name, f"{name} cannot be compared: {error}", False))
        return found

    def _compare(
        self, access: DeviceAccess, device: Device, name: str, old: OldWords
    ) -> SideEffect | None:
        """Compare one output with its state before the first write, and store the result."""
        index = access.device.point_index(old.point)
        words = access.polled_words(access.profile.points[index])
        if words == old.words:
            self._guard.keep_on_way_back(device, WATCHED, old)
            return None
        present = _present_range(access, index)
        self._guard.keep_on_way_back(device, NOT_RETURNED, old._replace(ours=present, late=present))
        text = f"{name} has moved from {old.words} to {words} during the test of another output"
        if not words:
            text = f"{name} cannot be read after the test"
        return SideEffect(name, f"{text}; it is not back", False)

    def _return(self, access: DeviceAccess, device: Device, effect: SideEffect) -> SideEffect:
        old = self._old[effect.output][1]
        index = access.device.point_index(old.point)
        present = _present_range(access, index)
        moved = old._replace(ours=present, late=present)
        state, problem = return_output(access, moved)
        self._guard.keep_on_way_back(device, state, moved)
        text = effect.text.partition(";")[0]
        if state != RESTORED:
            return SideEffect(effect.output, f"{effect.text}: {problem}", False)
        self._guard.keep_on_way_back(device, WATCHED, old)
        return SideEffect(effect.output, f"{text}; it has its old words again", True)


def _registers_beside(access: DeviceAccess, writable: list[Place]) -> list[OldWords]:
    """Return the words of the single registers that are no output and no measured value."""
    outputs = access.outputs()
    points = {
        (point.function, point.address): point.name
        for point in access.profile.points
        if point.name not in outputs
        and point.registers == 1
        and (point.unit == "1" or point.limits or (point.function, point.address) in writable)
    }
    bits = {(bit.function, bit.address): bit.name for bit in access.profile.bits}
    found = []
    for (function, address), name in {**bits, **points}.items():
        word = access.device.register_value(Bit(_register(function, address)))
        if word is not None and function in _REGISTERS:
            found.append(OldWords(f"Register{address}Of{name}", function, address, [word]))
    return found


def _register(function: int, address: int) -> dict[str, Any]:
    return {"name": "", "function": function, "address": address, "mask": 0xFFFF}


def _present_range(access: DeviceAccess, index: int) -> Ranges | None:
    """Return the range of the present count; None if it is not good: any count is then ours."""
    reading = access.device.readings[index]
    return [[reading.raw, reading.raw]] if reading.quality == GOOD else None
