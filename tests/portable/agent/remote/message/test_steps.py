# SPDX-License-Identifier: Apache-2.0
"""Largest steps: by the value in force, whatever way a message names a key; summed over a day."""

from agent.remote.message.patch import apply_changes
from agent.remote.message.reject import Rejection
from agent.remote.message.steps import check_steps
from agent.remote.storage.day_values import DAY_KEY, DayValues
from protocols.cbor import Decimal, Map
from protocols.time_units import SECOND
from tests.portable.support.check import eq

PATH = "control.supply.setpoint_c"
SUPPLY = {"setpoint_c": 32, "valve": "v"}
RAW = {"control": {"supply": SUPPLY, "dp": {"setpoint_kpa": 100}}}
DAY_US = 24 * 3600 * SECOND


def verdict(changes, day=None, has_quorum=False, raw=RAW):
    """Return None, or why the changes are refused."""
    try:
        check_steps(raw, apply_changes(raw, changes), day or DayValues(), has_quorum)
    except Rejection as rejection:
        return rejection.reason
    return None


def test_a_number_changes_by_its_largest_step():
    for value, want in (
        (37, None),
        (27, None),
        (Decimal(37001, 3), "too_big_step"),
        (Decimal(26999, 3), "too_big_step"),
        (True, None),  # the schema refuses it
        ("x", None),
    ):
        eq((value, verdict([(1, value)])), (value, want))


def test_a_value_absent_from_the_file_changes_from_its_default():
    gain = "control.supply.gain_pct_per_k"  # 5 by default, 10 at a time
    eq(verdict([(gain, 15)]), None)
    eq(verdict([(gain, 16)]), "too_big_step")
    raw = {"control": {"supply": {"setpoint_c": 32, "gain_pct_per_k": 40}, "dp": {}}}
    eq(verdict([(gain, None)], raw=raw), "too_big_step")  # back to the default


def test_no_way_to_name_a_key_passes_the_step():
    for changes in (
        [(PATH, 38)],
        [("control.supply", Map([("setpoint_c", 38), ("valve", "v")]))],
        [("control", Map([("supply", Map([("setpoint_c", 38)]))]))],
        [("control.supply.gain_pct_per_k", 1), (1, 38)],
    ):
        eq((changes[0][0], verdict(changes)), (changes[0][0], "too_big_step"))


def test_one_key_stands_once_in_a_message():
    for changes in (
        [(1, 36), (PATH, 40)],
        [(PATH, None), (1, 42)],
        [(1, None), (PATH, 42)],
        [("control.supply", Map([])), (PATH, 40)],
        [(PATH, 33), ("control.supply", Map([("setpoint_c", 40)]))],
        [("control", None), (1, 45)],
    ):
        eq(verdict(changes), "malformed")
    eq(verdict([(1, 33), ("control.supply.setpoint_cx", 1)]), None)  # no part of one another


def moved(day, old, new, now=0):
    return day.add([(1, old * 10**9, new * 10**9)], now)


def test_the_steps_of_a_day_are_summed():
    day = DayValues()
    day.expire(0)
    moved(day, 32, 36)
    raw = {"control": {"supply": {"setpoint_c": 36}, "dp": {}}}
    eq(verdict([(1, 37)], day, False, raw), None)
    eq(verdict([(1, 38)], day, False, raw), "too_big_step")
    eq(verdict([(1, 38)], day, True, raw), None)  # two signatures
    eq(verdict([(1, 32)], day, False, raw), None)  # back
    eq(verdict([(1, 31)], day, False, raw), None)
    day.expire(DAY_US - 1)
    eq(verdict([(1, 38)], day, False, raw), "too_big_step")
    day.expire(DAY_US)
    eq(verdict([(1, 38)], day, False, raw), None)


def test_a_restart_and_a_damaged_record_never_shorten_the_day():
    day = DayValues()
    day.expire(0)
    ((key, data),) = moved(day, 32, 36)
    eq(key, DAY_KEY)
    again = DayValues()
    again.load(lambda _: data)
    again.expire(7 * DAY_US)  # the monotonic time of another start
    eq(again.largest_move(1, 38 * 10**9), 6 * 10**9)
    again.expire(8 * DAY_US - 1)
    eq(again.largest_move(1, 38 * 10**9), 6 * 10**9)
    for bad in (None, b"", data[:-1], b"x" + data[1:]):
        empty = DayValues()
        empty.load(lambda _, bad=bad: bad)
        eq(empty.largest_move(1, 38 * 10**9), 0)
