# SPDX-License-Identifier: Apache-2.0
"""`coldloop link passes`: the contact windows of the next hours, as a table and a plot.

Uses the prediction of the agent (`agent.satcom.pass_predictor`) with the orbital elements, horizon
mask and position of a configuration. Does not use what the agent has learned since then.
"""

import argparse
import json
import time
from typing import Any

from agent.commands import read_config
from agent.core.errors import AgentError
from agent.satcom.pass_predictor import SEARCH_AHEAD_US, ConstellationModel, ContactPredictor
from protocols.calendar import iso8601
from protocols.orbit.look_angle import GroundSite
from protocols.time_units import SECOND

EXAMPLE = "coldloop link passes --config /etc/coldloop/unit.json --hours 12"
_WIDTH = 72
_LATEST_S = 253_000_000_000
"""UTC of the latest start, in the year 9987: a calendar has four digits."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--config", metavar="FILE", required=True, help="configuration of the unit")
    parser.add_argument("--hours", type=int, default=6, metavar="N", help="hours to predict (6)")
    parser.add_argument("--at", type=int, metavar="S", help="start in UTC seconds since 1970 (now)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the windows; return 1 without a window."""
    if not 1 <= arguments.hours <= 240:
        raise AgentError(f"--hours: {arguments.hours} is outside 1 to 240")
    at = int(time.time()) if arguments.at is None else arguments.at
    if not 0 <= at <= _LATEST_S:
        raise AgentError(f"--at: {at} is outside 0 to {_LATEST_S}")
    start = at * SECOND
    windows = _find_windows(_predictor(arguments.config), start, arguments.hours)
    stop = start + arguments.hours * 3600 * SECOND
    covered_us = sum(max(0, min(end, stop) - max(begin, start)) for begin, end, _ in windows)
    covered_pct = round(100 * covered_us / (arguments.hours * 3600 * SECOND), 1)
    if arguments.json:
        rows = [[begin // SECOND, end // SECOND, peak] for begin, end, peak in windows]
        print(json.dumps({"from_s": start // SECOND, "windows": rows, "covered_pct": covered_pct}))
        return 0 if windows else 1
    print("from                      seconds  highest")
    for begin, end, peak in windows:
        print(f"{iso8601(begin)}  {(end - begin) // SECOND:7d}  {peak:4d} deg")
    for line in plot(windows, start, arguments.hours):
        print(line)
    print(f"{len(windows)} windows, {covered_pct} % of the time")
    return 0 if windows else 1


def _predictor(path: str) -> ContactPredictor:
    config = read_config(path)
    settings: dict[str, Any] | None = None
    for section, section_settings, _ in config.components:
        if section == "modem":
            settings = section_settings
    if settings is None or not ("constellation" in settings or "elements" in settings):
        raise AgentError(f"{path}: modem: needs constellation or elements")
    position = config.position_e7
    if position is None:
        raise AgentError(f"{path}: receiver: needs latitude and longitude")
    return ContactPredictor(
        ConstellationModel(settings), GroundSite(position[0], position[1]), settings["mask_deg"]
    )


def _find_windows(
    predictor: ContactPredictor, start: int, hours: int
) -> list[tuple[int, int, int]]:
    """Step through the hours and collect the windows."""
    windows: dict[int, tuple[int, int, int]] = {}
    end = start + hours * 3600 * SECOND
    time_us = start
    while time_us < end:
        evaluations = -1
        while evaluations != predictor.positions_computed:
            evaluations = predictor.positions_computed
            predictor.step(time_us, 2_000)
        ahead = [window for window in predictor.windows if window[0] < end]
        for window in ahead:
            windows[window[0]] = window
        time_us = (
            max(time_us + SEARCH_AHEAD_US // 24, ahead[-1][1])
            if ahead
            else time_us + SEARCH_AHEAD_US // 24
        )
    open_start = predictor.open_start()
    if open_start is not None and open_start < end:
        windows[open_start] = (open_start, end, predictor.open_peak())
    return [windows[key] for key in sorted(windows)]


def plot(windows: list[tuple[int, int, int]], start: int, hours: int) -> list[str]:
    """Return one line per hour: a digit (elevation / 10 deg) in a window, dots between."""
    lines = []
    for hour in range(hours):
        begin = start + hour * 3600 * SECOND
        cells = ""
        for cell in range(_WIDTH):
            time_us = begin + cell * 3600 * SECOND // _WIDTH
            peak = max(
                (peaks for begins, ends, peaks in windows if begins <= time_us < ends), default=-1
            )
            cells += "." if peak < 0 else str(min(9, peak // 10))
        lines.append(f"+{hour:3d} h  {cells}")
    return lines
