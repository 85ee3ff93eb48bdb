# SPDX-License-Identifier: Apache-2.0
"""A redundant pair that runs a scenario second by second, whatever its row is.

Does not read measures and does not start faults; see `pair_scenario` for the row of a testbed and
`hil.run.unit.twin_pair` for the row of a unit. The status is that of the controller which wrote it
last, thus of the active one: a standby runs no agent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.port_numbers import STATE
from hil.io.endpoints import SinkEndpoint
from hil.kernel.world import World
from hil.run.several.pair_run import ControllerPair
from hil.run.several.scenario_run import SeveralRun
from hil.scenario.model import Scenario
from hil.shells.several import PausableShell


class SteppedPair(SeveralRun):
    """A scenario of `pair`. A subclass schedules its events, and reads its measures."""

    def __init__(self, scenario: Scenario, seed: int, pair: ControllerPair) -> None:
        super().__init__(scenario, seed)
        self.pair = pair
        self._status_text = b""
        for shell in pair.shells:
            shell.endpoints[STATE] = SinkEndpoint(shell, STATE, self._store_status)

    @property
    def world(self) -> World:
        """The world of both controllers."""
        return self.pair.world

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
