# SPDX-License-Identifier: Apache-2.0
"""Returns the outputs of real devices after each acceptance of a unit on them, however it ends.

Does not run the scenarios; see `hil.tools.commission.run_unit`. An acceptance is a test: after it
the devices have the outputs of before, also after a pass. The journal is a file beside the
configuration, with the ending `.outputs`. It is there only while outputs are perhaps moved. After
SIGKILL or a loss of power, the next call finds it and returns the outputs before it does anything
else. So does `coldloop commission` in this folder, and this command returns those of that one.
Ctrl-C, SIGTERM and SIGHUP wait while the outputs return.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.commands import profiles
from drivers.errors import DriverError
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.errors import BenchError
from hil.run.recorded import RecordedRun
from hil.run.unit.unit_file import UnitFile
from hil.tools.commission.device_access import (
    IDENTIFICATION,
    DeviceAccess,
    check_name_of,
    find_other_devices,
)
from hil.tools.commission.outputs.commissioning_check import FindFailures, check_commissioning
from hil.tools.commission.outputs.endpoint_lock import PortLocks
from hil.tools.commission.outputs.journal import Journal, lock_folder
from hil.tools.commission.outputs.output_guard import (
    AgentGuard,
    Device,
    OutputGuard,
    restore_and_say,
    say_error,
)
from hil.tools.commission.outputs.output_record import add_outputs
from hil.tools.commission.outputs.pending import OutputFile, PendingOutputs
from hil.tools.commission.outputs.site_journals import (
    commission_journal,
    is_among,
    journal_path,
    run_journals,
    unit_devices,
)


class OutputsOfRun:
    """The outputs of a run: `follow` gets each status of the agent; the rest is there at its end.

    `watch`: what is watched of its process. `problems`: a line for each output that is perhaps not
    back, and for the journal.
    """

    def __init__(self, guard: OutputGuard, agent_guard: AgentGuard) -> None:
        self.follow, self.watch = agent_guard.follow, agent_guard.watch
        self.unreadable = agent_guard.unreadable
        self.problems: list[str] = []
        self._guard = guard

    def add_to(self, recorded: list[RecordedRun]) -> list[RecordedRun]:
        """Return the runs; the last one has the outputs as findings."""
        last = [
            add_outputs(run, self._guard.returned, self.problems, self.unreadable)
            for run in recorded[-1:]
        ]
        return [*recorded[:-1], *last]


@contextmanager
def returned_outputs(
    unit: UnitFile, find_failures: FindFailures = lambda *_: [], key: Path | None = None
) -> Iterator[OutputsOfRun]:
    """Let the agent control the devices in a block, then return its outputs.

    The block gives each status of the agent to `follow`. `find_failures`: see
    `hil.tools.commission.findings.step_failures`. `key`: that of the bench, if it is not the
    default one. Raises BenchError if another program
    has a port, if an output cannot be read before, if one of an earlier run cannot return, or if
    the commissioning beside the configuration has failed.
    """
    with PortLocks() as locks:
        devices = unit_devices(unit)
        for device in devices:
            locks.lock(device["port"])

        names = _Names(unit)

        def open_device(device: Device) -> DeviceAccess:
            if not is_among(device, devices):
                raise BenchError(f"this address is no longer in {unit.path}")
            locks.lock(device["port"])
            raw = _find_profile(unit, device["profile"])
            timeout_ms = unit.raw.get("bus_timeout_ms", _TIMEOUT_MS)
            access = DeviceAccess(device["port"], device["unit"], raw, timeout_ms)
            with ExitStack() as opened:
                opened.enter_context(access)
                names.check(access, device)
                opened.pop_all()
            return access

        pending = OutputFile(journal_path(unit.path))
        guard = OutputGuard(pending, say_error, open_device)
        problems = restore_and_say(guard) + _restore_others(unit, devices, open_device)
        if problems:
            raise BenchError("outputs of an earlier test are not back; the agent was not started")
        _check_commissioning(unit, devices, open_device, find_failures, key)
        agent_guard = AgentGuard(unit, devices, pending, open_device)
        outputs = OutputsOfRun(guard, agent_guard)
        try:
            names.read(devices, open_device)
            _keep_all(agent_guard)
            yield outputs
        finally:
            with deferred_end_signals():
                outputs.problems = restore_and_say(guard)
                agent_guard.end()
                for problem in find_other_devices(devices, open_device):
                    say_error(problem)
                    outputs.problems.append(problem)
                for name in agent_guard.unreadable:
                    say_error(f"{name}: cannot be read, so it keeps what the agent wrote last")


_TIMEOUT_MS = 300


class _Names:
    """How the devices name themselves by function 43: in the scan, or before the agent starts.

    Thus a device that is swapped during the run is found, and gets no words of the other one.
    """

    def __init__(self, unit: UnitFile) -> None:
        known = Journal(unit.path.parent).get("describe") or []
        self._known = [device for device in known if device.get(IDENTIFICATION)]
        self._read_now: list[Device] = []

    def read(self, devices: list[Device], open_device: Callable[[Device], DeviceAccess]) -> None:
        """Read the names of all devices. A device that does not reply has none."""
        for device in devices:
            with suppress(DriverError), open_device(device) as access:
                self._read_now.append({**device, IDENTIFICATION: access.identification()})

    def check(self, access: DeviceAccess, device: Device) -> None:
        """Raise BenchError for another device at this address; also PortError."""
        for known in (*self._read_now, *self._known):
            if is_among(known, [device]):
                check_name_of(access, known)
                return


def _find_profile(unit: UnitFile, name: str) -> dict[str, Any]:
    """Return a profile of the configuration, or one that only a journal names."""
    raw = unit.raw_profiles.get(name) or profiles(str(unit.path)).get(name)
    if not isinstance(raw, dict):
        raise BenchError(f"the profile {name} is no longer beside {unit.path}")
    return raw


def _restore_others(
    unit: UnitFile, devices: list[Device], open_device: Callable[[Device], DeviceAccess]
) -> list[str]:
    """Return the outputs of these devices that other journals of the folder name."""
    folder = unit.path.parent

    def is_ours(device: Device) -> bool:
        return is_among(device, devices)

    def restore(pending: PendingOutputs) -> list[str]:
        return restore_and_say(OutputGuard(pending, say_error, open_device, is_ours))

    problems = [line for pending in run_journals(folder) for line in restore(pending)]
    if any(is_ours(entry["device"]) for entry in commission_journal(folder).entries):
        with lock_folder(folder):
            problems += restore(commission_journal(folder))
    return problems


def _check_commissioning(
    unit: UnitFile,
    devices: list[Device],
    open_device: Callable[[Device], DeviceAccess],
    find_failures: FindFailures,
    key: Path | None,
) -> None:
    try:
        check_commissioning(unit, devices, open_device, find_failures, key)
    except DriverError as error:
        raise BenchError(f"{error}; the agent was not started") from None


def _keep_all(agent_guard: AgentGuard) -> None:
    try:
        agent_guard.keep_all()
    except DriverError as error:
        raise BenchError(f"{error}; the agent was not started") from None
