# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil new`: write a first scenario file, and the schema for the editor.

The file runs as it is. The schema makes an editor with a TOML language server complete and check
the keys: the first line of the scenario names it.
"""

import argparse
import json
import os
import re
from pathlib import Path

from hil.errors import BenchError
from hil.io.regular_file import write_whole
from hil.scenario.authoring.schema import schema_text
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil new load-doubles"
SCHEMA = "scenario.schema.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_TEXT = """\
#:schema ./{schema}
# Check: coldloop hil check {name}.toml     Run: coldloop hil run {name}.toml
# Words: coldloop hil words faults | measures | row

name = "{name}"
title = "the load doubles, and the supply temperature stays in its limits"
seconds = 300

[row]                       # the row at the start; `coldloop hil words row`
it_kw = 40

[[event]]                   # what happens; `coldloop hil words faults`
at_s = 60
do = "it_load"
value = 80

[[expect]]                  # what must hold; `coldloop hil words measures`
measure = "supply_c"
unit = "Cel"
min = 28
max = 36
from_s = 30

[[expect]]
measure = "missed_ticks"
max = 0

# [[prompt]]                # a question to the person at the bench: confirm, text or number
# at_s = 90
# text = "What does the gauge show?"
# ask = "number"
# unit = "kPa"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="name: small letters, digits, hyphens")
    parser.add_argument(
        "--folder",
        type=path_argument,
        default=Path(),
        metavar="DIR",
        help="folder of the file (here)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list of the files")


def run(arguments: argparse.Namespace) -> int:
    """Write both files; an existing scenario is not replaced."""
    name = arguments.name.removesuffix(".toml")
    if not _NAME.fullmatch(name):
        raise BenchError(f"{arguments.name!r}: a name has small letters, digits and hyphens")
    target, schema = arguments.folder / f"{name}.toml", arguments.folder / SCHEMA
    if os.path.lexists(target):
        raise BenchError(f"{target}: exists already")
    write_whole(schema, schema_text().encode())
    write_whole(target, _TEXT.format(name=name, schema=SCHEMA).encode())
    print(json.dumps([str(target), str(schema)]) if arguments.json else f"{target}\n{schema}")
    return 0
