# SPDX-License-Identifier: Apache-2.0
"""Numbers and names that a page repeats from the code are those of the code.

For texts that people write. The pages that `make reference` writes need no check.
"""

import re

import pytest

from agent.control.law import feedforward, pump_speed
from deploy.firmware.command_build import BOARDS
from tests.support.repository import ROOT


def page(name: str) -> str:
    """Return a page as one line."""
    return " ".join((ROOT / "docs/engineer" / name).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("board", BOARDS)
def test_each_board_has_a_row_in_the_table_of_boards(board: str) -> None:
    assert re.search(rf"\| `{re.escape(board)}` \|", page("firmware.md")), (
        "docs/engineer/firmware.md"
    )


def test_the_page_of_control_has_the_gains_of_the_laws() -> None:
    text = page("control.md")
    supply = f"with gain {feedforward._GAIN:g} and {feedforward._INTEGRAL_S:g} s"
    assert supply in text, "the correction of the supply law"
    for quantity, name in (
        (pump_speed.FLOW, "dP or flow"),
        (pump_speed.DELTA_T, "ΔT"),
    ):
        gain, integral_s = pump_speed._TUNING[quantity]
        assert f"{name} (gain {gain:g}, {integral_s:g} s)" in text, name
    assert pump_speed._TUNING[pump_speed.DP] == pump_speed._TUNING[pump_speed.FLOW]
