# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of a scenario file, for editors with a TOML language server.

Does not replace the check of `hil.scenario.semantic_check`: a schema cannot compare two values.
"""

import json
from dataclasses import MISSING, Field, fields
from typing import Any

from hil.bench.testbed_settings import LIMITS, TestbedSettings
from hil.scenario.authoring.row_texts import ROW_TEXTS
from hil.scenario.authoring.vocabulary import list_faults, list_measures
from hil.scenario.model import NAME, Expectation, Prompt, ScenarioEvent
from hil.scenario.requirements import REQUIREMENTS
from hil.scenario.semantic_check import PROMPT_KINDS

_KINDS = {"float": "number", "int": "integer", "str": "string", "bool": "boolean"}
_FILLED = {"type": "string", "pattern": r"\S"}
_TEXTS = {
    "at_s": "time from the start of the run, s",
    "do": "the fault or event; `coldloop hil words faults` lists them",
    "value": "its value, in the unit of the fault",
    "for_s": "it ends after this time, s",
    "measure": "the measured value; `coldloop hil words measures` lists them",
    "from_s": "begin of the window, s",
    "until_s": "end of the window, s",
    "within_s": "the limits hold from this time after from_s on, s",
    "marginal": "a value closer to a limit than this is marginal",
    "ever": "at least one sample is within the limits",
    "never": "no sample is within the limits",
    "only": "names of the cases that it applies to",
}


def make_schema() -> dict[str, Any]:
    """Build the schema."""
    row = {f.name: _row_rule(f) for f in fields(TestbedSettings)}
    faults = {"enum": [word["name"] for word in list_faults()], "description": _TEXTS["do"]}
    names = sorted({word["name"].partition(":")[0] for word in list_measures()})
    measure = {"type": "string", "pattern": f"^({'|'.join(names)})(:.*)?$"}
    name = {"type": "string", "pattern": f"^{NAME.pattern}$"}
    properties = {
        "name": {**name, "description": "name of the scenario"},
        "title": {**_FILLED, "description": "one line for people"},
        "seconds": {"type": "number", "minimum": 1, "maximum": 10_000_000},
        "realtime": {"type": "boolean", "description": "it also runs in real time"},
        "row": _object(row, []),
        "event": _list(_class_rule(ScenarioEvent, do=faults)),
        "expect": _list(
            _class_rule(
                Expectation,
                measure={**measure, "description": _TEXTS["measure"]},
                requirement={"enum": ["", *REQUIREMENTS]},
            )
        ),
        "prompt": _list(_class_rule(Prompt, ask={"enum": list(PROMPT_KINDS)}, text=_FILLED)),
        "case": _list(_object({**row, "name": name}, ["name"])),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Scenario of the coldloop bench",
        **_object(properties, ["name", "title", "seconds"]),
    }


def schema_text() -> str:
    """Write the schema as the text of a file."""
    return json.dumps(make_schema(), indent=1, ensure_ascii=False) + "\n"


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    rule = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**rule, "required": required} if required else rule


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _kind(field: "Field[Any]") -> str:
    text = field.type if isinstance(field.type, str) else str(field.type.__name__)
    return _KINDS[text.split(maxsplit=1)[0]]


def _kind_of_union(field: "Field[Any]") -> str:
    name = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    return _KINDS[name.split(maxsplit=1)[0]]


def _row_rule(field: "Field[Any]") -> dict[str, Any]:
    text = ROW_TEXTS[field.name]
    unit = f", {text.unit}" if text.unit else ""
    rule: dict[str, Any] = {"type": _kind(field), "description": text.meaning + unit}
    if field.name in LIMITS:
        rule["minimum"], rule["maximum"] = LIMITS[field.name]
    return {**rule, "default": field.default}


def _class_rule(kind: type[Any], **special: dict[str, Any]) -> dict[str, Any]:
    rules = {}
    for field in fields(kind):
        rule: dict[str, Any] = {"type": _kind_of_union(field)}
        if field.name in _TEXTS:
            rule["description"] = _TEXTS[field.name]
        rules[field.name] = special.get(field.name, rule)
    return _object(rules, [f.name for f in fields(kind) if f.default is MISSING])
