# SPDX-License-Identifier: Apache-2.0
"""A profile that was corrected after a crash: the old words return to the old registers."""

from pathlib import Path
from typing import Any

import pytest

from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.pending import (
    FOREIGN,
    INTENDED,
    NOT_RETURNED,
    RESTORED,
    OldWords,
    make_old_words,
)
from hil.tools.commission.outputs.way_back import compare_output, return_output
from hil.tools.commission.outputs.write_test import run_write_test
from hil.tools.commission.table_profile import make_profile
from protocols.modbus import pdu
from tests.hil.unit.test_commission import FLOATS, TABLE, cdu, site

__all__ = ["cdu", "site"]  # fixtures

_PUMP = "PumpSpeedControlPercent"
_CHANGES = {
    "another register": ("4;Pump speed command;u16", "3;Pump speed command;u16"),
    "another type": ("4;Pump speed command;u16", "4;Pump speed command;i16"),
    "two registers": ("4;Pump speed command;u16", "2;Pump speed command;u32"),
    "no such point": ("4;Pump speed command;u16;0.1;%;RW", "4;Some speed;u16;0.1;%;R"),
}


def profile(change: str = "") -> dict[str, Any]:
    old, new = _CHANGES.get(change, ("", ""))
    rows = TABLE.splitlines()
    if change in ("another register", "two registers"):
        rows = [row for row in rows if not row.startswith(("3;", "2;"))]
    text = "\n".join(rows)
    assert old in text
    return make_profile(text.replace(old, new, 1), "t", "acme", "o")


def kept(cdu: str) -> OldWords:
    """Return the words of the pump, as the journal has them; the pump is moved then."""
    with DeviceAccess(cdu, 7, profile()) as access:
        point = access.profile.points[access.device.point_index(_PUMP)]
        access.request(pdu.write_single(4, 646))
    return make_old_words(point, [600], [[590, 650]])


@pytest.mark.parametrize("change", _CHANGES)
def test_the_old_register_gets_its_old_words(cdu: str, change: str) -> None:
    old = kept(cdu)
    with DeviceAccess(cdu, 7, profile(change)) as access:
        assert return_output(access, old) == (RESTORED, "")
        assert access.read_words(3, 4, 1)[0] == [600]


@pytest.mark.parametrize("change", _CHANGES)
def test_another_master_is_found_in_the_old_register(cdu: str, change: str) -> None:
    old = kept(cdu)
    with DeviceAccess(cdu, 7, profile(change)) as access:
        access.request(pdu.write_single(4, 77))
        state, problem = return_output(access, old)
        assert state == FOREIGN
        assert "another master has changed the output: it holds [77]" in problem
        assert access.read_words(3, 4, 1)[0] == [77]


@pytest.mark.parametrize("change", _CHANGES)
def test_a_watched_output_is_compared_in_the_old_register(cdu: str, change: str) -> None:
    old = kept(cdu)
    with DeviceAccess(cdu, 7, profile(change)) as access:
        assert compare_output(access, old)[0] == FOREIGN
        access.request(pdu.write_single(4, 600))
        assert compare_output(access, old) == (INTENDED, "")


@pytest.mark.parametrize("cdu", ["swapped"], indirect=True)
def test_a_large_value_of_another_form_stays_in_the_journal(cdu: str) -> None:
    """Its words cannot be judged: it is named, and not written."""
    right, wrong = (FLOATS.replace("ORDER", order) for order in ("CDAB", "ABCD"))
    with DeviceAccess(cdu, 7, make_profile(right, "t", "acme", "o")) as access:
        point = access.profile.points[access.device.point_index(_PUMP)]
        words = access.read_words(3, 8, 2)[0]
    old = make_old_words(point, [words[0], words[1] + 1], [[5990, 6210]])
    with DeviceAccess(cdu, 7, make_profile(wrong, "t", "acme", "o")) as access:
        state, problem = return_output(access, old)
        assert state == NOT_RETURNED
        assert "the profile has changed since" in problem
        assert access.read_words(3, 8, 2)[0] == words


_WIDE = """\
address;name;type;scale;unit;access
4;Pump speed command;u32;0.1;%;RW
"""


@pytest.mark.parametrize("kind", ["u32", "f32"])
def test_words_of_0_show_no_word_order(cdu: str, kind: str, site: Path) -> None:
    states: list[str] = []
    raw = make_profile(_WIDE.replace("u32", kind), "t", "acme", "o")
    with DeviceAccess(cdu, 7, raw) as access:
        access.request(pdu.write_multiple(4, [0, 0]))
        result = run_write_test(access, _PUMP, lambda state, _: states.append(state))
        assert result.state == "refused"
        assert "hold 0, which shows no word order" in result.reason
        assert access.read_words(3, 4, 2)[0] == [0, 0]
    assert states == []


@pytest.mark.parametrize("cdu", ["swapped"], indirect=True)
def test_another_float_shows_the_word_order(cdu: str) -> None:
    text = FLOATS.replace("ORDER", "CDAB")
    with DeviceAccess(cdu, 7, make_profile(text, "t", "acme", "o")) as access:
        access.request(pdu.write_multiple(8, [0, 0]))
        access.poll()
        assert access.unseen_word_order(access.device.point_index(_PUMP)) == ""
