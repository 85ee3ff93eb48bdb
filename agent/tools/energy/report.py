# SPDX-License-Identifier: Apache-2.0
"""`coldloop ledger report`: the energy accounts of the row, from the last status of the agent.

Needs no network: the status is on the controller. Figures over less than twelve whole months are
interim, as ISO/IEC 30134-2 requires.
"""

import argparse
import json
from typing import Any

from agent.core.errors import ConfigError
from agent.telemetry.status import STATUS_FILE
from protocols.calendar import iso8601

EXAMPLE = "coldloop ledger report --config /etc/coldloop/unit.json"
_LOSSES = (("electrical", "electrical"), ("air", "residual air"), ("loop", "cooling loop"))
_CATEGORIES = {1: "IT at the UPS output", 2: "IT at the PDU outputs", 3: "IT at its input"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from agent.commands import add_status_options  # noqa: PLC0415

    add_status_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; return 0."""
    from agent.commands import read_status, state_folder  # noqa: PLC0415

    snapshot = read_status(state_folder(arguments) / STATUS_FILE)
    ledger = snapshot.get("ledger")
    if ledger is None:
        raise ConfigError(
            "unit: no section `ledger` in its configuration, so it has no energy accounts"
        )
    if arguments.json:
        print(json.dumps({"site": snapshot["site"], "unit": snapshot["unit"], **ledger}))
    else:
        print(render(f"{snapshot['site']}/{snapshot['unit']}", ledger))
    return 0


def render(name: str, ledger: dict[str, Any]) -> str:
    """Return the report as text."""
    category = ledger["category"]
    lines = [
        f"{name}  energy accounts, PUE category {category} ({_CATEGORIES[category]})",
        f"all energy: {ledger['total_is']}; {ledger['months']} whole months stored",
    ]
    for entry in ledger["intervals"]:
        lines.append("")
        lines.extend(_interval(entry))
    implausible = [
        meter
        for meter in ledger["meters"]
        if meter["rollovers"] or meter["resets"] or meter["jumps"]
    ]
    lines.extend(
        f"meter {meter['name']}: {meter['rollovers']} rollovers, {meter['resets']} resets, "
        f"{meter['jumps']} jumps"
        for meter in implausible
    )
    return "\n".join(lines)


def _interval(entry: dict[str, Any]) -> list[str]:
    began = iso8601(entry["began_us"]) if entry["began_us"] else "the start, UTC unknown"
    name = {"interim": "interim", "year": "12 months"}.get(entry["interval"], entry["interval"])
    lines = [
        f"{name}, since {began}",
        (
            f"  IT {entry['it_wh'] / 1000:.2f} kWh   PUE {_milli(entry['pue_milli'])}"
            f"   loop {_milli(entry['loop_pue_milli'])}   WUE {_milli(entry['wue_milli'])} L/kWh"
            f"   ERF {_milli(entry['erf_milli'])}"
        ),
    ]
    losses = [f"{label} {_percent(entry[key + '_milli'])}" for key, label in _LOSSES]
    lines.append("  losses, % of IT: " + ", ".join(losses))
    return lines


def _milli(value: int | None) -> str:
    return "--" if value is None else f"{value / 1000:.3f}"


def _percent(value: int | None) -> str:
    return "--" if value is None else f"{value / 10:.1f}"
