# SPDX-License-Identifier: Apache-2.0
"""Writes the schemas of docs and the pages of docs/reference from the code: `make reference`.

    python docs/tools/reference.py            write the files
    python docs/tools/reference.py --check    exit 1 and name the files that are not as the code is

Commands and their options come from the parsers themselves, the configuration from its JSON Schema,
points from the profiles, scenario words from the bench's tables. Alarms come from the records of
`agent.tools.alarm_list`, their texts from `agent.alarms.catalogue`. A code that has no record, or a
record without an entry, stops this tool.
"""

import argparse
import contextlib
import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
_LARGE_SUITE = 40
"""A suite with more runs than this is a number in the table."""
OUT = ROOT / "docs"
NOTE = "`make reference` writes this page from the code; a test compares them."


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or say which differ."""
    parser = argparse.ArgumentParser(description="Write the generated files of docs.")
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args(argv).check
    stale = []
    for name, make in PAGES.items():
        path, text = OUT / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(f"docs/{name}")
            if not check:
                path.write_text(text, encoding="utf-8")
    if stale:
        print(" ".join(stale) + (": not as the code is; make reference" if check else ": written"))
    return 1 if check and stale else 0


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in cells)


# Commands.


class CapturedError(Exception):
    """Thrown instead of parsing: the parser that a command has made."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


@contextlib.contextmanager
def _captured() -> Iterator[None]:
    def stop(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise CapturedError(parser)

    real = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = stop  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        argparse.ArgumentParser.parse_args = real  # type: ignore[method-assign]


def _parser_of(call: Callable[[list[str]], int], words: list[str]) -> argparse.ArgumentParser:
    try:
        with _captured():
            call(words)
    except CapturedError as found:
        return found.parser
    raise SystemExit(f"{words}: made no parser")


def _overview(call: Callable[[list[str]], int]) -> str:
    """The --help of a command with subcommands; "" for one without."""
    output = io.StringIO()
    try:
        with _captured(), contextlib.redirect_stdout(output):
            call(["--help"])
    except CapturedError:
        return ""
    return output.getvalue()


def _subcommands(call: Callable[[list[str]], int]) -> list[str]:
    """The subcommands of a command that has some, as its --help lists them."""
    text = _overview(call)
    if not text:
        return []
    block = text.split("subcommands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in block.splitlines()]


def _nested(name: str) -> list[str]:
    """The words that a command with options of its own passes to another parser."""
    return {"relay": ["quarantine"]}.get(name, [])


def _argument(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings) or ""
    value = action.metavar if isinstance(action.metavar, str) else ""
    if not value and action.choices is not None:
        value = "|".join(str(choice) for choice in action.choices)
    if not value and action.nargs != 0:
        value = action.dest.upper()
    return "`" + f"{names} {value}".strip() + "`"


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "") % {**vars(action), "prog": "coldloop"}
    listed = () if isinstance(action.choices, range) else action.choices or ()
    choices = " ".join(str(choice) for choice in listed)
    return f"{text} ({choices})" if choices and action.metavar else text


def _command(parser: argparse.ArgumentParser, level: str) -> str:
    actions = [a for a in parser._actions if a.dest != "help" and a.help != argparse.SUPPRESS]  # noqa: SLF001
    text = f"{level} {parser.prog}\n\n{parser.description}\n\n"
    if actions:
        rows = [(_argument(action), _meaning(action)) for action in actions]
        text += table(("argument", "meaning"), rows) + "\n"
    epilog = (parser.epilog or "").removeprefix("example:").strip()
    return text + (f"    {epilog}\n\n" if epilog else "")


def commands() -> str:
    """Every command with its options."""
    front = importlib.import_module("coldloop").COMMANDS
    text = (
        "# Commands\n\nFor everybody who types `coldloop`. " + NOTE + " The same text is in "
        "`coldloop COMMAND --help`.\n\n"
        "Exit codes: 0 good, 1 judged bad, 2 wrong use, 130 interrupted, or the reader has "
        "closed the output.\n\n"
    )
    text += table(("command", "purpose"), [(f"`{k}`", about) for k, (_, about) in front.items()])
    for name, (place, about) in front.items():
        module, function = place.split(":")
        call = getattr(importlib.import_module(module), function)
        words = _subcommands(call)
        if not words:
            text += "\n" + _command(_parser_of(call, []), "##")
            text += "".join(_command(_parser_of(call, [w]), "###") for w in _nested(name))
            continue
        text += f"\n## coldloop {name}\n\n{about[0].upper()}{about[1:]}.\n\n"
        text += "".join(_command(_parser_of(call, [word]), "###") for word in words)
    return text.rstrip() + "\n"


# Configuration.


def _limits(rule: dict[str, Any]) -> str:
    if "enum" in rule:
        return ", ".join(f"`{value}`" for value in rule["enum"])
    if "const" in rule:
        return f"`{rule['const']}`"
    kind = {"integer": "whole number", "string": "text", "array": "list"}.get(
        rule["type"], str(rule["type"])
    )
    for low, high, of in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
    ):
        if low in rule and high in rule:
            kind += f", {rule[low]} to {rule[high]}{of}"
    return kind


