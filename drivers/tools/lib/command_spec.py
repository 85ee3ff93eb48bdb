# SPDX-License-Identifier: Apache-2.0
"""The commands as data: names, options and help texts of each parser, without its modules.

Does not parse a command line. `make reference` writes `commands.json` from the parsers, and a test
compares them. So `--help`, the completion of shells and the man pages need no import of a command.

    {"hil": {"overview": …},
     "hil run": {"prog": …, "description": …, "epilog": …, "groups": [{"title": …, …}]}}
"""

import argparse
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    CommandSpec = dict[str, Any]

SPEC_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "commands.json")
_HELP = ("-h", "--help")
_STANDARD_GROUPS = ("positional arguments", "options")


def load_spec() -> "dict[str, CommandSpec]":
    """Read the file; {} if it is missing or damaged: then each command makes its own help."""
    try:
        with open(SPEC_FILE, encoding="utf-8") as file:
            spec: dict[str, CommandSpec] = json.load(file)
    except (OSError, ValueError):
        return {}
    return spec


def find_help(argv: "list[str]") -> str:
    """Return the help that `argv` asks for; "": it asks for none, or the data have none."""
    before = argv[: argv.index("--")] if "--" in argv else argv
    if not any(word in _HELP for word in before):
        return ""
    spec = load_spec()
    for length in (2, 1):
        found = spec.get(" ".join(argv[:length]))
        if found is None or len(argv) <= length:
            continue
        if "overview" not in found:
            return build_parser(found).format_help()
        return str(found["overview"]) if argv[1] in _HELP else ""
    return ""


def build_parser(spec: "CommandSpec") -> argparse.ArgumentParser:
    """Build a parser with the help of the described one; it cannot parse values."""
    parser = argparse.ArgumentParser(
        prog=spec["prog"], description=spec["description"], epilog=spec["epilog"], add_help=False
    )
    for entry in spec["groups"]:
        is_standard = entry["title"] in _STANDARD_GROUPS
        group = parser if is_standard else parser.add_argument_group(entry["title"])
        for option in entry["options"]:
            names = option["flags"] or [option["dest"]]
            group.add_argument(*names, **_arguments_of(option))
    return parser


def _arguments_of(option: "dict[str, Any]") -> "dict[str, Any]":
    """Return the arguments of `add_argument` for a described option."""
    text = option["help"]
    shown = text if text is None or text == argparse.SUPPRESS else text.replace("%", "%%")
    arguments: dict[str, Any] = {"help": shown}
    if not option["flags"]:
        arguments["metavar"] = option["metavar"] or option["dest"]
    elif option["nargs"] == 0:
        return dict(arguments, action="store_true", dest=option["dest"])
    else:
        arguments.update(dest=option["dest"], required=option["required"])
        if option["metavar"] is not None:
            metavar = option["metavar"]
            arguments["metavar"] = tuple(metavar) if isinstance(metavar, list) else metavar
    if option["nargs"] is not None:
        arguments["nargs"] = option["nargs"]
    if option["choices"] is not None:
        arguments["choices"] = option["choices"]
    return arguments
