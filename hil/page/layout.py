# SPDX-License-Identifier: Apache-2.0
"""The parts of a unit for the diagram of the page, and the quality of its values.

Does not draw; see `hil/page/static/loop.js`. The parts follow from the agent's configuration: a
part that the configuration does not name is not drawn. A CDU that controls itself has its pumps and
its valve inside, where the agent does not see them.
"""

from typing import Any

MOST_PUMPS = 3
"""Pumps that the diagram can show."""


def find_layout(config: dict[str, Any]) -> dict[str, Any]:
    """Return the parts: number of pumps, valve, supply and dP sensor, CDU that controls itself."""
    control = config["control"]
    supply, dp = control.get("supply", {}), control.get("dp", {})
    return {
        "pumps": min(MOST_PUMPS, len(dp.get("pumps", []))),
        "valve": "valve" in supply,
        "own": "cdu" in supply or "cdu" in dp,
        "supply": "sensor" in supply,
        "dp": "sensor" in dp,
        "set": "setpoint_c" in supply,
        "set_dp": "setpoint_kpa" in dp,
    }


def find_qualities(status: dict[str, Any]) -> dict[str, str]:
    """Return the quality of each value that the agent reads: good, uncertain, bad or absent."""
    supply, dp = status.get("supply"), status.get("dp")
    found = {
        "supply": _word(supply, "milli_c"),
        "return": _known(supply, "return_milli_c"),
        "valve": _known(supply, "valve_milli_pct"),
        "dp": _word(dp, "milli_kpa"),
    }
    for i, value in enumerate((dp or {}).get("pumps_milli_pct", [])):
        found[f"pump{i + 1}"] = "absent" if value is None else "good"
    return found


def _word(section: dict[str, Any] | None, key: str) -> str:
    if _known(section, key) == "absent":
        return "absent"
    quality = str((section or {}).get("quality"))
    return quality if quality in ("good", "uncertain") else "bad"


def _known(section: dict[str, Any] | None, key: str) -> str:
    return "absent" if section is None or section.get(key) is None else "good"
