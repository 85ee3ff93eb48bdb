# SPDX-License-Identifier: Apache-2.0
"""A status snapshot as text for a terminal: a page for `coldloop status`, a line for the demo.

Does not format the alarms; see `agent.alarms.status_lines`.
"""

from agent.telemetry import bus_text, load_text
from protocols.calendar import iso8601

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Snapshot = dict[str, Any]


def number(milli: "int | None", places: int = 1) -> str:
    """Format thousandths with `places` decimals, `--` if unknown."""
    return "--" if milli is None else "%.*f" % (places, milli / 1000)


def utc_text(utc_us: "int | None") -> str:
    """Format UTC as ISO 8601 with ms, `--` if unknown."""
    if utc_us is None:
        return "--"
    return iso8601(utc_us)


def clock_text(snapshot: "Snapshot") -> str:
    """Format the state of the clock with its error bound and flags."""
    clock = snapshot["clock"]
    bound = clock["bound_us"]
    texts = [clock["state"]]
    if bound is not None:
        close = bound < 1_000_000
        texts.append(
            "within %.0f ms" % (bound / 1000) if close else "within %.1f s" % (bound / 1e6)
        )
    texts.extend([flag.replace("_", " ") for flag in clock["flags"]])
    return ", ".join(texts)


def render(snapshot: "Snapshot") -> str:
    """Return the page of `coldloop status` without its alarms."""
    supply, dp, ticks = snapshot["supply"], snapshot["dp"], snapshot["ticks"]
    modbus, telemetry = snapshot["modbus"], snapshot["telemetry"]
    lines = [
        "%s/%s is %s" % (snapshot["site"], snapshot["unit"], snapshot["state"].upper()),
        "UTC        %s  %s" % (utc_text(snapshot["utc_us"]), clock_text(snapshot)),
        "supply     %s C  set-point %s C  return %s C  (%s)"
        % (
            number(supply["milli_c"]),
            number(supply["setpoint_milli_c"]),
            number(supply["return_milli_c"]),
            supply["quality"],
        ),
        "valve      %s %%  command %s %%"
        % (number(supply["valve_milli_pct"]), number(supply["valve_asked_milli_pct"])),
        "dP         %s kPa  set-point %s kPa  (%s)"
        % (number(dp["milli_kpa"]), number(dp["setpoint_milli_kpa"]), dp["quality"]),
        "pumps      %s %%" % " / ".join([number(p) for p in dp["pumps_milli_pct"]]),
        "ticks      %d, missed %d, largest delay %.1f ms"
        % (ticks["count"], ticks["missed"], ticks["worst_late_us"] / 1000),
        "modbus     %d transactions, %d errors, %d bytes discarded"
        % (modbus["transactions"], modbus["errors"], modbus["dropped_bytes"]),
    ]
    lines.extend(["control    " + line for line in actuator_lines(snapshot)])
    lines.extend(bus_text.lines(snapshot))
    lines.extend(load_text.lines(snapshot))
    lines.append("receiver   " + _receiver(snapshot["receiver"]))
    lines.append("telemetry  " + _telemetry(telemetry))
    if "age_s" in snapshot:
        lines.append("age        %.1f s" % snapshot["age_s"])
    return "\n".join(lines)


def actuator_lines(snapshot: "Snapshot") -> "list[str]":
    """Return one line for each actuator: its output, its holder and the claims without effect.

    One more line says which interlock ended the mode `hand`.
    """
    lines = []
    for row in snapshot.get("actuators", []):
        line = "%s %s %% by %s" % (row["name"], number(row["output_milli_pct"]), row["owner"])
        if row["reason"]:
            line += ", " + row["reason"]
        losers = " ".join([loser["owner"] for loser in row["losers"]])
        if losers:
            line += "; without effect: " + losers
        if row["locked"]:
            line += "; local: " + " ".join(row["locked"])
        lines.append(line)
    ended_by = (snapshot.get("cooling") or {}).get("ended_by")
    if ended_by:
        lines.append("hand was ended by " + ended_by)
    return lines


def _receiver(receiver: "Snapshot | None") -> str:
    if receiver is None:
        return "not configured"
    used = receiver["used"]
    return "%d fixes, %s satellites used, %d bad checksums, %d bytes discarded" % (
        receiver["fixes"],
        "--" if used is None else used,
        receiver["bad_checksum"],
        receiver["skipped_bytes"],
    )


def _telemetry(telemetry: "Snapshot | None") -> str:
    if telemetry is None:
        return "broker not configured"
    link = "connected" if telemetry["connected"] else "no link"
    return "%s, published %d, acknowledged %d, waiting %d, dropped %d" % (
        link,
        telemetry["published"],
        telemetry["acknowledged"],
        telemetry["queued"],
        telemetry["dropped"],
    )
