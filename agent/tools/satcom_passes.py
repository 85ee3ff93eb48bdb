"""`coldloop link passes`: the contact windows of the next hours, as a table and a plot.

By the agent's own prediction (agent.satcom.pass_predictor), with the elements, mask and place of a
configuration, without what experience has corrected since.
"""

import argparse
import json
import time
from typing import Any

from agent.commands import read_config
from agent.core.errors import AgentError
from agent.satcom.pass_predictor import HORIZON, Passes, Sky
from protocols.calendar import iso8601
from protocols.orbit.look_angle import Site
from protocols.time_units import SECOND

EXAMPLE = "coldloop link passes --config /etc/coldloop/unit.json --hours 12"
_WIDTH = 72


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--config", metavar="FILE", required=True, help="the unit's configuration")
    parser.add_argument("--hours", type=int, default=6, metavar="N", help="how far ahead (6)")
    parser.add_argument("--at", type=int, metavar="S", help="from UTC seconds since 1970 on (now)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the windows; 1 when there are none."""
    if not 1 <= arguments.hours <= 240:
        raise AgentError(f"--hours: {arguments.hours} is outside 1 to 240")
    start = (int(time.time()) if arguments.at is None else arguments.at) * SECOND
    windows = _windows(_passes(arguments.config), start, arguments.hours)
    covered = sum(end - begin for begin, end, _ in windows)
    share = round(100 * covered / (arguments.hours * 3600 * SECOND), 1)
    if arguments.json:
        rows = [[begin // SECOND, end // SECOND, peak] for begin, end, peak in windows]
        print(json.dumps({"from_s": start // SECOND, "windows": rows, "covered_pct": share}))
        return 0 if windows else 1
    print("from                      seconds  highest")
    for begin, end, peak in windows:
        print(f"{iso8601(begin)}  {(end - begin) // SECOND:7d}  {peak:4d} deg")
    for line in plot(windows, start, arguments.hours):
        print(line)
    print(f"{len(windows)} windows, {share} % of the time")
    return 0 if windows else 1


def _passes(path: str) -> Passes:
    config = read_config(path)
    settings: dict[str, Any] | None = None
    for section, found, _ in config.parts:
        if section == "modem":
            settings = found
    if settings is None or not ("constellation" in settings or "elements" in settings):
        raise AgentError(f"{path}: modem has neither constellation nor elements")
    place = config.place_e7
    if place is None:
        raise AgentError(f"{path}: receiver.latitude and receiver.longitude are needed")
    return Passes(Sky(settings), Site(place[0], place[1]), settings["mask_deg"])


def _windows(passes: Passes, start: int, hours: int) -> list[tuple[int, int, int]]:
    """Walk along, gathering the windows."""
    found: dict[int, tuple[int, int, int]] = {}
    end = start + hours * 3600 * SECOND
    at = start
    while at < end:
        looked = -1
        while looked != passes.evaluations:
            looked = passes.evaluations
            passes.step(at, 2_000)
        ahead = [window for window in passes.ahead if window[0] < end]
        for window in ahead:
            found[window[0]] = window
        at = max(at + HORIZON // 24, ahead[-1][1]) if ahead else at + HORIZON // 24
    since = passes.open_since()
    if since is not None and since < end:
        found[since] = (since, end, passes.peak())
    return [found[key] for key in sorted(found)]


def plot(windows: list[tuple[int, int, int]], start: int, hours: int) -> list[str]:
    """Draw each hour as a line: a digit (tens of degrees) while a window is open, dots between."""
    lines = []
    for hour in range(hours):
        begin = start + hour * 3600 * SECOND
        cells = ""
        for cell in range(_WIDTH):
            at = begin + cell * 3600 * SECOND // _WIDTH
            peak = max((p for b, e, p in windows if b <= at < e), default=-1)
            cells += "." if peak < 0 else str(min(9, peak // 10))
        lines.append(f"+{hour:3d} h  {cells}")
    return lines
