# SPDX-License-Identifier: Apache-2.0
"""The map of clauses: for each clause the supporting evidence, or "not covered".

Does not state conformity. A run supports a clause if it passed a requirement that the map names
(clauses.toml), and the row says whether its devices were real or emulated. A report supports a
clause with a figure for it, and without a failed verdict. A document supports the clause for which
a person gave it.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from hil.errors import BenchError
from hil.report.dossier.figures import measured
from hil.report.dossier.inputs import DossierInput, SuppliedEvidence

NOT_COVERED = "not covered"


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """A clause and its evidence as lines of text; () means not covered."""

    id: str
    title: str
    evidence: tuple[str, ...]


def map_clauses(
    inputs: Sequence[DossierInput], supplied: Sequence[SuppliedEvidence]
) -> list[ClauseRow]:
    """Return all clauses. Raises BenchError for evidence of a clause that the map does not have."""
    text = resources.files("hil.report.dossier").joinpath("clauses.toml").read_text("utf-8")
    clauses = tomllib.loads(text)["clause"]
    known = {clause["id"] for clause in clauses}
    for entry in supplied:
        if entry.clause not in known:
            raise BenchError(
                f"{entry.clause}: no such clause; there are {', '.join(sorted(known))}"
            )
    return [
        ClauseRow(
            clause["id"],
            clause["title"],
            (
                *(
                    f"{e.name}, supplied (sha256 {e.sha256[:12]})"
                    for e in supplied
                    if e.clause == clause["id"]
                ),
                *_runs(inputs, clause.get("requirements", [])),
                *_figures(inputs, clause.get("figure", "")),
            ),
        )
        for clause in clauses
    ]


def _figures(inputs: Sequence[DossierInput], quantity: str) -> list[str]:
    lines = []
    for entry in inputs:
        remark = measured(entry.kind, entry.content).get(quantity)
        if remark is not None:
            lines.append(f"{entry.name}, {remark}" if remark else entry.name)
    return lines


def _runs(inputs: Sequence[DossierInput], names: Sequence[str]) -> list[str]:
    lines = []
    for name in names:
        for entry in inputs:
            if entry.kind != "record":
                continue
            for run in entry.content["runs"]:
                found = [f for f in run["findings"] if f["requirement"] == name]
                if (
                    found
                    and all(f["verdict"] == "pass" for f in found)
                    and run["verdict"] == "pass"
                ):
                    lines.append(
                        f"{name}: run {run['scenario']} of {entry.name} passed, {devices_text(run)}"
                    )
    return lines


def devices_text(run: dict[str, object]) -> str:
    """Return whether the devices of a run were real, emulated or both."""
    provenance = run["provenance"]
    assert isinstance(provenance, dict)
    kinds = {str(device["kind"]) for device in provenance["devices"]}
    if not kinds:
        return "devices not named"
    return f"{' and '.join(sorted(kinds))} devices"
