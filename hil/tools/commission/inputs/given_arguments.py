# SPDX-License-Identifier: Apache-2.0
"""Arguments of a continued commissioning, compared with those of the steps that are done.

Does not parse the command line. The journal has the arguments of all calls, from before the first
step. An argument that is not given gets its value from there, so a step that was interrupted, has
failed or is repeated has it again. An argument of a step that is done must have the same value,
else the old result would be shown for another device or table. Another change is named.
Permissions (`--real`, `--write-test`, `--tune`) are never taken from the journal.
"""

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.tools.commission.inputs.argument_values import is_same_gauge
from hil.tools.commission.outputs.journal import Journal

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
_NOT_STORED = (*_PERMISSIONS, "table_sha256")
_STORED = tuple(
    dict.fromkeys(name for names in _BY_STEP.values() for name in names if name not in _NOT_STORED)
)
_BY_KEY = ("gauge", "profile")
"""Lists of "KEY=VALUE"."""
_COMPARED = "compared_gauges"
"""Key of the calls: the gauges with which a step `values` was done."""


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


def take_from_journal(arguments: argparse.Namespace, given: set[str], journal: Journal) -> None:
    """Give each argument that this call does not name the value of an earlier call.

    A gauge or profile that is named again replaces the earlier one of the same point or unit. The
    points of gauges that were compared before, and are not named again, are then `earlier`.
    """
    stored = journal.call_arguments()
    arguments.earlier = []
    for name in set(_STORED) & set(stored):
        old = kept = stored[name]
        if name not in given:
            is_path = old is not None and name in ("table", "key")
            setattr(arguments, name, Path(old) if is_path else old)
        elif name in _BY_KEY:
            named = {_key(text) for text in getattr(arguments, name)}
            kept = [text for text in old if not any(is_same_gauge(_key(text), k) for k in named)]
            setattr(arguments, name, kept + getattr(arguments, name))
        if name == "gauge":
            arguments.earlier = [_key(text) for text in kept if text in _compared(journal)]


def _compared(journal: Journal) -> list[str]:
    """Return the gauges with which the step `values` was done last, also if it is forgotten."""
    found: list[str] = journal.arguments("values").get("gauge") or []
    return found or journal.call_arguments().get(_COMPARED, [])


def check_done_steps(
    arguments: argparse.Namespace, given: set[str], steps: tuple[str, ...], journal: Journal
) -> None:
    """Raise BenchError with a line for each given argument that a step had otherwise."""
    problems = []
    for step in steps:
        for name, old in journal.arguments(step).items():
            new = _value(name, arguments) if name in given and name not in _FREE else old
            if new != old:
                problems.append(_difference(name, old, new, step))
    if problems:
        raise BenchError("\n".join(dict.fromkeys(problems)))


def keep_arguments(
    arguments: argparse.Namespace, given: set[str], journal: Journal
) -> Iterator[str]:
    """Store the arguments of this call in the journal; yield a line for each that has changed."""
    old = journal.call_arguments()
    new = {name: _value(name, arguments) for name in _STORED if name in given or name in old}
    for name, value in new.items():
        if name in old and old[name] != value:
            yield f"{name}: {value!r}; an earlier call had {old[name]!r}"
    journal.put_call(new)


def keep_earlier(journal: Journal) -> None:
    """Store the arguments of the steps that are done, before a step is forgotten."""
    old = journal.call_arguments()
    kept = {name: value for name, value in old.items() if name in _STORED}
    journal.put_call({**kept, _COMPARED: _compared(journal)})


def permissions(arguments: argparse.Namespace) -> list[str]:
    """Return the permissions of this call as words of the command line."""
    names = [name for name in (*_PERMISSIONS, "yes") if getattr(arguments, name)]
    return ["--" + name.replace("_", "-") for name in names]


def _key(text: str) -> str:
    """Return the point or unit of "POINT=VALUE"."""
    return text.partition("=")[0]


def _difference(name: str, old: Any, new: Any, step: str) -> str:
    where = f"step `{step}` is done"
    what = f"{name}: {new!r}, but the journal has {old!r}"
    if name == "table_sha256":
        what = "table: its content has changed"
    return f"{what}; {where}: repeat it with `--from {step}`, or use another --dir"
