"""The configuration's section `receiver_setup`: what the receiver is told at the start.

Part of `agent.config.schema`; only read when a configuration has the section.
"""

from agent.core.schema_rules import many, one_of, section, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.schema_rules import Rule


def _some(about: str, words: "list[str]") -> "Rule":
    return many(about, one_of("one of them", words), 1, len(words))


RECEIVER_SETUP = section(
    "what the receiver is told at the start, judged by what it then sends",
    ["maker"],
    {
        "maker": one_of(
            "whose commands it understands; ublox is generation 9 and later",
            ["casic", "unicore", "quectel", "ublox", "ublox8"],
        ),
        "constellations": _some("the only ones received", ["BDS", "GPS", "GLO", "GAL"]),
        "sentences": _some(
            "the only ones sent; RMC and GGA are needed",
            ["RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST"],
        ),
        "rate_ms": whole(
            "time between two fixes; the clock wants whole seconds among them", 100, 1000
        ),
        "save": one_of("keep it in the receiver over a loss of power", ["yes", "no"], "no"),
    },
)
