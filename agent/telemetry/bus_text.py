# SPDX-License-Identifier: Apache-2.0
"""Buses and devices of a status snapshot as text lines, one for each."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Snapshot = dict[str, Any]


def lines(snapshot: "Snapshot") -> "list[str]":
    """Return the lines of `coldloop status` for buses and devices."""
    modbus = snapshot["modbus"]
    bus_lines = [_bus(bus) for bus in modbus["buses"]]
    return bus_lines + [_device(device, snapshot["mono_us"]) for device in modbus["devices"]]


def _bus(bus: "Snapshot") -> str:
    text = "bus        %s  load %.1f %%, %d time-outs, %d retries, %d units offline" % (
        bus["name"],
        bus["load_milli_pct"] / 1000,
        bus["timeouts"],
        bus["retries"],
        bus["dead_units"],
    )
    if not bus["open"]:
        text += ", PORT NOT OPEN"
    return text + (", OVERLOAD" if bus["overload"] else "")


def _device(device: "Snapshot", now: int) -> str:
    response, answered = device["response_us"], device["answered_us"]
    return "device     %s  %s  replies in %s, last %s, %d of %d failed" % (
        device["name"],
        device["state"].upper() if device["state"] != "ok" else "ok",
        "--" if response is None else "%.1f ms" % (response / 1000),
        "never" if answered is None else "%.1f s ago" % ((now - answered) / 1_000_000),
        device["errors"],
        device["transactions"],
    )
