# SPDX-License-Identifier: Apache-2.0
"""Power limits and energy accounting of a status snapshot as text lines."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Snapshot = dict[str, Any]


def lines(snapshot: "Snapshot") -> "list[str]":
    """Return lines for the power limits, for each limited load, and for the energy."""
    out = []
    if "throttle" in snapshot:
        out.append("loads      " + _loads(snapshot["throttle"]))
        out.extend(
            [
                "load       " + _load(load)
                for load in snapshot["throttle"]["loads"]
                if _is_limited(load)
            ]
        )
    if "ledger" in snapshot:
        entry = snapshot["ledger"]["intervals"][0]
        milli = entry["pue_milli"]
        pue = "--" if milli is None else "%.3f" % (milli / 1000)
        text = "PUE %s (%s, category %d)" % (pue, entry["interval"], snapshot["ledger"]["category"])
        out.append("energy     %s, IT %.1f kWh" % (text, entry["it_wh"] / 1000))
    return out


def _kw(watts: "int | None") -> str:
    return "--" if watts is None else "%.1f" % (watts / 1000)


def _loads(throttle: "Snapshot") -> str:
    text = "%s  limit %s kW, measured %s kW, headroom %s kW" % (
        throttle["state"].upper() if throttle["state"] != "free" else "free",
        _kw(throttle["limit_w"]),
        _kw(throttle["load_w"]),
        _kw(throttle["headroom_w"]),
    )
    waiting = len(throttle["waiting"])
    return text + (", %d entries scheduled" % waiting if waiting else "")


def _is_limited(load: "Snapshot") -> bool:
    return not load["on"] or load["refused"] != 0 or load["shown_w"] not in (None, load["limit_w"])


def _load(load: "Snapshot") -> str:
    text = "limit %s kW, reports %s kW" % (_kw(load["limit_w"]), _kw(load["shown_w"]))
    if not load["on"]:
        text = "OFF"
    elif load["refused"]:
        text += ", REJECTED with %d" % load["refused"]
    return "%s  %s" % (load["name"], text)
