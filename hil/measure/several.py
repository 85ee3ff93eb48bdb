# SPDX-License-Identifier: Apache-2.0
"""Measures of a redundant pair and of a group of CDUs, from the line, the plants and the agents.

Does not compute them; see `hil.run.several.pair_scenario` and `hil.run.several.group_scenario`.
"In the last second" is the worst value since the sample before: the run looks each 20 ms, so that
no short gap and no short step is missed. In another row these measures are not known.
"""

from hil.bench.testbed import Testbed
from hil.measure.base import Measure, Status

ROLES = ("off", "out", "quiet", "listen", "standby", "probe", "read", "offer", "active")
"""Numbers of the roles in the measure `role`."""
REASONS = ("none", "silence", "swap", "command", "health", "time")
"""Numbers of the reasons in the measure `takeover_reason`."""


def _several(name: str, unit: str, description: str, argument: str = "") -> Measure:
    def read(testbed: Testbed, _: Status, text: str) -> float | None:
        return testbed.several.read(name, int(text) if text else 0)

    return Measure(unit, description, read, argument)


PAIR_MEASURES: dict[str, Measure] = {
    "role": _several(
        "role",
        "",
        "role of controller 1 (a) or 2 (b): "
        + " ".join(f"{number} {name}" for number, name in enumerate(ROLES)),
        "node",
    ),
    "writers": _several(
        "writers", "", "most controllers that wrote within one bus cycle (1 s), in the last second"
    ),
    "writer_gap_s": _several(
        "gap",
        "s",
        "longest time without a controller that may write while a whole one is there, in the last "
        "second",
    ),
    "step_pct": _several(
        "step", "%", "largest step of an actuator's command in 20 ms, in the last second"
    ),
    "takeovers": _several(
        "takeovers", "", "times that a controller became active, the first start included"
    ),
    "takeover_reason": _several(
        "reason",
        "",
        "reason of the last takeover: "
        + " ".join(f"{number} {name}" for number, name in enumerate(REASONS)),
    ),
    "epoch": _several("epoch", "", "epoch of controller 1 (a) or 2 (b)", "node"),
    "collisions": _several("collisions", "", "frames that were destroyed on the line"),
}
"""Measures of a row with `controllers = 2`."""


def _count_alarms(testbed: Testbed, _: Status, code: str) -> float | None:
    return testbed.several.alarms(code)


GROUP_MEASURES: dict[str, Measure] = {
    "units_running": _several("running", "", "units of the group with a flow"),
    "unit_running": _several(
        "unit_running", "", "1: the unit with the number in the argument has a flow", "unit"
    ),
    "unit_lead": _several(
        "lead", "", "number of the lead as the unit in the argument sees it, 0: none", "unit"
    ),
    "unit_leads": _several("leads", "", "different leads that the units with power see"),
    "unit_views": _several("views", "", "different selections of the units with power"),
    "stage_changes": _several("changes", "", "most stage changes without a failure, of a unit"),
    "speed_spread_pct": _several("spread", "%", "difference of the pump speeds of running units"),
    "excess_k": _several(
        "excess", "K", "largest excess of a supply over its set-point, of units with a flow"
    ),
    "hottest_case_c": _several("case", "Cel", "highest case temperature of the IT of all units"),
    "heat_kw": _several("heat", "kW", "heat of the group"),
    "header_kpa": _several(
        "header", "kPa", "pressure of the shared header; else that of the first unit"
    ),
    "unit_alarms": Measure(
        "", "units with an active alarm of the code in the argument", _count_alarms, "alarm"
    ),
}
"""Measures of a row with `units` above 1."""