def _keys(prefix: str, rule: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, inner in rule.get("properties", {}).items():
        path = prefix + name
        default = "required" if name in rule.get("required", ()) else ""
        if "default" in inner:
            default = f"`{json.dumps(inner['default'])}`"
        yield f"`{path}`", _limits(inner), default, inner.get("description", "")
        yield from _below(path, inner)


def _below(path: str, rule: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    yield from _keys(path + ".", rule)
    for inner in rule.get("patternProperties", {}).values():
        yield f"`{path}.NAME`", _limits(inner), "", inner.get("description", "")
        yield from _below(path + ".NAME", inner)
    items = rule.get("items")
    if items is not None:
        if "properties" not in items:
            yield f"`{path}[]`", _limits(items), "", items.get("description", "")
        yield from _below(path + "[]", items)


def schema_file() -> str:
    """The JSON Schema of the configuration."""
    from agent.commands import schema_text

    return schema_text()


def configuration() -> str:
    """Every key of the configuration."""
    schema = json.loads(schema_file())
    text = (
        "# Configuration keys\n\nFor operators and technicians who write a unit's configuration. "
        + NOTE
        + "\n\n`coldloop agent --schema` prints the same as a JSON Schema "
        "([config.schema.json](../config.schema.json)); `coldloop config check FILE` checks a file."
        "\nHow to write a file: [configure a unit](../operator/configure.md). `NAME` stands for a "
        "name of yours, `[]` for each entry of a list.\n\n## Top level\n\n"
    )
    head = ("key", "value", "default", "meaning")
    flat = {k: v for k, v in schema["properties"].items() if v["type"] not in ("object", "array")}
    text += table(head, list(_keys("", {**schema, "properties": flat})))
    for name, rule in schema["properties"].items():
        if name in flat:
            continue
        must = "Required. " if name in schema["required"] else "Optional. "
        about = rule["description"]
        text += f"\n## {name}\n\n{must}{about[0].upper()}{about[1:]}.\n\n"
        text += table(head, list(_below(name, rule)))
    return text + _tunable_keys()


def _tunable_keys() -> str:
    """The keys that a signed message can change by number."""
    from agent.core.tunable import TUNABLES
    from agent.remote.message.keyring import ROLES

    roles = {number: name for name, number in ROLES}
    rows = []
    for row in TUNABLES:
        low, high, step = (f"{value / 1000:.10g}" for value in (row.low, row.high, row.step))
        role = f"`{roles[row.role]}`"
        restart = "no" if row.live else "yes"
        number = str(row.number)
        limits = f"{low} to {high}"
        step = step if row.step else "any"
        rows.append((number, f"`{row.path}`", f"`{row.unit}`", limits, role, step, restart))
    return (
        "\n## Keys with a number\n\nA signed message names these keys by their number, which saves "
        "bytes. Every other key counts as structure: its change needs the role `limits` and a "
        "restart.\nA change with the role `limits` needs a second signature. *Step*: the largest "
        "change in one message. Units are UCUM.\n\n"
        + table(("number", "key", "unit", "range", "role", "step", "restart"), rows)
    )


# Points.


def _point(entry: dict[str, Any], defaults: dict[str, Any]) -> tuple[str, ...]:
    of = {**defaults, **entry}
    scale = of.get("scale", [1, 1])
    count = "1" if scale == [1, 1] else f"{scale[0]}/{scale[1]}"
    access = "read, write" if of.get("write") else "read"
    return (
        f"`{of['name']}`",
        of.get("unit", "1"),
        count,
        str(of.get("function", 3)),
        str(of["address"]),
        of.get("type", "u16"),
        access,
        of.get("poll", "fast"),
    )


def points() -> str:
    """Every point of every profile that ships."""
    text = (
        "# Points\n\nFor technicians and engineers: the values that each device model gives. "
        + NOTE
        + "\n\nNames are Redfish's where Redfish has one. Units are UCUM (`Cel` is °C). A value is "
        "the register times *count*.\nAddresses count from 0. How to write a profile: "
        "[profiles](../engineer/profiles.md).\n\n"
        "In telemetry a point is named `DEVICE.POINT`, with the device's name in the configuration."
        "\n"
    )
    head = ("point", "unit", "count", "function", "address", "type", "access", "poll")
    for path in sorted((ROOT / "drivers" / "profiles").glob("*.json")):
        if path.name == "profile.schema.json":
            continue
        profile = json.loads(path.read_text(encoding="utf-8"))
        met = "yes" if profile["met_hardware"] else "no"
        text += f"\n## {profile['model']}\n\n{profile['title']}. Tested on hardware: {met}.\n\n"
        defaults = profile.get("defaults", {})
        text += table(head, [_point(entry, defaults) for entry in profile["points"]])
        if profile.get("bits"):
            rows = [
                (f"`{b['name']}`", str(b["address"]), str(b.get("bit", 0)), _yes(b.get("alarm")))
                for b in ({**defaults, **bit} for bit in profile["bits"])
            ]
            text += "\n" + table(("bit", "address", "bit number", "alarm"), rows)
    return text


def northbound_points() -> str:
    """Return the page of the points of the northbound servers."""
    from deploy.northbound.command.point_words import PROTOCOLS
    from deploy.northbound.command.points import flag_table, protocols, table_rows, word_table

    head = ("key", "point", "unit", *protocols())
    return (
        "# Northbound points\n\nFor integrators of a building management system, a rack manager or "
        f"a metrics store. {NOTE}\n\nThe place of each point in each protocol. `n` is the number "
        "of a pump, fan or leak detector. A dash: the protocol does not have the point. A point "
        "that the unit does not measure is there, with the word of the protocol for not known. "
        "Redfish: `MetricReports/All` is the report of the TelemetryService, with the MetricId; "
        "`Managers/1` also has the redundancy of a pair.\n\n"
        "The same list for programs:\n\n"
        "    coldloop northbound points --csv > points.csv\n"
        "    coldloop northbound points --epics > points.tpi   # BACnet, ANSI/ASHRAE 135.1\n\n"
        "The addresses of Modbus count from 0. The number is that of the first instance.\n\n"
        + table(head, [list(row) for row in table_rows()])
        + "\n## Words and numbers\n\nThe number of a word is not the same in all protocols: BACnet "
        "and SNMP count from 1. Prometheus and Redfish give the word. A state that is not known is "
        "65535 over Modbus, `unknown` with the flag FAULT over BACnet, and no instance over SNMP. "
        "The meaning: "
        "[redundant pair](../technician/redundant_pair.md), [group](../technician/group.md), "
        "[unit states](../operator/alarms.md).\n\n"
        + table(("key", "word", *PROTOCOLS), [list(row) for row in word_table()])
        + "\nFlags: points that are 0 or 1 over Modbus. BACnet names 0 inactive and 1 active.\n\n"
        + table(("word", *PROTOCOLS), [list(row) for row in flag_table()])
    )


def bacnet_pics() -> str:
    """Return the conformance statement of the BACnet server."""
    import asyncio

    from deploy.northbound.bacnet.pics import pics_page

    async def make() -> str:
        page = pics_page(NOTE)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # of the objects, which belong to no device here
        return page

    return asyncio.run(make())


def _yes(value: object) -> str:
    return "yes" if value else ""


# Scenario words.


def scenario_words() -> str:
    """Every word that a scenario can use."""
    from hil.measure.registry import MEASURES
    from hil.scenario.loader import find, shipped_names
    from hil.scenario.suite import load_suite, suite_names
    from hil.tools.listing import write_table as faults

    text = (
        "# Scenario words\n\nFor everybody who reads or writes scenarios of the bench. "
        + NOTE
        + "\nHow a scenario is written: [the bench](../technician/bench.md). `coldloop hil list` "
        "and `coldloop hil list --faults` print the same.\n\n## Events and faults\n\n"
        "`do` of an `[[event]]`. *value*: the range of `value`. *ends*: `for_s` or a second event "
        "takes it back. *needs*: a key of `[row]` that adds the part.\n\n"
    )
    text += faults() + "\n\n## Keys of the row\n\n`[row]`, and each `[[case]]`.\n\n" + _row_keys()
    text += "\n\n## Measures\n\n`measure` of an `[[expect]]`.\n\n"
    rows = []
    for name, measure in sorted(MEASURES.items()):
        word = getattr(measure, "argument", "") or ""
        shown = f"`{name}:{word.upper()}`" if word else f"`{name}`"
        rows.append((shown, measure.unit or "1", measure.description))
    text += table(("measure", "unit", "meaning"), rows) + "\n## Scenarios\n\n"
    found = [find(name) for name in shipped_names()]
    text += table(
        ("scenario", "seconds", "real time", "what it shows"),
        [(f"`{s.name}`", f"{s.seconds:g}", _yes(s.realtime), s.title) for s in found],
    )
    text += "\n## Suites\n\n"
    rows = []
    for name in suite_names():
        suite = load_suite(name)
        # A scenario's file or name, as the suite says it.
        names = [getattr(one, "name", one) for one in suite.scenarios]
        held = " ".join(f"`{one}`" for one in names)
        if len(names) > _LARGE_SUITE:
            held = f"{len(names)} runs; `coldloop hil list` names their scenarios"
        rows.append((f"`{name}`", suite.title, held))
    return text + table(("suite", "purpose", "scenarios"), rows)


def _row_keys() -> str:
    from hil.scenario.authoring.vocabulary import list_row_keys

    rows = []
    for word in list_row_keys():
        low, high = word["limits"] or ("", "")
        limits = f"{low:g} to {high:g}" if word["limits"] else ""
        default = f"`{json.dumps(word['default'])}`"
        rows.append((f"`{word['name']}`", word["meaning"], word["unit"], limits, default))
    return table(("key", "meaning", "unit", "range", "default"), rows)


def scenario_schema() -> str:
    """The JSON Schema of scenario files."""
    from hil.scenario.authoring.schema import schema_text

    return schema_text()


# Alarms.


def _alarm_text(record: Any, entry: Any) -> str:
    """The section of an alarm: what its record says, then what the catalogue says."""
    from agent.alarms.catalogue import span_text
    from agent.alarms.entry_text import state_text

    source = "" if record is None or not record.per else ":" + record.per.upper()
    state = state_text(entry, record)
    span = span_text(entry.respond_s)
    lines = [
        f"Number {entry.number}, priority {entry.priority}, respond within {span}.",
        f"Unit state: {state}.",
        "",
        f"- Meaning: {entry.means}",
        f"- Cause: {entry.cause}",
        f"- Consequence: {entry.consequence}",
        f"- Action: {entry.do}",
    ]
    if entry.reset:
        lines.append(f"- Latched. {entry.reset}")
    if entry.suppressed_by:
        roots = ", ".join(f"`{code}`" for code in entry.suppressed_by)
        lines.append(
            f"- Only counted while one of these is active, and {entry.lag_s} s longer: {roots}"
        )
    if entry.continued_by:
        causes = ", ".join(f"`{code}`" for code in entry.continued_by)
        lines.append(f"- Only counted after their end too, while one of these is active: {causes}")
    return f"### `{entry.code}{source}`\n\n" + "\n".join(lines) + "\n"


_CODES_A_ROW = 24


def alarms() -> str:
    """Every alarm with what to do."""
    from agent.alarms.catalogue import PRIORITIES, catalogue, compare
    from agent.tools.alarm_list import all_records

    found, records = catalogue(), all_records()
    problems = compare(found, records)
    if problems:
        raise SystemExit("\n".join(problems))
    text = (
        "# Alarms\n\nFor technicians and operators: the meaning of each alarm, and its action. "
        + NOTE
        + "\nThe data is `agent/alarms/alarms.toml`. `coldloop alarms show CODE` prints the same. "
        "How alarms reach people: [alarms](../operator/alarms.md).\n\n"
        "An alarm has a code and a text. `coldloop status` shows active alarms. The part after a "
        "colon is the device, port or load: `device_lost:valve`.\n\n"
        "The unit state while the alarm is active:\n\n"
        "- `normal`\n"
        "- `degraded`: the unit cools, something is missing\n"
        "- `safe`: the outputs have their fail-safe values\n"
        "- `stopped`: the unit does not cool, intentionally\n\n"
        "## Priorities\n\n"
    )
    rows = []
    for number, meaning in PRIORITIES.items():
        codes = sorted(e.code for e in found.entries.values() if e.priority == number)
        for i in range(0, len(codes), _CODES_A_ROW):
            row = " ".join(f"`{code}`" for code in codes[i : i + _CODES_A_ROW])
            rows.append((str(number), meaning, row))
    text += table(("priority", "respond", "alarms"), rows)
    for title, names in found.groups:
        text += f"\n## {title}\n\n"
        text += "\n".join(_alarm_text(records.get(c), found.entries[c]) for c in names)
    return text.rstrip("\n") + "\n"


def mutation() -> str:
    """The last mutation tests of each subject."""
    from benchmarks.mutation.subjects import equivalents, results, subjects

    text = (
        "# Mutation tests\n\nFor engineers and auditors: do the tests notice a changed line? "
        "`make reference` writes this page from the last runs "
        "(`benchmarks/mutation/results.json`).\n\n"
        "mutmut changes one place of the code: a number, a comparison, an argument, an assignment "
        "or a text. The tests of the subject run that execute the changed statement, without "
        "scenarios. They run on CPython, each mutant in a process of its own. A mutant is killed "
        "if a test fails. A mutant that loops until its time is over also counts as killed. The "
        "sample is random; the seed fixes it. The target is 90 % in each subject.\n\n"
        '    make mutation SUBJECT=laws N=200 ARGS="--seed 7"     # prints each survivor\n'
        "    make mutation SUBJECT=laws N=200 ARGS=--write         # keeps the result\n\n"
    )
    keys = ("all", "sample", "seed", "killed", "timeout", "survived", "equivalent", "pct", "date")
    rows = []
    for name, subject in subjects().items():
        files = ", ".join(f"`{source}`" for source in subject.sources)
        found = results().get(name)
        values = ["not run"] + [""] * 8 if found is None else [str(found[key]) for key in keys]
        rows.append([name, files, *values])
    head = ["subject", "files", "mutants", "sample", "seed", "killed", "time over", "survived"]
    text += table([*head, "equivalent", "killed, %", "date"], rows)
    text += "\n## Equivalent mutants\n\nNo test can detect these changes, so they do not count.\n\n"
    changes = sorted(equivalents().items(), key=lambda item: (item[0].function, item[0].after))
    cells = [[f"`{c.function}`", f"`{c.before}`", f"`{c.after}`", why] for c, why in changes]
    return text + table(["function", "code", "mutant", "reason"], cells) + _promise_faults()


def _promise_faults() -> str:
    """The faults of the promises of assurance.md, with the last result of each."""
    from benchmarks.mutation.promises import kept_results, promises

    text = (
        "\n## Promises\n\nEach promise of [assurance](../project/assurance.md) is broken "
        "deliberately. The test that it names must fail. `python -m benchmarks.mutation.promises "
        "--write` runs them; a soak test runs all of them too.\n\n"
    )
    kept, rows = kept_results(), []
    for promise in promises():
        result = kept.get(promise.key(), ["not run", ""])
        test = promise.test.partition("::")[2]
        rows.append([str(promise.line), promise.what, f"`{promise.file}`", f"`{test}`", *result])
    return text + table(["promise", "fault", "file", "test", "result", "date"], rows)


def _describe_parser(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Describe a parser as data, for `drivers.tools.lib.command_spec`."""
    groups = []
    for group in parser._action_groups:  # noqa: SLF001
        options = [_describe_action(action) for action in group._group_actions]  # noqa: SLF001
        if options:
            groups.append({"title": group.title, "options": options})
    head = {"prog": parser.prog, "description": parser.description or ""}
    return {**head, "epilog": parser.epilog or "", "groups": groups}


def _describe_action(action: argparse.Action) -> dict[str, Any]:
    text = action.help
    if text and text != argparse.SUPPRESS:
        text = text % {**vars(action), "prog": "coldloop"}
    choices = None
    if action.choices is not None and not isinstance(action.choices, range):
        choices = [str(choice) for choice in action.choices]
    return {
        "flags": list(action.option_strings),
        "dest": action.dest,
        "nargs": action.nargs,
        "metavar": action.metavar,
        "help": text,
        "choices": choices,
        "required": bool(action.required),
    }


def command_spec() -> str:
    """The parsers of all commands as data, for --help, completion and man pages."""
    spec = {}
    for name, (place, _) in importlib.import_module("coldloop").COMMANDS.items():
        module, function = place.split(":")
        call = getattr(importlib.import_module(module), function)
        words = _subcommands(call)
        if words:
            spec[name] = {"overview": _overview(call)}
        for word in words or ["", *_nested(name)]:
            parser = _parser_of(call, [word] if word else [])
            spec[f"{name} {word}".strip()] = _describe_parser(parser)
    return json.dumps(spec, indent=0, ensure_ascii=True) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "../drivers/tools/lib/commands.json": command_spec,
    "config.schema.json": schema_file,
    "reference/alarms.md": alarms,
    "reference/bacnet_pics.md": bacnet_pics,
    "reference/commands.md": commands,
    "reference/configuration.md": configuration,
    "reference/mutation.md": mutation,
    "reference/points.md": points,
    "reference/scenario_words.md": scenario_words,
    "scenario.schema.json": scenario_schema,
    "reference/northbound_points.md": northbound_points,
}

if __name__ == "__main__":
    sys.exit(main())
