# SPDX-License-Identifier: Apache-2.0
"""A scenario with `controllers = 2`: a redundant pair on one line.

Does not emulate; see `pair_run`. The status is that of the controller which wrote it last, thus of
the active one: a standby runs no agent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.port_numbers import STATE
from hil.bench.testbed import SeveralControl, Testbed
from hil.io.endpoints import SinkEndpoint
from hil.kernel.world import World
from hil.measure.registry import read
from hil.measure.several import PAIR_MEASURES, REASONS
from hil.run.several.pair_measures import read_pair
from hil.run.several.pair_run import PairRun
from hil.run.several.scenario_run import SeveralRun
from hil.scenario.model import Scenario
from hil.scenario.timeline import schedule
from hil.shells.several import PausableShell


class PairScenario(SeveralRun):
    """The run; see the module."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        super().__init__(scenario, seed)
        settings = scenario.settings
        self.pair = PairRun(settings, seed, settings.pair_link)
        self._status_text = b""
        for shell in self.pair.shells:
            shell.endpoints[STATE] = SinkEndpoint(shell, STATE, self._store_status)
        pair = self.pair
        self.testbed.connect_several(
            SeveralControl(
                begin=lambda kind, number: pair.begin_fault(kind, int(number) - 1),
                end=lambda kind, number: pair.end_fault(kind, int(number) - 1),
                read=self._read,
            )
        )
        schedule(scenario, self.testbed)
        pair.measure_from(0)

    @property
    def world(self) -> World:
        """The world of both controllers."""
        return self.pair.world

    @property
    def testbed(self) -> Testbed:
        """The row."""
        return self.pair.testbed

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of controller a."""
        return self.pair.config

    @property
    def console(self) -> list[str]:
        """The lines of both controllers."""
        return self.pair.console

    @property
    def shells(self) -> Sequence[PausableShell]:
        """The shells of both controllers."""
        return self.pair.shells

    def _store_status(self, data: bytes) -> None:
        self._status_text = data.split(b"\0", 1)[1]

    def _start(self) -> None:
        self.pair.start()

    def _pass_second(self, second: int) -> None:
        self.pair.run(second)
        self.pair.meter.roll()
        self.status = json.loads(self._status_text) if self._status_text else None

    def sample(self, name: str) -> float | None:
        """Read one measure now. Those of the pair are known before the first status."""
        is_own = name.partition(":")[0] in PAIR_MEASURES
        return read(self.testbed, {} if is_own else self.status, name)

    def _read(self, name: str, number: int) -> float | None:
        """Read a measure of the pair; `number`: 1 or 2, 0 for none."""
        if name != "reason":
            return read_pair(self.pair, name, number)
        section = (self.status or {}).get("redundancy") or {}
        reason = section.get("reason")
        return None if reason is None else float(REASONS.index(reason or "none"))
