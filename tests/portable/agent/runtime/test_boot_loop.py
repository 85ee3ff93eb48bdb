# SPDX-License-Identifier: Apache-2.0
"""Starts are counted over restarts and power cuts; a boot loop leaves only the protection."""

from agent.agent import Agent
from agent.config.load import load
from agent.config.protection_only import protection_only
from agent.runtime.boot_loop import CALM_US, FULL, KEY, LEAST, PROTECTION, BootLoop
from drivers.errors import PortError
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import AgentRig, config, profiles
from tests.portable.support.check import eq


class StartStore:
    def __init__(self):
        self.records, self.broken = {}, False

    def read(self, key):
        return self.records.get(key)

    def write(self, key, data):
        if self.broken:
            raise PortError("no space")
        self.records[key] = data


def start(store, ends=False, runs_us=0, leaves=False, is_power_on=False):
    loop = BootLoop(store)
    fallback_level = loop.begin(5 * SECOND, is_power_on)
    loop.check(5 * SECOND + runs_us)
    if ends or leaves:
        loop.end(leaves)
    return fallback_level


def test_the_sixth_start_is_a_boot_loop_and_the_eleventh_keeps_the_least():
    store = StartStore()
    eq([start(store) for _ in range(12)], [FULL] * 5 + [PROTECTION] * 5 + [LEAST] * 2)


def test_ten_calm_minutes_end_the_count():
    store = StartStore()
    for _ in range(4):
        start(store)
    eq(start(store, runs_us=CALM_US - 1), FULL)
    eq(store.records[KEY], b"5")
    store.records[KEY] = b"4"
    eq(start(store, runs_us=CALM_US), FULL)
    eq(store.records[KEY], b"0")


def test_orderly_ends_do_not_count():
    store = StartStore()
    eq([start(store, ends=True) for _ in range(20)], [FULL] * 20)
    eq(store.records[KEY], b"0")


def test_power_cuts_of_a_board_do_not_count_but_keep_the_count():
    store = StartStore()
    eq([start(store, is_power_on=True) for _ in range(20)], [FULL] * 20)
    eq([start(store) for _ in range(5)], [FULL] * 5)
    eq(start(store, is_power_on=True, ends=True), FULL)
    eq(start(store), PROTECTION)
    eq(start(store, is_power_on=True), PROTECTION)


def test_a_level_stays_until_a_person_leaves_it():
    store = StartStore()
    for _ in range(6):
        fallback_level = start(store, runs_us=0)
    eq(fallback_level, PROTECTION)
    eq([start(store, ends=True, runs_us=2 * CALM_US) for _ in range(20)], [PROTECTION] * 20)
    eq(start(store, leaves=True), PROTECTION)
    eq(start(store), FULL)


def test_a_deleted_record_stays_deleted_at_an_orderly_end():
    store = StartStore()
    for _ in range(5):
        start(store)
    loop = BootLoop(store)
    eq(loop.begin(0), PROTECTION)
    del store.records[KEY]
    loop.end(False)
    eq((store.records, loop.starts), ({}, 5))
    eq(start(store), FULL)


def test_calm_starts_in_a_loop_do_not_lead_to_the_least():
    store = StartStore()
    for _ in range(6):
        start(store)
    eq([start(store, runs_us=CALM_US) for _ in range(9)], [PROTECTION] * 9)
    for _ in range(5):
        start(store)
    eq([start(store, runs_us=CALM_US) for _ in range(3)], [LEAST] * 3)


def test_damaged_or_missing_records_and_stores():
    for data in (b"", b"x", b"-1", b"999", b"\xff", b"1 2"):
        store = StartStore()
        store.records[KEY] = data
        eq((data, start(store)), (data, FULL))
    store = StartStore()
    store.broken = True
    loop = BootLoop(store)
    eq([loop.begin(0) for _ in range(6)], [FULL] * 5 + [PROTECTION])
    eq(loop.fault, "no space")
    loop = BootLoop(None)
    eq([loop.begin(0) for _ in range(6)], [FULL] * 5 + [PROTECTION])


def test_only_the_sections_of_the_protection_remain():
    raw = config()
    raw["timekeeping"] = {"port": "store:/time"}
    raw["safety"] = {"inputs": []}
    full = load(raw, profiles())
    eq([entry[0] for entry in protection_only(full, PROTECTION).components], ["safety"])
    least = protection_only(full, LEAST)
    eq((least.broker, least.receiver), (None, None))
    eq([entry[0] for entry in full.components], ["timekeeping", "safety"])
    eq(protection_only(full, FULL) is full, True)


class LoopRig(AgentRig):
    fallback_level = LEAST

    def make(self, raw, models):
        raw["safety"] = {"inputs": []}
        level = self.fallback_level
        return Agent(protection_only(load(raw, models), level), None, 0, level)


def test_the_loops_run_in_a_boot_loop_and_the_alarm_says_so():
    for fallback_level in (PROTECTION, LEAST):
        LoopRig.fallback_level = fallback_level
        rig = LoopRig()
        rig.run(20)
        eq(rig.agent.supply_loop.at_fail_safe, False)
        eq("boot_loop" in rig.alarm_codes(), True)
        rig.agent.restart(True)
        eq(rig.agent.outbox()[0], (3, "set", b"leave"))
