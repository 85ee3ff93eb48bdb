# SPDX-License-Identifier: Apache-2.0
"""All words that a scenario can use, as plain records: faults, measures, row keys, requirements.

Does not print them; see `hil.tools.authoring.words`. The JSON Schema and the reference page use
them too.
"""

from dataclasses import MISSING, fields
from typing import Any

from hil.bench.optional_sections import SECTION_WRITERS
from hil.bench.testbed_settings import LIMITS, TestbedSettings
from hil.fault.registry import EVENTS
from hil.measure.registry import MEASURES
from hil.scenario.authoring.row_texts import ROW_TEXTS
from hil.scenario.fault_parts import VIRTUAL_ONLY, find_part, find_unit
from hil.scenario.requirements import REQUIREMENTS

Word = dict[str, Any]
_ARGUMENTS = {
    "pump": "the number of a pump, from 1",
    "alarm": "the code of an alarm",
    "node": "the number of a controller, 1 (a) or 2 (b)",
    "unit": "the number of a unit of the group, from 1",
    "event": "nothing, or @WORD of an event",
    "alarm_event": "CODE, or CODE@WORD of an event",
}


def list_faults() -> list[Word]:
    """List the words of `do`: meaning, range and unit of the value, parts, time."""
    words = []
    for name, fault_type in sorted(EVENTS.items()):
        part = find_part(name)
        words.append(
            {
                "name": name,
                "meaning": fault_type.description,
                "limits": fault_type.limits,
                "unit": find_unit(fault_type.description),
                "needs": "" if part is None else f"row.{part.setting}",
                "ends": fault_type.undo is not None,
                "takes_text": fault_type.check_text is not None,
                "virtual_only": name in VIRTUAL_ONLY,
            }
        )
    return words


def list_measures() -> list[Word]:
    """List the words of `measure`: unit, meaning, argument after the colon."""
    return [
        {
            "name": f"{name}:{measure.argument.upper()}" if measure.argument else name,
            "unit": measure.unit,
            "meaning": measure.description,
            "argument": _ARGUMENTS.get(measure.argument, ""),
        }
        for name, measure in sorted(MEASURES.items())
    ]


def list_row_keys() -> list[Word]:
    """List the keys of `[row]`: type, default, range, unit, meaning."""
    words = []
    for field in fields(TestbedSettings):
        text = ROW_TEXTS[field.name]
        kind = field.type if isinstance(field.type, str) else field.type.__name__
        words.append(
            {
                "name": field.name,
                "type": kind,
                "default": None if field.default is MISSING else field.default,
                "limits": LIMITS.get(field.name),
                "unit": text.unit,
                "meaning": text.meaning,
            }
        )
    return words


def list_all() -> dict[str, list[Word]]:
    """List all words by kind."""
    named = (("requirements", REQUIREMENTS.items()),)
    return {
        "faults": list_faults(),
        "measures": list_measures(),
        "row": list_row_keys(),
        "parts": [
            {"name": name, "meaning": "section of the configuration"} for name in SECTION_WRITERS
        ],
        **{kind: [{"name": n, "meaning": t} for n, t in items] for kind, items in named},
    }
