# SPDX-License-Identifier: Apache-2.0
"""The journals of outputs in one folder: that of the commissioning, and one of each configuration.

Does not return outputs; see `hil.tools.commission.outputs.output_guard`. Several journals can name
the same output. Each command returns those of all of them before it reads an output as "old": else
it would keep the value of an interrupted test as that of before.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.config.tested_devices import JOURNAL
from hil.errors import BenchError
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.tools.commission.outputs.endpoint_lock import endpoints
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.pending import Device, OutputFile, PendingOutputs
from hil.tools.commission.outputs.pending_index import (
    PendingNote,
    describe_lost,
    lost_outputs,
    read_notes,
)

ENDING = ".outputs"


def journal_path(unit_file: Path) -> Path:
    """Return the journal of the outputs of a configuration."""
    return unit_file.with_name(unit_file.name + ENDING)


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


def configured_devices(journal: Path) -> list[Device]:
    """Return the devices of the configuration beside a journal; none if it cannot be read."""
    try:
        return unit_devices(load_unit(journal.with_name(journal.name.removesuffix(ENDING))))
    except BenchError:
        return []


def describe_left(unit_file: Path) -> list[str]:
    """Return a line for each output that a killed run has left, if its configuration is damaged.

    Raises BenchError for a damaged journal.
    """
    pending = OutputFile(journal_path(unit_file))
    return [
        f"{entry['device']['port']} unit {entry['device']['unit']}: {entry['old']['point']}, "
        f"register {entry['old']['address']}, is perhaps not at its old words "
        f"{entry['old']['words']} (test of {entry['utc'] or 'an unknown time'}); correct the "
        f"configuration and call this command again, or write them yourself and {pending.remedy}"
        for entry in pending.entries
    ]


def run_journals(folder: Path) -> Iterator[OutputFile]:
    """Yield the journals of all configurations in a folder. Raises BenchError for a damaged one."""
    try:
        paths = sorted(folder.glob(f"*{ENDING}"))
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}") from None
    for path in paths:
        yield OutputFile(path)


def commission_journal(folder: Path) -> PendingOutputs:
    """Return the outputs of the commissioning in a folder. Raises BenchError for a damaged file."""
    return Journal(folder).pending


def check_elsewhere(devices: list[Device], own: Path) -> None:
    """Raise BenchError if a journal of another folder has pending outputs of these devices.

    Their present values are those of an interrupted test, and not those of before. `own`: the
    journal of this command, whose folder is settled before. A journal that is gone, in any folder,
    proves nothing: its note stays, and names the words.
    """
    for found in read_notes():
        path = found.journal
        here = [output for output in found.outputs if is_among(output["device"], devices)]
        if found.outputs and not here:
            continue
        entries = _entries(found)
        lost = [output for output in lost_outputs(found, entries) if output in here]
        if lost:
            raise BenchError(describe_lost(found, lost))
        if path.parent == own.resolve().parent:
            continue
        left = [
            f"{entry['old']['point']} (old words {entry['old']['words']})"
            for entry in entries
            if is_among(entry["device"], devices)
        ]
        if left:
            when = f" of {found.utc}" if found.utc else ""
            raise BenchError(
                f"{path}: an interrupted test{when} has moved {', '.join(left)} of these devices; "
                "call its command again in that folder first, as the user of that folder. If the "
                f"folder is lost, write the words yourself and delete {found.file}"
            )


def _entries(found: PendingNote) -> list[dict[str, Any]]:
    """Return the entries of a journal; those of its note if another user keeps the journal.

    Empty if the journal is gone. Raises BenchError for a damaged one.
    """
    path = found.journal
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return found.outputs
    if not os.access(path, os.R_OK):
        return found.outputs
    return (
        Journal(path.parent).pending.entries if path.name == JOURNAL else OutputFile(path).entries
    )


def is_among(device: Device, devices: list[Device]) -> bool:
    """Return whether a device is one of `devices`: the same endpoint and the same unit address.

    Another unit address behind the same port is another CDU.
    """
    own = endpoints(device["port"])
    return any(
        known["unit"] == device["unit"] and bool(own & endpoints(known["port"]))
        for known in devices
    )
