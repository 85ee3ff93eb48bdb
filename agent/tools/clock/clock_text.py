# SPDX-License-Identifier: Apache-2.0
"""The clock of a status snapshot as text: one line for `clock watch`, a page for `clock report`.

The times of a snapshot are monotonic. The page shows them as UTC if the UTC is known.
"""

from agent.clock.evidence import CHECKS
from agent.clock.leap_second import time_scale_name
from agent.gnss.detectors import ADVISORIES, DETECTORS
from agent.telemetry.status_text import clock_text, utc_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Snapshot = dict[str, Any]

_WIDTH = 13

UNITS = {
    "step": "us",
    "rate": "us",
    "pulse": "us",
    "floor": "us",
    "witness": "us",
    "position": "m",
    "signals": "votes",
    "drop": "0.01 dB",
    "uniform": "%",
    "strong": "signals",
    "constellations": "0.01 dB",
    "antenna_open": "",
    "antenna_short": "",
    "jamming": "",
    "gain": "of the vendor",
    "spoofing": "",
    "silent": "s",
    "no_fix": "s",
    "line_saturated": "permille",
    "desense": "0.01 dB",
    "bound": "us",
}
"""Unit of the figure of each check of `CHECKS`, `DETECTORS` and `ADVISORIES`."""


def status_line(snapshot: "Snapshot") -> str:
    """Return one line: UTC, state and error bound, time source, rate of the oscillator."""
    clock = snapshot["clock"]
    parts = [utc_text(snapshot["utc_us"]), clock_text(snapshot)]
    parts.append("source %s" % (clock["source"] or "the first fixes"))
    rate = rate_text(clock["rate_ppt"], clock["skew_ppt"])
    if rate:
        parts.append(rate)
    return "  ".join(parts)


def rate_text(rate_ppt: "int | None", skew_ppt: "int | None") -> str:
    """Return the rate of UTC against the oscillator with its uncertainty, ppm; empty if unknown."""
    if rate_ppt is None or skew_ppt is None:
        return ""
    return "%+.4f ppm +- %.4f ppm" % (rate_ppt / 1e6, skew_ppt / 1e6)


def render_report(snapshot: "Snapshot") -> str:
    """Return the time report of the site."""
    clock = snapshot["clock"]
    rows = [
        ("site", "%s/%s" % (snapshot["site"], snapshot["unit"])),
        ("UTC", "%s  %s" % (utc_text(snapshot["utc_us"]), clock_text(snapshot))),
        ("source", clock["source"] or "none yet"),
        ("oscillator", rate_text(clock["rate_ppt"], clock["skew_ppt"]) or "unknown"),
        ("leap seconds", _leap_text(clock)),
        (
            "fixes",
            "%d accepted, %d rejected, %d late"
            % (clock["accepted"], clock["rejected"], clock["late"]),
        ),
        ("receiver", _receiver_text(snapshot["receiver"])),
    ]
    for name, write in (
        ("timekeeping", _timekeeping_rows),
        ("integrity", _signal_rows),
        ("pps", _pulse_rows),
        ("chrony", _chrony_rows),
        ("receiver_setup", _setup_rows),
    ):
        if snapshot.get(name) is not None:
            rows += write(snapshot[name])
    alarms = [a for a in snapshot["alarms"] if a["code"].split("_")[0] in ("time", "gnss")]
    rows += [("alarm", "%s  %s" % (a["code"], a["text"])) for a in alarms]
    lines = ["%s %s" % (name + " " * (_WIDTH - len(name)), text) for name, text in rows]
    return "\n".join(lines + evidence_lines(snapshot))


def _leap_text(clock: "Snapshot") -> str:
    known = "not yet confirmed" if "leap_uncertain" in clock["flags"] else "confirmed"
    return "GPS is %d s ahead of UTC, %s" % (clock["leap_s"], known)


def _receiver_text(receiver: "Snapshot | None") -> str:
    if receiver is None:
        return "not configured"
    used = receiver["used"]
    return "%d fixes, %d void, %s satellites used" % (
        receiver["fixes"],
        receiver["void_fixes"],
        "--" if used is None else used,
    )


def _timekeeping_rows(timekeeping: "Snapshot") -> "list[tuple[str, str]]":
    rows = [
        ("earliest UTC", utc_text(timekeeping["floor_us"]) if timekeeping["floor_us"] else "none")
    ]
    if timekeeping["centi_c"] is not None:
        tempco = timekeeping["tempco_ppt"]
        tempco_text = "" if tempco is None else ", %+.3f ppm/C" % (tempco / 1e6)
        rows.append(
            (
                "temperature",
                "%.1f C at the oscillator%s" % (timekeeping["centi_c"] / 100, tempco_text),
            )
        )
    return rows


def _signal_rows(signals: "Snapshot") -> "list[tuple[str, str]]":
    cn0 = signals["cn0_centi"]
    text = "strength %s" % ("unknown" if cn0 is None else "%.1f dBHz" % (cn0 / 100))
    derating = signals["derating_milli_db_per_c"]
    if derating is not None:
        text += ", %+.3f dB/C" % (derating / 1000)
    if signals["antenna"] is not None:
        text += ", antenna %s" % signals["antenna"]
    rows = [("signals", text)]
    if signals["tagged"]:
        cost = signals["desense_centi_db"] / 100
        tagged = signals["tagged"]
        rows.append(("transmitting", "C/N0 loss %.1f dB, %d epochs" % (cost, tagged)))
    return rows


def _pulse_rows(pulses: "Snapshot") -> "list[tuple[str, str]]":
    text = "%d, %d with their UTC second" % (pulses["pulses"], pulses["used"])
    early_ns = pulses.get("early_ns")
    return [("pulses", text if early_ns is None else text + ", the last stated %+d ns" % early_ns)]


def _chrony_rows(chrony: "Snapshot") -> "list[tuple[str, str]]":
    return [("chronyd", "%d samples sent, %d withheld" % (chrony["sent"], chrony["withheld"]))]


def _setup_rows(setup: "Snapshot") -> "list[tuple[str, str]]":
    steps = ["%s %s" % (step["step"], step["verdict"]) for step in setup["steps"]]
    return [("set-up", ", ".join(steps) or "not started")]


def evidence_lines(snapshot: "Snapshot") -> "list[str]":
    """Return the findings of the checks, one line each: check, times, figures, limit, meaning."""
    lines = []
    for item in snapshot["clock"]["evidence"]:
        unit, text = UNITS.get(item["check"], ""), ""
        for name, record in CHECKS + DETECTORS + ADVISORIES:
            if name == item["check"]:
                text = record.text
        scale = None
        if item["check"] == "step":
            scale = time_scale_name(item["figure"], item["limit"], snapshot["clock"]["leap_s"])
        lines.append(
            "finding       %s %d times, %s to %s: %d to %d %s, limit %d; %s%s"
            % (
                item["check"],
                item["count"],
                _time_text(snapshot, item["since_us"]),
                _time_text(snapshot, item["last_us"]),
                item["first"],
                item["figure"],
                unit,
                item["limit"],
                text,
                " (probably %s)" % scale if scale else "",
            )
        )
    return lines


def _time_text(snapshot: "Snapshot", mono_us: int) -> str:
    """Return the UTC of a monotonic time, or its age if UTC is unknown."""
    ago = snapshot["mono_us"] - mono_us
    if snapshot["utc_us"] is None:
        return "%d s ago" % (ago // 1_000_000)
    return utc_text(snapshot["utc_us"] - ago)
