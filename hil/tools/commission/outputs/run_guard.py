# SPDX-License-Identifier: Apache-2.0
"""Returns the outputs of real devices after each acceptance of a unit on them, however it ends.

Does not run the scenarios; see `hil.tools.commission.run_unit`. An acceptance is a test: after it
the devices have the outputs of before, also after a pass. The journal is a file beside the
configuration, with the ending `.outputs`. It is there only while outputs are perhaps moved. After
SIGKILL or a loss of power, the next call finds it and returns the outputs before it does anything
else. Ctrl-C, SIGTERM and SIGHUP wait while the outputs return.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drivers.errors import DriverError
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.errors import BenchError
from hil.run.unit.unit_file import UnitFile
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.endpoint_lock import PortLocks
from hil.tools.commission.outputs.output_guard import (
    AgentGuard,
    Device,
    OutputGuard,
    restore_and_say,
    say_error,
)
from hil.tools.commission.outputs.pending import OutputFile

Follow = Callable[[dict[str, Any] | None], None]


def journal_path(unit_file: Path) -> Path:
    """Return the journal of the outputs of a configuration."""
    return unit_file.with_name(unit_file.name + ".outputs")


def unit_devices(unit: UnitFile) -> list[Device]:
    """Return the devices of a configuration: name, port, unit address, profile."""
    return [
        {
            "name": device["name"],
            "port": unit.raw["buses"][device["bus"]],
            "unit": device["unit"],
            "profile": device["profile"],
        }
        for device in unit.raw["devices"]
    ]


@contextmanager
def returned_outputs(unit: UnitFile) -> Iterator[Follow]:
    """Let the agent control the devices in a block, then return its outputs.

    The block gives each status of the agent to the function. Raises BenchError if another program
    has a port, if an output cannot be read before, or if one of an earlier run cannot return.
    """
    with PortLocks() as locks:
        devices = unit_devices(unit)
        for device in devices:
            locks.lock(device["port"])

        def open_device(device: Device) -> DeviceAccess:
            locks.lock(device["port"])  # that of a journal is perhaps another one
            raw = unit.raw_profiles.get(device["profile"])
            if raw is None:
                raise BenchError(f"{device['profile']}: this profile is no longer in {unit.path}")
            timeout_ms = unit.raw.get("bus_timeout_ms", _TIMEOUT_MS)
            return DeviceAccess(device["port"], device["unit"], raw, timeout_ms)

        pending = OutputFile(journal_path(unit.path))
        guard = OutputGuard(pending, say_error, open_device)
        if restore_and_say(guard):
            raise BenchError("outputs of an earlier test are not back; the agent was not started")
        agent_guard = AgentGuard(unit, devices, pending, open_device)
        try:
            _keep_all(agent_guard)
            yield agent_guard.follow
        finally:
            with deferred_end_signals():
                restore_and_say(guard)
                for name in agent_guard.unreadable:
                    say_error(f"{name}: cannot be read, so it keeps what the agent wrote last")


_TIMEOUT_MS = 300


def _keep_all(agent_guard: AgentGuard) -> None:
    try:
        agent_guard.keep_all()
    except DriverError as error:
        raise BenchError(f"{error}; the agent was not started") from None
