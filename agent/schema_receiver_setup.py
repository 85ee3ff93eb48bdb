"""The configuration's section `receiver_setup`: what the receiver is told at the start.

Part of `agent.schema`; only read when a configuration has the section.
"""

from agent.schema_time import section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _some(about: str, words: "list[str]") -> "dict[str, Any]":
    return {
        "type": "array",
        "minItems": 1,
        "maxItems": len(words),
        "description": about,
        "items": {"type": "string", "enum": words, "description": "one of them"},
    }


RECEIVER_SETUP = section(
    "what the receiver is told at the start, judged by what it then sends",
    ["maker"],
    {
        "maker": {
            "type": "string",
            "enum": ["casic", "unicore", "quectel", "ublox", "ublox8"],
            "description": "whose commands it understands; ublox is generation 9 and later",
        },
        "constellations": _some("the only ones received", ["BDS", "GPS", "GLO", "GAL"]),
        "sentences": _some(
            "the only ones sent; RMC and GGA are needed",
            ["RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST"],
        ),
        "rate_ms": {
            "type": "integer",
            "minimum": 100,
            "maximum": 1000,
            "description": "time between two fixes; the clock wants whole seconds among them",
        },
        "save": {
            "type": "string",
            "enum": ["yes", "no"],
            "default": "no",
            "description": "keep it in the receiver over a loss of power",
        },
    },
)
