# SPDX-License-Identifier: Apache-2.0
"""The old words of the outputs during a test: kept, written back, and reported.

Does not choose a test value (`hil.tools.commission.outputs.write_test`) and does not run the agent.
The words are stored from before the first write until the device has them again. Thus they survive
the end of the program, and the next call returns them.
"""

from collections.abc import Callable
from typing import Any

from drivers.errors import DriverError
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.errors import BenchError
from hil.run.unit.unit_file import UnitFile
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.agent_outputs import AgentRequests, list_outputs
from hil.tools.commission.outputs.pending import (
    FOREIGN,
    INTENDED,
    RESTORED,
    WRITTEN,
    OldWords,
    PendingOutputs,
    Ranges,
)
from hil.tools.commission.outputs.way_back import return_output

Device = dict[str, Any]


class OutputGuard:
    """The outputs of one site. `open_device` opens a device; `say` prints a line."""

    def __init__(
        self,
        pending: PendingOutputs,
        say: Callable[[str], None],
        open_device: Callable[[Device], DeviceAccess],
    ) -> None:
        self._pending, self._say, self._open = pending, say, open_device
        self._restored: list[str] = []

    def keep(self, device: Device, state: str, old: OldWords) -> None:
        """Store the state of an output."""
        self._pending.set_state(device, state, old)
        if state == RESTORED:
            self._restored.append(old.point)

    def problems(self) -> list[str]:
        """Return a line for each output that is perhaps not at its old words."""
        return [
            f"{old['point']} is perhaps not at its old words {old['words']} (register "
            f"{old['address']})"
            for old in (e["old"] for e in self._pending.entries if e["state"] != INTENDED)
        ]

    def describe(self) -> str:
        """Return in which state the outputs are, for the end of the program."""
        problems = self.problems()
        if problems:
            return f"{'; '.join(problems)}; the next call writes them back"
        if self._restored:
            points = ", ".join(dict.fromkeys(self._restored))
            return f"{points}: the old value was written back; no program controls the CDU"
        return "the outputs of the CDU keep their present values; no program controls it"

    def release_all(self) -> None:
        """Forget the words: the outputs shall keep the values that the agent gave them."""
        self._pending.forget_all()

    def restore_all(self) -> list[str]:
        """Write all pending words back; return a line for each that is not back.

        A value of another master stays; that is reported and is no problem. Signals wait meanwhile.
        """
        with deferred_end_signals():
            problems: list[str] = []
            for device, entries in self._by_device():
                problems += self._restore_device(device, entries)
            return problems

    def _by_device(self) -> list[tuple[Device, list[dict[str, Any]]]]:
        """Return the entries by device. Those without a write are forgotten."""
        found: dict[tuple[str, int], tuple[Device, list[dict[str, Any]]]] = {}
        for entry in list(self._pending.entries):
            device = entry["device"]
            if entry["state"] == INTENDED:
                self._pending.set_state(device, RESTORED, OldWords(**entry["old"]))
                continue
            key = (device["port"], device["unit"])
            found.setdefault(key, (device, []))[1].append(entry)
        return list(found.values())

    def _restore_device(self, device: Device, entries: list[dict[str, Any]]) -> list[str]:
        """Return the outputs of one device. After a failed port, the others are not tried."""
        problems: list[str] = []
        try:
            for name in dict.fromkeys(entry["device"]["profile"] for entry in entries):
                with self._open({**device, "profile": name}) as access:
                    for entry in entries:
                        if entry["device"]["profile"] == name:
                            problems += self._restore(access, entry["device"], entry["old"])
        except DriverError as error:
            left = [e for e in self._pending.entries if e in entries]
            return [_left(e["device"], OldWords(**e["old"]), str(error)) for e in left]
        return problems

    def _restore(self, access: DeviceAccess, device: Device, raw: dict[str, Any]) -> list[str]:
        old = OldWords(**raw)
        state, problem = return_output(access, old)
        if state == WRITTEN:
            return [_left(device, old, problem)]
        self.keep(device, state, old)
        if state == FOREIGN:
            self._say(f"{_where(device, old)}: {problem}")
        else:
            self._say(f"{_where(device, old)}: old words {old.words} are back after a test")
        return []


class AgentGuard:
    """The outputs of a unit while its agent controls the devices."""

    def __init__(
        self,
        unit: UnitFile,
        devices: list[Device],
        pending: PendingOutputs,
        open_device: Callable[[Device], DeviceAccess],
    ) -> None:
        """`devices`: name, port, unit and profile of each device."""
        self._devices = {device["name"]: device for device in devices}
        self._outputs = list_outputs(unit)
        self._pending, self._open = pending, open_device
        self._requests = AgentRequests()
        self._compiled: dict[str, Any] = {}
        self.unreadable: list[str] = []
        """Outputs whose old words cannot be read: the device keeps what the agent wrote last."""

    def keep_all(self) -> None:
        """Read and store the words of all outputs. Raises BenchError, and DriverError."""
        for name in dict.fromkeys(output.device for output in self._outputs):
            device = self._devices[name]
            with self._open(device) as access:
                self._compiled[name] = access.device
                for output in self._outputs:
                    if output.device == name:
                        self._keep(access, device, output.point)
        self._pending.set_all(WRITTEN, lambda *_: None)

    def _keep(self, access: DeviceAccess, device: Device, name: str) -> None:
        index = access.device.point_index(name)
        error = access.poll_point(index)
        words = access.polled_words(access.profile.points[index])
        if error:
            raise BenchError(f"{device['name']}.{name}: {error}")
        if not words:
            self.unreadable.append(f"{device['name']}.{name}")
            return
        point = access.profile.points[index]
        old = OldWords(name, point.function, point.address, words)
        self._pending.set_state(device, INTENDED, old)

    def follow(self, status: dict[str, Any] | None) -> None:
        """Store what the agent can have written by its last status."""
        self._requests.add(self._outputs, status)
        by_name = {output[:2]: output for output in self._outputs}

        def ours(device: str, point: str) -> Ranges | None:
            output = by_name.get((device, point))
            found = self._compiled.get(device)
            return None if output is None or found is None else self._requests.ranges(output, found)

        self._pending.set_all(WRITTEN, ours)


def _where(device: Device, old: OldWords) -> str:
    return f"{device['port']} unit {device['unit']}: {old.point}, register {old.address}"


def _left(device: Device, old: OldWords, problem: str) -> str:
    return (
        f"{_where(device, old)}: the old words {old.words} are not back after a test: {problem}. "
        "Write them yourself, or call this command again"
    )
