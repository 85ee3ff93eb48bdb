# SPDX-License-Identifier: Apache-2.0
"""Mode `off` by command at full load: the loads go off before the pumps stop."""

from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

ROW = 'name = "off"\ntitle = "off"\nseconds = 120\n[row]\nit_kw = 90\nparts = "%s"\n'
EXPECT = '[[expect]]\nmeasure = "missed_ticks"\nmax = 0\n'


def test_mode_off_switches_the_loads_off_first() -> None:
    run = VirtualRun(parse(ROW % "cooling, safety, throttle" + EXPECT, "off"), 1)
    seen: list[tuple[float, float, float]] = []

    def each_second(second: int) -> None:
        plant = run.testbed.plant
        seen.append((plant.flow_true_lpm, plant.it_kw, plant.case_c))
        if second == 60:
            cooling = run.dut.agent.components[0]
            cooling.handle_command("override", {"mode": "off", "minutes": 30}, run.world.now)

    run.run(each_second)
    assert max(case_c for _, _, case_c in seen) < 85
    assert min(flow for flow, _, _ in seen[60:62]) > 100
    assert seen[-1][0] < 1
    assert seen[-1][1] < 1
