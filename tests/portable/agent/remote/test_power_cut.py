# SPDX-License-Identifier: Apache-2.0
"""Power cuts and flash errors: the old configuration or the new one runs, never a mix."""

from agent.remote.message import canonical
from tests.portable.support.check import eq
from tests.portable.support.power_cut.power_sweep import sweep
from tests.portable.support.remote_rig import (
    SETPOINT,
    RemoteRig,
    make_command,
    make_patch,
    start_rig,
)

LONG = (
    "test_power_cut_at_every_record_leaves_old_or_new",
    "test_power_cut_in_a_file_system_leaves_old_or_new",
)


def test_power_cut_in_a_file_system_leaves_old_or_new():
    # Some steps here, each in three ways; all of them in the soak.
    seen, steps = sweep("confirm", 6, 2)
    eq(seen, [(31, 1, False), (33, 1, True), (33, 2, False)])
    assert steps > 30, steps
    seen, _ = sweep("rollback", 12, 4)
    eq(seen, [(31, 1, False), (33, 1, True)])


def test_power_cut_at_every_record_leaves_old_or_new():
    whole = start_rig()
    whole.send(make_patch(whole, [(SETPOINT, 33)]))
    whole.run(22)
    whole.send(make_command("confirm"))
    whole.run(1)
    seen = set()
    for cut in range(whole.store.writes + 1):
        rig = RemoteRig()
        rig.store.cut_at_write = cut
        rig.run(6)
        rig.send(make_patch(rig, [(SETPOINT, 33)]))
        rig.run(22)
        rig.send(make_command("confirm"))
        rig.run(1)
        rig.store.cut_at_write = None
        after = RemoteRig(store=rig.store)
        config = canonical.hash_config(after.manager.boot.config)
        eq(
            config,
            canonical.hash_config(canonical.encode_config(after.manager.boot.parsed_config())),
        )
        seen.add(
            (
                after.agent.supply_loop.setpoint,
                after.slot_state()[0],
                after.slot_state()[1] is not None,
            )
        )
    eq(sorted(seen), [(32, 0, False), (33, 0, True), (33, 1, False)])


def damaged(data):
    """Return `data` with one flipped bit, in several places, and truncated."""
    places = range(0, len(data), max(1, len(data) // 9))
    flipped = [data[:at] + bytes((data[at] ^ 0x40,)) + data[at + 1 :] for at in places]
    return flipped + [data[: len(data) // 2]]


def test_one_damaged_record_loses_nothing():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(22)
    rig.send(make_command("confirm"))
    rig.run(1)
    state = rig.slot_state(), rig.manager.boot.slots.counters
    for name in ("config.record", "config.copy"):
        whole = rig.store.records[name]
        for bad in damaged(whole):
            rig.store.records[name] = bad
            again = RemoteRig(store=rig.store)
            eq((again.slot_state(), again.manager.boot.slots.counters), state)
            eq(again.agent.supply_loop.setpoint, 33)
        rig.store.records[name] = whole


def test_damaged_slots_and_records_are_ignored():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(22)
    rig.send(make_command("confirm"))
    rig.run(1)
    rig.store.records.pop("config.copy")
    for name in ("config.a", "config.record"):
        whole = rig.store.records[name]
        for at in range(0, len(whole), max(1, len(whole) // 9)):
            bad = bytearray(whole)
            bad[at] ^= 0x40
            rig.store.records[name] = bytes(bad)
            eq(RemoteRig(store=rig.store).agent.supply_loop.setpoint, 32)
        rig.store.records[name] = whole[: len(whole) // 2]
        eq(RemoteRig(store=rig.store).agent.supply_loop.setpoint, 32)
        rig.store.records[name] = whole
    eq(RemoteRig(store=rig.store).agent.supply_loop.setpoint, 33)
