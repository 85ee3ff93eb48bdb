# SPDX-License-Identifier: Apache-2.0
"""The old words of the outputs during a test: kept, written back, and reported.

Does not choose a test value (`hil.tools.commission.outputs.write_test`) and does not run the agent.
The words are stored from before the first write until the device has them again. Thus they survive
the end of the program, and the next call returns them.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from drivers.errors import DriverError
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.errors import BenchError
from hil.io.write_trace import WriteTrace
from hil.run.unit.real_unit import AgentWatch
from hil.run.unit.unit_file import UnitFile
from hil.tools.commission.device_access import (
    IDENTIFICATION,
    DeviceAccess,
    check_name_of,
    find_alarms,
)
from hil.tools.commission.outputs.agent_outputs import AgentRequests, MovedOutput, list_outputs
from hil.tools.commission.outputs.pending import (
    BESIDE,
    FOREIGN,
    INTENDED,
    KEPT,
    NOT_RETURNED,
    RESTORED,
    WATCHED,
    OldWords,
    PendingOutputs,
    Ranges,
    make_old_words,
)
from hil.tools.commission.outputs.site_journals import check_elsewhere
from hil.tools.commission.outputs.way_back import compare_beside, compare_output, return_output

Device = dict[str, Any]
_WAYS = {WATCHED: compare_output, BESIDE: compare_beside}
"""State: what is done with an output instead of its way back."""
_NO_OUTPUT = "; no output: write it yourself"


class ReturnedOutput(NamedTuple):
    """What became of one output. State `NOT_RETURNED`: it is perhaps not at its old words."""

    device: Device
    old: OldWords
    state: str
    line: str


class OutputGuard:
    """The outputs of one site. `open_device` opens a device; `say` prints a line."""

    def __init__(
        self,
        pending: PendingOutputs,
        say: Callable[[str], None],
        open_device: Callable[[Device], DeviceAccess],
        is_ours: Callable[[Device], bool] = bool,
    ) -> None:
        """`is_ours`: the devices whose outputs return; the other entries stay in the journal."""
        self._pending, self._say, self._open = pending, say, open_device
        self._is_ours = is_ours
        self._restored: list[str] = []
        self._file_error = ""
        self.returned: list[ReturnedOutput] = []
        """The outputs of the last way back."""

    def keep(self, device: Device, state: str, old: OldWords) -> None:
        """Store the state of an output. Raises BenchError if the file cannot be written."""
        if state == RESTORED:
            self._restored.append(old.point)
        self._pending.set_state(device, state, old)

    def keep_on_way_back(self, device: Device, state: str, old: OldWords) -> None:
        """Store a state; an error of the file must not end the way back of the others."""
        try:
            self.keep(device, state, old)
        except BenchError as error:
            self._file_error = str(error)

    def take_file_error(self) -> str:
        """Return the last error of the file on the way back, and forget it; "": there was none."""
        error, self._file_error = self._file_error, ""
        return error

    def check_elsewhere(self, devices: list[Device]) -> None:
        """Raise BenchError if a test of another folder has left outputs of these devices."""
        check_elsewhere(devices, self._pending.path)

    def unwatch(self, device: Device, old: OldWords) -> None:
        """Forget an output that was only watched; one that is perhaps moved stays."""
        self._pending.forget_watched(device, old.point)

    def problems(self) -> list[str]:
        """Return a line for each output that is perhaps not at its old words."""
        moved = [e for e in self._pending.entries if e["state"] not in (INTENDED, WATCHED)]
        return [
            f"{entry['old']['point']} is perhaps not at its old words {entry['old']['words']} "
            f"(register {entry['old']['address']}{_NO_OUTPUT if entry['state'] == BESIDE else ''})"
            for entry in moved
        ]

    def describe(self) -> str:
        """Return in which state the outputs are, for the end of the program."""
        problems = self.problems()
        if problems:
            is_written = any(e["state"] == NOT_RETURNED for e in self._pending.entries)
            end = "; the next call writes them back" if is_written else ""
            return f"{'; '.join(problems)}{end}"
        if self._restored:
            points = ", ".join(dict.fromkeys(self._restored))
            return f"{points}: the old value was written back; no program controls the CDU"
        return "the outputs of the CDU keep their present values; no program controls it"

    def release_all(self) -> None:
        """Forget the words: the outputs shall keep the values that the agent gave them."""
        self._pending.forget_all()

    def outputs_to_keep(self) -> list[ReturnedOutput]:
        """Return the outputs that `release_all` would forget, for the record."""
        return [
            ReturnedOutput(entry["device"], OldWords(**entry["old"]), KEPT, "")
            for entry in self._pending.entries
        ]

    def restore_all(self) -> list[str]:
        """Write all pending words back; return a line for each problem, the outputs first.

        A value of another master stays; that is reported and is no problem. Signals wait meanwhile.
        No error ends the way back: not of a device, of a profile, of the file or of the terminal.
        """
        with deferred_end_signals():
            self.returned, self._file_error = [], ""
            for device, entries in self._by_device():
                self._restore_device(device, entries)
            problems = [r.line for r in self.returned if r.state == NOT_RETURNED]
            return [*problems, *self._file_problem(not problems)]

    def _file_problem(self, are_back: bool) -> list[str]:
        """Try to store the states again; return the problem if it is still there."""
        if not self.take_file_error():
            return []
        try:
            self._pending.store()
        except BenchError as error:
            outputs = "the outputs are back, but " if are_back else ""
            text = "their journal cannot be written; mend this and call the command again"
            return [f"{error}: {outputs}{text}"]
        return []

    def _by_device(self) -> list[tuple[Device, list[dict[str, Any]]]]:
        """Return the entries by device and profile. Those without a write are forgotten."""
        found: dict[tuple[str, int, str], tuple[Device, list[dict[str, Any]]]] = {}
        for entry in list(self._pending.entries):
            device = entry["device"]
            if not self._is_ours(device):
                continue
            if entry["state"] == INTENDED:
                self.keep_on_way_back(device, FOREIGN, OldWords(**entry["old"]))  # it is as it was
                continue
            key = (device["port"], device["unit"], device["profile"])
            found.setdefault(key, (device, []))[1].append(entry)
        return list(found.values())

    def _restore_device(self, device: Device, entries: list[dict[str, Any]]) -> None:
        """Return the outputs of one device."""
        outputs = [(entry["device"], OldWords(**entry["old"])) for entry in entries]
        times = [entry.get("utc", "") for entry in entries]
        states = [entry["state"] for entry in entries]
        try:
            with self._open(device) as access:
                for output, state, utc in zip(outputs, states, times, strict=True):
                    self._restore(access, *output, utc, _WAYS.get(state, return_output))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next device must return
            tried = [(r.device, r.old) for r in self.returned]
            for output in outputs:
                if output not in tried:
                    self._leave(*output, str(error) or repr(error))

    def _restore(
        self,
        access: DeviceAccess,
        device: Device,
        old: OldWords,
        utc: str,
        way: Callable[[DeviceAccess, OldWords], tuple[str, str]],
    ) -> None:
        try:
            state, problem = way(access, old)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next output must return
            state, problem = NOT_RETURNED, str(error) or repr(error)
        if state == NOT_RETURNED:
            self._leave(device, old, problem)
            return
        when = f" of {utc}" if utc else ""
        line = f"{_where(device, old)}: old words {old.words} are back after a test{when}"
        if state == INTENDED:  # it was never moved: no line
            self.keep_on_way_back(device, RESTORED, old)
            return
        if state == FOREIGN:
            line = f"{_where(device, old)}: {problem}"
        self.returned.append(ReturnedOutput(device, old, state, line))
        self.keep_on_way_back(device, state, old)
        with suppress(OSError, ValueError):  # the terminal is lost
            self._say(line)

    def _leave(self, device: Device, old: OldWords, problem: str) -> None:
        line = (
            f"{_where(device, old)}: the old words {old.words} are not back after a test: "
            f"{problem}. Call this command again, or write them yourself and "
            f"{self._pending.remedy}"
        )
        self.returned.append(ReturnedOutput(device, old, NOT_RETURNED, line))


def say_error(line: str) -> None:
    """Print a line on stderr; a lost terminal must not keep an output from its way back."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def restore_and_say(guard: OutputGuard) -> list[str]:
    """Return the outputs and print each problem, before a signal that waits ends the program."""
    with deferred_end_signals():
        problems = guard.restore_all()
        for problem in problems:
            say_error(problem)
    return problems


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
        self.trace = pending.path.absolute().with_suffix(".writes")
        """The file that gets the writes of the agent."""
        self._identities: dict[str, list[dict[str, Any]]] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._requests = AgentRequests()
        self._compiled: dict[str, Any] = {}
        self.unreadable: list[str] = []
        """Outputs whose old words cannot be read: the device keeps what the agent wrote last."""

    def keep_all(self) -> None:
        """Read and store the words of all outputs. Raises BenchError, and DriverError.

        BenchError also while an alarm of a device is on or cannot be read: the agent moves nothing.
        """
        devices = list(self._devices.values())
        check_elsewhere(devices, self._pending.path)
        alarms = find_alarms(devices, self._open) if self._outputs else ""
        if alarms:
            raise BenchError(f"{alarms}; the agent was not started")
        self._begin_trace()
        self._read_identities()
        for name in dict.fromkeys(output.device for output in self._outputs):
            device = self._devices[name]
            with self._open(device) as access:
                self._compiled[name] = access.device
                for output in self._outputs:
                    if output.device == name:
                        self._keep(access, device, output)
        self._pending.set_all(NOT_RETURNED)

    def _keep(self, access: DeviceAccess, device: Device, output: MovedOutput) -> None:
        name = output.point
        index = access.device.point_index(name)
        error = access.poll_point(index)
        words = access.polled_words(access.profile.points[index])
        if error:
            raise BenchError(f"{device['name']}.{name}: {error}")
        if not words:
            self.unreadable.append(f"{device['name']}.{name}")
            return
        old = make_old_words(access.profile.points[index], words)
        self._pending.set_state(device, INTENDED, old._replace(trace=str(self.trace)))

    def _read_identities(self) -> None:
        """Read how the devices name themselves; one that does not reply has no name."""
        for name, device in self._devices.items():
            with suppress(DriverError), self._open(device) as access:
                self._names[name] = access.identification()
                self._identities[name] = access.name_probes()

    def watch(self) -> AgentWatch:
        """Return what is watched of the process of the agent."""
        return AgentWatch(self.trace, self._identities, self._check_names)

    def _check_names(self) -> None:
        """Raise BenchError for a device that names itself otherwise than before the run."""
        for name, known in self._names.items():
            device = self._devices[name]
            with suppress(DriverError), self._open(device) as access:
                check_name_of(access, {**device, IDENTIFICATION: known})

    def end(self) -> None:
        """Remove the trace: the outputs are settled."""
        if not self._pending.entries:
            with suppress(OSError):
                self.trace.unlink(missing_ok=True)

    def _begin_trace(self) -> None:
        """Begin a trace without writes; that of an earlier run is gone. Raises BenchError."""
        try:
            self.trace.unlink(missing_ok=True)
            WriteTrace(self.trace).close()
        except OSError as error:
            raise BenchError(f"{self.trace}: {error.strerror}; mend this") from None

    def follow(self, status: dict[str, Any] | None) -> None:
        """Store what the agent can have written by its last status."""
        self._requests.add(self._outputs, status)
        by_name = {output[:2]: output for output in self._outputs}

        def ours(device: str, point: str) -> Ranges | None:
            output = by_name.get((device, point))
            found = self._compiled.get(device)
            return None if output is None or found is None else self._requests.ranges(output, found)

        self._pending.set_all(NOT_RETURNED, ours, ours)


def _where(device: Device, old: OldWords) -> str:
    return f"{device['port']} unit {device['unit']}: {old.point}, register {old.address}"
