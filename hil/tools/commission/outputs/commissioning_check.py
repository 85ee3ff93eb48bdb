# SPDX-License-Identifier: Apache-2.0
"""Refuses a run on devices that the commissioning, in the folder of the configuration, contradicts.

Does not write, and does not repeat steps. A `unit.json` can be older than a failure, and it or a
profile can be edited. So each run of the agent on the real devices reads the journal beside its
configuration first:

- the values, the write test and the step test of these devices have not failed;
- each result has the seal of a known bench (`hil.record.trust_store`);
- port, unit address and profile of each device are those of the steps, and each output was tested;
- no output has the value that the write test has left behind.

A journal that has no complete commissioning is a refusal: an earlier `unit.json` can be beside it.
Links count as what they lead to. A configuration without a journal beside it, for example in
`/etc/coldloop`, is not compared: `coldloop hil verify --unit` does this with a report.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.config.tested_devices import missing_step
from hil.errors import BenchError
from hil.record.bench_key import is_valid_signature, load_key
from hil.record.trust_store import known_keys
from hil.run.unit.unit_file import UnitFile, basis_of
from hil.tools.commission.device_access import DeviceAccess, check_name_of
from hil.tools.commission.outputs.agent_outputs import list_outputs
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.pending import Device
from hil.tools.commission.outputs.site_journals import is_among
from hil.tools.commission.outputs.tested_values import find_tested_values
from hil.tools.commission.outputs.write_test import DONE

FindFailures = Callable[[Callable[[str], Any], str], list[str]]
"""Gets the results of the steps by name, and the name of a device; returns why it has failed."""
BOUND = ("values", "write-test", "propose", "check", "twin-acceptance", "tune", "site-acceptance")
"""Steps whose results are those of port, unit address and profile of the devices."""
_NOT_STARTED = "the agent was not started"
_CONTROLLED_PREFIX = "controlled by the agent"


def check_commissioning(
    unit: UnitFile,
    devices: list[Device],
    open_device: Callable[[Device], DeviceAccess],
    find_failures: FindFailures,
    key: Path | None = None,
) -> None:
    """Raise BenchError if the agent must not control the devices of a configuration.

    `devices`: those of the configuration. `key`: that of the bench, if not the default one. Also
    for a damaged journal; DriverError if a device does not answer.
    """
    for folder in unit.journal_folders():
        _check_folder(folder, unit, devices, open_device, find_failures, key)


def _check_folder(
    folder: Path,
    unit: UnitFile,
    devices: list[Device],
    open_device: Callable[[Device], DeviceAccess],
    find_failures: FindFailures,
    key: Path | None,
) -> None:
    journal = Journal(folder)
    _check_complete(journal, unit)
    known = journal.get("describe") or []
    here = [device for device in known if is_among(device, devices)]
    for device in here:
        problems = find_failures(journal.get, device["name"])
        if problems:
            raise BenchError(
                f"{device['name']}: the commissioning beside this configuration has failed "
                f"({journal.path}): {'; '.join(problems)}; {_NOT_STARTED}. "
                f"`coldloop commission --dir {folder}` repeats the step"
            )
    keys = known_keys() | ({load_key(key).public} if key is not None else set())
    journal.check_seals(lambda seal, text: any(is_valid_signature(k, seal, text) for k in keys))
    for device in here:
        with open_device(device) as access:
            check_name_of(access, device)
    problem = _find_untested(journal, unit)
    if problem:
        raise BenchError(f"{journal.path}: {problem}; {_NOT_STARTED}")
    for device in here:
        _check_outputs(journal, folder, device, open_device)


def _check_complete(journal: Journal, unit: UnitFile) -> None:
    """Raise BenchError if steps are missing, and the agent would move outputs."""
    missing = missing_step(journal.steps())
    if not missing or not list_outputs(unit):
        return
    raise BenchError(
        f"{journal.path}: the commissioning beside this configuration is not complete: step "
        f"`{missing}` is not done; {_NOT_STARTED}. `coldloop commission --dir "
        f"{journal.path.parent} --write-test --from {missing}` continues it"
    )


def _find_untested(journal: Journal, unit: UnitFile) -> str:
    """Return the first device with outputs that is not as tested, or output without a test."""
    writes = journal.get("write-test") or []
    done = {write["point"] for write in writes if write["state"] == DONE}
    outputs = [output for output in list_outputs(unit) if output.measure]
    moved = {output.device for output in outputs}
    present = basis_of(unit)["devices"]
    for step in BOUND:
        kept = journal.basis(step)
        if kept is None:
            continue
        tested = kept["devices"]
        names = [n for n in present if n in tested or n in moved]
        changed = sorted(name for name in names if tested.get(name) != present[name])
        if changed:
            return (
                f"port, unit address or profile of {', '.join(changed)} is not that of step "
                f"`{step}`; repeat it with `coldloop commission --from values`, or write "
                "the tested configuration again with `--from propose`"
            )
    untested = [name for o in outputs if (name := f"{o.device}.{o.point}") not in done]
    if untested:
        return (
            f"{', '.join(untested)} was not tested; "
            "`coldloop commission --write-test --from write-test` tests it"
        )
    return ""


def _check_outputs(
    journal: Journal, folder: Path, device: Device, open_device: Callable[[Device], DeviceAccess]
) -> None:
    """Raise BenchError if an output has its tested value; not after the agent has moved it."""
    accepted = journal.get("site-acceptance") or {}
    if str(accepted.get("extent", "")).startswith(_CONTROLLED_PREFIX):
        return
    writes = journal.get("write-test") or []
    for output, words, old in find_tested_values(writes, [device], open_device):
        raise BenchError(
            f"{output} holds its tested value {words} again, and the write test has left {old}; "
            f"{_NOT_STARTED}. `coldloop commission --dir {folder} --from tune` writes {old} back"
        )
