# SPDX-License-Identifier: Apache-2.0
"""A larger row of the bench: its plant and the configuration of its unit have the same size."""

import pytest

from hil.scenario.loader import parse
from tests.hil.digests.shared_runs import run_scenario

_SCENARIO = """
name = "row-size"
title = "A row of {size} times 100 kW"
seconds = 120
[row]
it_kw = 80
size = {size}
humidity_sensors = 2
parts = "cooling, safety"
[[expect]]
measure = "alarms"
max = 0
from_s = 2
[[expect]]
measure = "supply_c"
unit = "Cel"
min = 31.0
max = 33.0
from_s = 60
"""


@pytest.mark.parametrize("size", [1, 12])
def test_a_larger_row_is_controlled_like_one_of_100_kw(size: int) -> None:
    assert run_scenario(parse(_SCENARIO.format(size=size), "row-size")).failures == ()
