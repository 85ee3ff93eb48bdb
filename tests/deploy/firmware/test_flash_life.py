# SPDX-License-Identifier: Apache-2.0
"""The computed life of the flash of a board against the counted one, and the board's defaults."""

import pytest

from deploy.firmware import board_files
from deploy.firmware.rp2.build import RP2_BOARDS
from deploy.firmware.rp2.flash_life import log_life_years
from drivers.ports.micropython import board_data
from tests.portable.deploy import test_flash_life as counted

COUNTED = (
    ({"at_risk_s": 60, "bytes": 98304}, 5.0),
    ({"at_risk_s": 120, "bytes": 98304}, 8.2),
    ({"at_risk_s": 240, "bytes": 98304}, 9.3),
    ({"at_risk_s": 240, "bytes": 65536}, 15.0),
)
"""Years of the most worn block in 20 days, with or without a link, the worse of them."""


@pytest.mark.parametrize("name", RP2_BOARDS)
def test_the_defaults_of_a_board_give_ten_years(name: str) -> None:
    assert log_life_years(RP2_BOARDS[name], {}) >= 10


@pytest.mark.parametrize(("section", "years"), COUNTED)
def test_the_computed_life_is_not_above_the_counted_one(
    section: dict[str, int], years: float
) -> None:
    computed = log_life_years(RP2_BOARDS["rp2040"], section)
    assert 0.4 * years < computed <= years


def test_the_counted_settings_are_the_defaults() -> None:
    defaults = board_files.log_defaults("rp2040")
    assert defaults == {"at_risk_s": counted.AT_RISK_S, "bytes": counted.SETTINGS["bytes"]}


def test_a_board_completes_the_section_log(monkeypatch: pytest.MonkeyPatch) -> None:
    module: dict[str, object] = {}
    exec(board_files.board_module("rp2040"), module)
    monkeypatch.setitem(__import__("sys").modules, "_board_data", type("Data", (), module))
    raw = {"log": {"port": "store:/x", "at_risk_s": 30}, "site": "a"}
    changed = board_data.with_defaults(raw)
    assert changed["log"] == {"port": "store:/x", "at_risk_s": 30, "bytes": 65536}
    assert raw["log"] == {"port": "store:/x", "at_risk_s": 30}
    assert board_data.with_defaults({"site": "a"}) == {"site": "a"}
    assert board_data.with_defaults({"log": 5}) == {"log": 5}
