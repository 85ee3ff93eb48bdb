# SPDX-License-Identifier: Apache-2.0
"""`coldloop dossier`: a document of what was measured on a unit, for the file of a platform.

Does not measure, and does not estimate what was not measured. Exit 2: a file is damaged, unknown,
has an impossible figure, belongs to another unit, or is a record with a wrong hash or signature.
"""

import argparse
import json
import sys
from pathlib import Path

from drivers.tools.lib.parser import Parser
from hil.errors import BenchError
from hil.report.dossier.inputs import (
    DossierInput,
    SuppliedEvidence,
    read_evidence,
    read_input,
)
from hil.report.dossier.page import PDF, write_dossier
from hil.report.dossier.sections import Section, build_sections
from hil.tools.arguments import path_argument


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="coldloop dossier",
        description="Write a dossier (HTML, PDF, JSON) from records and reports of a unit.",
        epilog="example: coldloop dossier out/acceptance ledger.json rows.csv --out dossier",
    )
    parser.add_argument(
        "file",
        type=path_argument,
        nargs="+",
        metavar="FILE",
        help="folder of a record, or a file: record, ledger and link reports as JSON, exported "
        "rows as CSV, a configuration",
    )
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder")
    parser.add_argument("--title", default="coldloop unit", metavar="TEXT", help="name of the unit")
    parser.add_argument(
        "--evidence",
        action="append",
        default=[],
        metavar="CLAUSE=FILE",
        help="a document from elsewhere for a clause, such as the report of a laboratory",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    return parser


def _build(inputs: list[DossierInput], supplied: list[SuppliedEvidence]) -> list[Section]:
    """Build the sections; a file with the marks of a kind can still have another form."""
    try:
        return build_sections(inputs, supplied)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise BenchError(f"the form of an input is wrong: {error!r}") from None


def dossier(argv: list[str]) -> int:
    """Write the dossier; print the paths. Exit 1: there is no PDF, because Chromium is missing."""
    arguments = build_parser().parse_args(argv)
    try:
        inputs = [read_input(Path(path)) for path in arguments.file]
        supplied = [read_evidence(text) for text in arguments.evidence]
        sections = _build(inputs, supplied)
        paths = write_dossier(arguments.title, sections, Path(arguments.out))
    except BenchError as error:
        sys.stderr.write(f"coldloop dossier: {error}\n")
        return 2
    if arguments.json:
        print(json.dumps({"files": [str(path) for path in paths]}))
    for path in () if arguments.json else paths:
        print(path)
    if paths[-1].name != PDF:
        sys.stderr.write("coldloop dossier: no PDF: Chromium is missing\n")
        return 1
    return 0
