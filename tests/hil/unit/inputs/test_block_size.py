# SPDX-License-Identifier: Apache-2.0
"""A device that gives few registers in one reply is read without a change of its table."""

import json
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from coldloop import main
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.inputs.block_size import find_max_block
from hil.tools.commission.table_profile import make_profile
from protocols.modbus import pdu
from tests.hil.unit.test_commission import TABLE, cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures


def profile_of(site: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site / "profiles" / "acme_cdu.json").read_text())
    return found


@pytest.mark.parametrize("cdu", ["few"], indirect=True)
def test_a_device_with_short_replies_is_commissioned(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    shown = capsys.readouterr().out
    assert "cdu gives 2 registers in a reply" in shown
    assert "cdu.ValvePositionControlPercent: done" in shown
    assert profile_of(site)["max_block"] == 2
    assert words_of(cdu, capsys, 4, 2) == [600, 400]
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0  # the file is as tested


def test_a_usual_device_keeps_long_requests(cdu: str, site: Path) -> None:
    assert main(command(cdu, site, "--to", "describe")) == 0
    assert "max_block" not in profile_of(site)


class LengthReply(NamedTuple):
    status: str
    code: int = 0


class Device:
    """It refuses a request of more than `most` registers, or with a register of `holes`."""

    def __init__(self, most: int, code: int, holes: tuple[int, ...] = ()) -> None:
        self.most, self.code, self.holes = most, code, holes
        self.functions: set[int] = set()

    def request(self, request: bytes) -> LengthReply:
        self.functions.add(request[0])
        first, count = int.from_bytes(request[1:3]), int.from_bytes(request[3:5])
        if self.most == 0:
            return LengthReply("timeout")
        has_hole = any(first <= hole < first + count for hole in self.holes)
        return (
            LengthReply(pdu.EXCEPTION, self.code)
            if count > self.most or has_hole
            else LengthReply(pdu.GOOD)
        )


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize(("most", "found"), [(8, None), (7, 4), (3, 2), (1, 1), (0, None)])
def test_the_longest_request_is_found_by_reading(code: int, most: int, found: int | None) -> None:
    raw, device = make_profile(TABLE, "t", "acme", "o"), Device(most, code)
    assert find_max_block(cast(DeviceAccess, device), raw) == found
    assert device.functions == {pdu.READ_HOLDING}


def test_other_refusals_are_not_those_of_a_length() -> None:
    raw = make_profile(TABLE, "t", "acme", "o")
    assert find_max_block(cast(DeviceAccess, Device(4, 4)), raw) is None
    assert find_max_block(cast(DeviceAccess, Device(8, 2, holes=(3,))), raw) is None
