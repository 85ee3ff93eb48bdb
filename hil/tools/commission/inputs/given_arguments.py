# SPDX-License-Identifier: Apache-2.0
"""Arguments of a continued commissioning, compared with those of the steps that are done.

Does not parse the command line. A step that is done keeps its arguments in the journal. An argument
that is given again must have the same value, else the old result would be shown for another device
or table. An argument that is not given gets its value from the journal. Permissions (`--real`,
`--write-test`, `--tune`) are never taken from the journal.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.tools.commission.journal import Journal

_SCAN = ("units", "baud", "parity", "functions", "timeout_ms")
_REPORT = ("serial", "operator", "key")
_BY_STEP = {
    "ports": ("ports",),
    "scan": _SCAN,
    "describe": ("table", "table_sha256", "model", "profile"),
    "values": ("gauge",),
    "write-test": ("write_test", "mode"),
    "propose": ("site", "name", "setpoint_c", "setpoint_kpa", "mode"),
    "check": (),
    "twin-acceptance": _REPORT,
    "tune": ("tune",),
    "site-acceptance": (*_REPORT, "real", "seconds"),
}
_FREE = ("timeout_ms",)  # changes no result
_PERMISSIONS = ("write_test", "tune", "real")


def given_names(parser: argparse.ArgumentParser, argv: list[str]) -> set[str]:
    """Return the names of the arguments that the command line gives. Changes the parser."""
    for action in parser._actions:  # noqa: SLF001
        action.default = argparse.SUPPRESS
    names = set(vars(parser.parse_args(argv)))
    return names | ({"table_sha256"} if "table" in names else set())


def step_arguments(step: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a step, as the journal stores them."""
    return {name: _value(name, arguments) for name in _BY_STEP[step]}


def _value(name: str, arguments: argparse.Namespace) -> Any:
    if name == "table_sha256":
        try:
            return hashlib.sha256(arguments.table.read_bytes()).hexdigest()
        except (AttributeError, OSError):
            return ""
    value = getattr(arguments, name)
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def take_from_journal(
    arguments: argparse.Namespace, given: set[str], steps: tuple[str, ...], journal: Journal
) -> None:
    """Compare the given arguments with the journal, and take the others from it.

    Raises BenchError with a line for each argument that differs.
    """
    problems = []
    for step in steps:
        for name, old in journal.arguments(step).items():
            if name in given and name not in _FREE:
                new = _value(name, arguments)
                if new != old:
                    problems.append(_difference(name, old, new, step))
            elif name not in (*given, *_PERMISSIONS, "table_sha256"):
                is_path = old is not None and name in ("table", "key")
                setattr(arguments, name, Path(old) if is_path else old)
    if problems:
        raise BenchError("\n".join(dict.fromkeys(problems)))


def _difference(name: str, old: Any, new: Any, step: str) -> str:
    where = f"step `{step}` is done"
    what = f"{name}: {new!r}, but the journal has {old!r}"
    if name == "table_sha256":
        what = "table: its content has changed"
    return f"{what}; {where}: repeat it with `--from {step}`, or use another --dir"
