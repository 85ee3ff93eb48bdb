# SPDX-License-Identifier: Apache-2.0
"""Refuses a run on devices whose commissioning, in the folder of the configuration, has failed.

Does not write, and does not repeat steps. A `unit.json` can be older than the failure, or edited.
So each run of the agent on the real devices reads the journal beside its configuration first: the
values, the write test and the step test of these devices must not have failed, and no output may
have the value that the write test has left behind.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.tools.commission.device_access import DeviceAccess, check_name_of
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.pending import Device
from hil.tools.commission.outputs.promised import find_tested_values
from hil.tools.commission.outputs.site_journals import is_at

FindFailures = Callable[[Callable[[str], Any], str], list[str]]
"""Gets the results of the steps by name, and the name of a device; returns why it has failed."""
_NOT_STARTED = "the agent was not started"
_CONTROLLED = "controlled by the agent"


def check_commissioning(
    folder: Path,
    devices: list[Device],
    open_device: Callable[[Device], DeviceAccess],
    find_failures: FindFailures,
) -> None:
    """Raise BenchError if the agent must not control the devices of a configuration in `folder`.

    Also for a damaged journal; DriverError if a device does not answer.
    """
    journal = Journal(folder)
    for device in journal.get("describe") or []:
        if not is_at(device, devices):
            continue
        problems = find_failures(journal.get, device["name"])
        if problems:
            raise BenchError(
                f"{device['name']}: the commissioning beside this configuration has failed "
                f"({journal.path}): {'; '.join(problems)}; {_NOT_STARTED}. "
                f"`coldloop commission --dir {folder}` repeats the step"
            )
        with open_device(device) as access:
            check_name_of(access, device)
        _check_outputs(journal, folder, device, open_device)


def _check_outputs(
    journal: Journal, folder: Path, device: Device, open_device: Callable[[Device], DeviceAccess]
) -> None:
    """Raise BenchError if an output has its tested value; not after the agent has moved it."""
    accepted = journal.get("site-acceptance") or {}
    if str(accepted.get("extent", "")).startswith(_CONTROLLED):
        return
    writes = journal.get("write-test") or []
    for output, words, old in find_tested_values(writes, [device], open_device):
        raise BenchError(
            f"{output} holds its tested value {words} again, and the write test has left {old}; "
            f"{_NOT_STARTED}. `coldloop commission --dir {folder} --from tune` writes {old} back"
        )
