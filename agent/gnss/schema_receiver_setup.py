"""The configuration's section `receiver_setup`: what the receiver is told at the start.

Part of `agent.config.schema`; only read when a configuration has the section.
"""

from agent.core.schema_rules import enum, integer, list_of, object_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.schema_rules import Rule


def _list_of_enum(description: str, values: "list[str]") -> "Rule":
    return list_of(description, enum("one of them", values), 1, len(values))


RECEIVER_SETUP = object_of(
    "what the receiver is told at the start, judged by what it then sends",
    ["maker"],
    {
        "maker": enum(
            "whose commands it understands; ublox is generation 9 and later",
            ["casic", "unicore", "quectel", "ublox", "ublox8"],
        ),
        "constellations": _list_of_enum("the only ones received", ["BDS", "GPS", "GLO", "GAL"]),
        "sentences": _list_of_enum(
            "the only ones sent; RMC and GGA are needed",
            ["RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST"],
        ),
        "rate_ms": integer(
            "time between two fixes; the clock wants whole seconds among them", 100, 1000
        ),
        "save": enum("keep it in the receiver over a loss of power", ["yes", "no"], "no"),
    },
)
