# SPDX-License-Identifier: Apache-2.0
"""The journals of outputs in one folder: that of the commissioning, and one of each configuration.

Does not return outputs; see `hil.tools.commission.outputs.output_guard`. Several journals can name
the same output. Each command returns those of all of them before it reads an output as "old": else
it would keep the value of an interrupted test as that of before.
"""

from collections.abc import Iterator
from pathlib import Path

from hil.errors import BenchError
from hil.tools.commission.outputs.endpoint_lock import endpoints
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.pending import Device, OutputFile, PendingOutputs

ENDING = ".outputs"


def journal_path(unit_file: Path) -> Path:
    """Return the journal of the outputs of a configuration."""
    return unit_file.with_name(unit_file.name + ENDING)


def run_journals(folder: Path) -> Iterator[PendingOutputs]:
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


def is_at(device: Device, ports: list[str]) -> bool:
    """Return whether a device is at the endpoint of one of the ports."""
    own = endpoints(device["port"])
    return any(own & endpoints(port) for port in ports)
