# SPDX-License-Identifier: Apache-2.0
"""A scenario with `controllers = 2`: a redundant pair on one line.

Does not emulate; see `pair_run`. Does not step; see `stepped_pair`.
"""

from __future__ import annotations

from hil.bench.testbed import SeveralControl
from hil.measure.registry import read
from hil.measure.several import PAIR_MEASURES, REASONS
from hil.run.several.pair_measures import read_pair
from hil.run.several.pair_run import PairRun
from hil.run.several.stepped_pair import SteppedPair
from hil.scenario.model import Scenario
from hil.scenario.timeline import schedule


class PairScenario(SteppedPair):
    """The run; see the module."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        settings = scenario.settings
        pair = PairRun(settings, seed, settings.pair_link)
        super().__init__(scenario, seed, pair)
        self.testbed = pair.testbed
        self.testbed.connect_several(
            SeveralControl(
                begin=lambda kind, number: pair.begin_fault(kind, int(number) - 1),
                end=lambda kind, number: pair.end_fault(kind, int(number) - 1),
                read=self._read,
            )
        )
        schedule(scenario, self.testbed)
        pair.measure_from(0)

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
