# SPDX-License-Identifier: Apache-2.0
"""A change tried without the unit: on its published configuration, with emulated twins.

Sends nothing. Three steps: apply the change as a unit does, check the result as a unit does, and
run `coldloop hil run acceptance --unit` in virtual time, with and without the change. The last step
needs the bench (extra `bench`); it is a process of its own, because this package does not import
the bench. A failure that the configuration also has without the change does not refuse the change.

A twin shows what the profiles say, not what the CDU does. Values that only a unit has are not
checked: its counters, its largest steps of a day, its secrets.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from agent.commands import read_config
from agent.core.errors import ConfigError
from agent.core.tunable import OPERATE
from agent.remote.message.header import EPOCH_S
from agent.remote.message.patch import decode_patch, encode_changed, encode_patch
from agent.remote.message.reject import Rejection
from deploy.errors import OpsError
from deploy.ops.change_parser import Change
from deploy.ops.unit_config.published import Difference, list_differences
from deploy.relay.terminal_text import printable
from protocols.cbor import Decimal
from protocols.errors import EncodeError

PASS, FAIL, REFUSED = "pass", "fail", "refused"
_TIMEOUT_S = 1800
_COUNTER_S, _CONFIRM_S = EPOCH_S + 86_400, 3600
"""Any counter and time of confirmation: they are not tried."""
_REACH = ("site", "unit", "broker", "remote")
"""Keys by which operators reach the unit; a twin has no broker."""


class DryRun(NamedTuple):
    """Result for one unit.

    `faults`: why the unit refuses the change, or what fails with it. `known_faults`: what fails
    with it and without it. `notes`: what the operator must know and no twin shows.
    """

    differences: list[Difference]
    verdict: str
    faults: list[str]
    known_faults: list[str]
    notes: list[str]


def try_change(raw: dict[str, Any], changes: list[Change]) -> DryRun:
    """Try `changes` on the configuration `raw`. Raises `OpsError` if the bench cannot run."""
    try:
        # The very message, because the limits of a message count too.
        patch = decode_patch(encode_patch(_COUNTER_S, 0, _COUNTER_S, _CONFIRM_S, changes))
        changed = patch.apply_to(raw)
        encode_changed(changed)
    except (Rejection, EncodeError) as error:
        return DryRun([], REFUSED, [str(error)], [], [])
    notes = _list_notes(raw, changed, patch.required_role())
    plain = json.loads(json.dumps(changed, default=_as_number))
    differences = list_differences(raw, plain)
    with tempfile.TemporaryDirectory(prefix="coldloop-dry-run-") as folder:
        file, file_before = Path(folder) / "unit.json", Path(folder) / "before.json"
        file.write_text(json.dumps(plain))
        file_before.write_text(json.dumps(raw))
        try:
            read_config(str(file))
        except ConfigError as error:
            lines = [line.removeprefix(f"{file}: ") for line in str(error).splitlines()]
            return DryRun(differences, REFUSED, lines, [], notes)
        failures = _run_twin(file)
        before = (
            {_expectation(failure) for failure in _run_twin(file_before)} if failures else set()
        )
    faults = [failure for failure in failures if _expectation(failure) not in before]
    known = [failure for failure in failures if failure not in faults]
    return DryRun(differences, FAIL if faults else PASS, faults, known, notes)


def _list_notes(raw: dict[str, Any], changed: dict[str, Any], role: int) -> list[str]:
    notes = []
    if role != OPERATE:
        notes.append("needs two signatures, one of them by a key of the role limits")
    reach = [key for key in _REACH if raw.get(key) != changed.get(key)]
    if reach:
        notes.append(f"changes {', '.join(reach)}: no twin shows whether the unit stays reachable")
    return notes


def _expectation(failure: str) -> str:
    """Return scenario and expectation of a failure, without its figures."""
    return ": ".join(failure.split(": ")[:2])


def _as_number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value.mantissa / 10**value.places)
    raise OpsError(f"not a value of a configuration: {value!r}")


def _run_twin(file: Path) -> list[str]:
    """Return the failures of the acceptance with twins."""
    command = [sys.executable, "-m", "coldloop", "hil", "run", "acceptance", "--json"]
    try:
        process = subprocess.run(
            [*command, "--unit", str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise OpsError(f"--dry-run: the bench did not end within {_TIMEOUT_S} s") from None
    try:
        runs = json.loads(process.stdout)["runs"]
        return [f"{run['scenario']}: {failure}" for run in runs for failure in run["failures"]]
    except (ValueError, KeyError, TypeError):
        lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise OpsError(f"--dry-run: the bench did not run: {lines[-1]}") from None


def print_dry_run(
    units: list[str],
    configs: dict[str, dict[str, Any]],
    changes: list[Change],
    as_json: bool,
) -> int:
    """Try the change on each different configuration and print the results; return 0 if all pass.

    Raises `OpsError`: a unit publishes no configuration, or the bench cannot run.
    """
    results: dict[str, DryRun] = {}
    rows: list[dict[str, Any]] = []
    for name in units:
        raw = configs.get(name)
        if raw is None:
            raise OpsError(f"{name}: no configuration published; check its section remote")
        # Units that differ in their name only are one case.
        case = json.dumps({key: value for key, value in raw.items() if key != "unit"})
        if case not in results:
            results[case] = try_change(raw, changes)
        result = results[case]
        rows.append({"unit": name, **result._asdict()})
        rows[-1]["differences"] = [row._asdict() for row in result.differences]
        if not as_json:
            _print_result(name, result)
    if as_json:
        print(json.dumps({"dry_run": rows}))
    return 0 if all(row["verdict"] == PASS for row in rows) else 1


def _print_result(name: str, result: DryRun) -> None:
    lines = [f"{name}: {result.verdict}"]
    lines += [
        f"  {row.path}: {json.dumps(row.first)} -> {json.dumps(row.second)}"
        for row in result.differences
    ]
    lines += [f"  note: {note}" for note in result.notes]
    lines += [f"  {fault}" for fault in result.faults]
    if result.known_faults:
        lines.append(f"  {len(result.known_faults)} failures, also without the change:")
        lines += [f"    {fault}" for fault in result.known_faults]
    for line in lines:
        print(printable(line))
