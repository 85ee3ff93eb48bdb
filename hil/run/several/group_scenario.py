# SPDX-License-Identifier: Apache-2.0
"""A scenario with `units` above 1: a group of CDUs on one facility loop.

Does not emulate; see `group_run`. There is no common status: each unit has its own, and the
measures read all of them. `it_kw` is the heat for each unit. With `start_utc` each unit has a
receiver, so that the lead rotates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hil.bench.testbed import SeveralControl, Testbed
from hil.kernel.run_history import matches_code
from hil.kernel.world import World
from hil.measure.registry import read
from hil.run.several.group_run import GroupRun
from hil.run.several.scenario_run import SeveralRun
from hil.scenario.model import Scenario
from hil.scenario.timeline import schedule
from hil.shells.several import PausableShell


class GroupScenario(SeveralRun):
    """The run; see the module."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        super().__init__(scenario, seed)
        settings = scenario.settings
        self.group = GroupRun(
            settings.units,
            settings.units * settings.it_kw,
            seed,
            is_timed=bool(settings.start_utc),
            settings=settings,
            rotate_h=settings.rotate_h,
            shared="header" if settings.shared_header else "none",
        )
        group = self.group
        self.testbed.connect_several(
            SeveralControl(group.begin_fault, group.end_fault, self._read, self._count_alarms)
        )
        schedule(scenario, self.testbed)

    @property
    def world(self) -> World:
        """The world of all units."""
        return self.group.world

    @property
    def testbed(self) -> Testbed:
        """The first unit."""
        return self.group.testbeds[0]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the first unit."""
        return self.group.config(1)

    @property
    def console(self) -> list[str]:
        """The lines of all units."""
        return self.group.console

    @property
    def shells(self) -> Sequence[PausableShell]:
        """The shells of all units."""
        return self.group.shells

    def _start(self) -> None:
        self.group.start()

    def _pass_second(self, second: int) -> None:
        self.group.run(second)

    def sample(self, name: str) -> float | None:
        """Read one measure now."""
        return read(self.testbed, {}, name)

    def _powered(self) -> list[Any]:
        """Return the component `group` of each unit with power."""
        group = self.group
        return [group.group(n) for n in range(1, group.count + 1) if group.shells[n - 1].is_on]

    def _count_alarms(self, code: str) -> float:
        agents = [component.agent for component in self._powered()]
        found = [any(matches_code(a.code, code) for a in agent.alarms.active) for agent in agents]
        return float(sum(found))

    def _read(self, name: str, number: int) -> float | None:
        """Read a measure of the group; `number`: of a unit, 0 for none."""
        group = self.group
        if name == "lead":
            return float(group.group(number).staging.lead or 0)
        if name == "unit_running":
            return float(number in group.running())
        if name in ("changes", "leads", "views"):
            return self._read_rules(name)
        read: dict[str, Callable[[], float]] = {
            "running": lambda: float(len(group.running())),
            "spread": group.speed_spread_pct,
            "excess": group.worst_excess_k,
            "case": lambda: max(bed.plant.case_c for bed in group.testbeds),
            "heat": lambda: group.load_kw,
            "header": lambda: group.testbeds[0].plant.dp_kpa,
        }
        return read[name]()

    def _read_rules(self, name: str) -> float:
        """Read what the units with power have computed."""
        stagings = [component.staging for component in self._powered()]
        if name == "changes":
            return float(max((staging.changes for staging in stagings), default=0))
        if name == "leads":
            return float(len({staging.lead for staging in stagings}))
        return float(len({tuple(staging.selected) for staging in stagings}))
