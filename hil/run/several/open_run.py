# SPDX-License-Identifier: Apache-2.0
"""Opens the run of a scenario in virtual time: of one controller, a pair or a group.

Does not run it. A row with several controllers refuses what it does not have: another controller
under test, and a capture.
"""

from hil.bench.testbed_settings import several_setting
from hil.errors import BenchError
from hil.kernel.dut import DutFactory, InProcessDut
from hil.run.several.group_scenario import GroupScenario
from hil.run.several.pair_scenario import PairScenario
from hil.run.several.scenario_run import SeveralRun
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario


def open_run(
    scenario: Scenario, seed: int, make_dut: DutFactory = InProcessDut
) -> VirtualRun | SeveralRun:
    """Make the run that the settings of the scenario ask for. Raises BenchError."""
    several = several_setting(scenario.settings)
    if not several:
        return VirtualRun(scenario, seed, make_dut)
    if make_dut is not InProcessDut:
        raise BenchError(
            f"{scenario.name}: a row with {several} has several controllers: it runs with "
            "--dut cpython and without --capture"
        )
    if scenario.settings.controllers > 1:
        return PairScenario(scenario, seed)
    return GroupScenario(scenario, seed)
