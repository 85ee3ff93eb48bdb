# SPDX-License-Identifier: Apache-2.0
"""Checks that the inputs of a dossier belong to one unit, and that none is given twice.

Does not prove it: a record names a serial number and no unit, and some reports name neither. What
could not be compared is named in a remark of the dossier.
"""

from collections.abc import Sequence
from typing import Any

from hil.errors import BenchError
from hil.report.dossier.inputs import DossierInput, SuppliedEvidence


def name_unit(content: dict[str, Any]) -> str:
    """Return SITE/UNIT of a report or a configuration; "" if it names no unit."""
    site, unit = content.get("site"), content.get("unit")
    return f"{site}/{unit}" if site and unit else ""


def check_identity(
    inputs: Sequence[DossierInput], supplied: Sequence[SuppliedEvidence]
) -> list[str]:
    """Return remarks about what was not compared. Raises BenchError for a second unit."""
    _refuse_repeats(inputs, supplied)
    serials = {str(entry.content["serial"]) for entry in inputs if entry.kind == "record"} - {""}
    if len(serials) > 1:
        raise BenchError(f"records of different units: serial numbers {', '.join(sorted(serials))}")
    named = [(entry.name, _units(entry)) for entry in inputs]
    single = {unit for _, units in named if len(units) == 1 for unit in units}
    if len(single) > 1:
        raise BenchError(f"files of different units: {', '.join(sorted(single))}")
    remarks = []
    for name, units in named:
        if len(units) > 1 and single:
            if not single <= units:
                raise BenchError(f"{name}: has no rows of {', '.join(single)}")
            remarks.append(f"{name} also has other units: {', '.join(sorted(units - single))}.")
        elif len(units) > 1:
            remarks.append(f"{name} has several units: {', '.join(sorted(units))}.")
    silent = [name for name, units in named if not units]
    if silent and single:
        remarks.append(
            f"These files name no unit, so it was not checked that they belong to "
            f"{', '.join(single)}: {', '.join(silent)}."
        )
    return remarks


def _units(entry: DossierInput) -> frozenset[str]:
    if entry.kind == "rows":
        return frozenset(row[0] for row in entry.content["rows"])
    if entry.kind in ("ledger", "annual", "unit"):
        return frozenset([name_unit(entry.content)]) - {""}
    return frozenset()


def _refuse_repeats(inputs: Sequence[DossierInput], supplied: Sequence[SuppliedEvidence]) -> None:
    """Refuse a file that is given twice: its runs would count twice."""
    keys: list[tuple[object, str]] = [
        (entry.content["hash"] if entry.kind == "record" else entry.sha256, entry.name)
        for entry in inputs
    ]
    keys += [((e.clause, e.sha256), e.name) for e in supplied]
    seen: dict[object, str] = {}
    for key, name in keys:
        if key in seen:
            raise BenchError(f"{name}: the same content as {seen[key]}; give it once")
        seen[key] = name
