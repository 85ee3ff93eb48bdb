# SPDX-License-Identifier: Apache-2.0
"""Numbers and names that a page repeats from the code are those of the code.

For texts that people write. The pages that `make reference` writes need no check.
"""

import importlib
import re

import pytest

from agent.control.law import feedforward, pump_speed
from deploy.firmware.command_build import BOARDS
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS
from hil.devices.modbus.server import ModbusServer
from tests.support.repository import ROOT


def page(name: str) -> str:
    """Return a page as one line."""
    return " ".join((ROOT / "docs/engineer" / name).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("board", BOARDS)
def test_each_board_has_a_row_in_the_table_of_boards(board: str) -> None:
    assert re.search(rf"\| `{re.escape(board)}` \|", page("firmware.md")), (
        "docs/engineer/firmware.md"
    )


def parse_functions(text: str) -> set[int]:
    """Return the function codes of a text such as "01 03-06 16"."""
    ends = [[int(end) for end in part.split("-")] for part in text.split()]
    return {code for end in ends for code in range(end[0], end[-1] + 1)}


def test_the_functions_of_the_emulated_devices_are_those_of_the_code() -> None:
    stated = re.findall(r"\| `(\w+)` \| [^|]+ \| ([-0-9 ]+) \|", page("emulated_devices.md"))
    assert len(stated) >= len(LINE_UNITS | TCP_UNITS)
    for model, text in stated:
        server = find_server(model)
        assert parse_functions(text) == set(server.functions), f"{model}, `Functions` of the table"


def find_server(model: str) -> type[ModbusServer]:
    """Return the class of an emulated device, of the module with the name of its model."""
    name = "rpu" if model == "orv3_rpu" else model
    (path,) = ROOT.glob(f"hil/devices/*/{name}.py")
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, ModbusServer)
        and thing.__module__ == module.__name__
    ]  # fmt: skip
    assert len(found) == 1, (model, found)
    return found[0]


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
