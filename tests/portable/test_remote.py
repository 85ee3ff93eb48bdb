"""Changes from afar: taken, on trial, confirmed, rolled back, and every reason to refuse one."""

from agent.remote import canonical
from protocols.cbor import Decimal
from protocols.envelope import LONGEST, PATCH
from tests.portable.check import eq
from tests.portable.remote_rig import (
    HOUR,
    LIMITER,
    OPERATOR,
    START_S,
    STRANGER,
    RemoteRig,
    a_command,
    a_patch,
    key,
    remote_config,
    signed,
)

HEAP = "512wK"  # two agents at a time, a signer, and what they say
SETPOINT, PRESSURE, SAFE_VALVE = 1, 2, 11
COUNTER = START_S - 1_767_225_600


def running():
    rig = RemoteRig()
    rig.run(6)
    eq(rig.agent.supervisor.state, "normal")
    return rig


def refused(rig, data):
    """The reason for which `data` is refused."""
    before = rig.desk.refused
    rig.send(data)
    rig.run(1)
    eq(rig.desk.refused, before + 1)
    return rig.desk.refusal[0]


def test_a_setpoint_is_changed_without_a_bump_and_confirmed():
    rig = running()
    valve = rig.agent.supply.valve.asked
    rig.send(a_patch(rig, [(SETPOINT, Decimal(325, 1))]))
    rig.run(1)
    eq((rig.agent.supply.setpoint, rig.restarts), (32.5, 0))
    eq(rig.standing(), (0, COUNTER, (0, "nothing", "")))
    eq(rig.desk.watch.phase, "health")
    assert abs(rig.agent.supply.valve.asked - valve) <= 1, rig.agent.supply.valve.asked
    rig.run(21)
    eq(rig.desk.watch.phase, "confirm")
    rig.send(a_command("confirm", [("counter", COUNTER)]))
    rig.run(1)
    eq(rig.standing(), (1, None, (COUNTER, "confirmed", "")))
    again = RemoteRig(store=rig.store)
    again.run(1)
    eq((again.agent.supply.setpoint, again.standing()[0]), (32.5, 1))


def test_the_file_is_what_runs_after_it_was_edited():
    rig = running()
    rig.send(a_patch(rig, [(SETPOINT, 33)]))
    rig.run(22)
    rig.send(a_command("confirm"))
    rig.run(1)
    file = remote_config()
    file["control"]["dp"]["setpoint_kpa"] = 90
    again = RemoteRig(file, rig.store)
    eq((again.agent.supply.setpoint, again.agent.pressure.setpoint), (32, 90))
    eq(again.standing()[0], 2)
    again.run(1)
    eq(refused(again, a_patch(rig, [(SETPOINT, 33)])), "replay")


def test_without_a_confirmation_it_is_rolled_back():
    rig = running()
    rig.send(a_patch(rig, [(SETPOINT, 33)], confirm_s=300))
    rig.run(295)
    eq(rig.agent.supply.setpoint, 33)
    rig.run(10)
    eq(
        (rig.agent.supply.setpoint, rig.standing()),
        (32, (0, None, (COUNTER, "rolled_back", "not_confirmed"))),
    )


def test_a_change_that_does_harm_is_rolled_back():
    rig = running()
    rig.send(a_patch(rig, [(PRESSURE, 110)]))
    rig.run(5)
    eq(rig.agent.pressure.setpoint, 110)
    rig.set(1, 4, 1)  # a leak is reported
    rig.run(3)
    eq(rig.agent.pressure.setpoint, 100)
    eq(rig.standing()[2], (COUNTER, "rolled_back", "unwell device_alarm:cdu.Leak"))


def test_a_loop_that_ends_worse_is_rolled_back():
    rig = running()
    rig.send(a_patch(rig, [(SETPOINT, 36)]))  # the emulated supply stays at 32
    rig.run(25)
    eq(rig.standing()[2], (COUNTER, "rolled_back", "unwell supply"))


def test_the_trial_goes_on_after_a_restart():
    rig = running()
    rig.send(a_patch(rig, [(SETPOINT, 33)], confirm_s=300))
    rig.run(100)
    again = RemoteRig(store=rig.store)
    eq(again.agent.supply.setpoint, 33)
    again.run(180)
    eq((again.agent.supply.setpoint, again.restarts), (33, 0))
    again.run(100)
    eq(again.restarts, 1)  # it has nothing to go back to but by a start
    eq(RemoteRig(store=rig.store).agent.supply.setpoint, 32)


def test_a_change_that_brings_the_controller_down_is_rolled_back_by_its_starts():
    rig = running()
    rig.send(a_patch(rig, [(SETPOINT, 33)]))
    rig.run(1)
    points = []
    for _ in range(5):
        life = RemoteRig(store=rig.store)
        life.run(0.5)
        points.append(life.agent.supply.setpoint)
    eq(points, [33, 33, 33, 32, 32])
    eq(life.standing()[2], (COUNTER, "rolled_back", "crashed"))


def test_structure_needs_two_signatures_and_a_restart():
    rig = running()
    changes = [("devices", remote_config()["devices"][:3]), ("control.dp.pumps", ["lead"])]
    eq(refused(rig, a_patch(rig, changes)), "wrong_role")
    eq(refused(rig, a_patch(rig, changes, (OPERATOR, OPERATOR))), "wrong_role")
    eq(refused(rig, a_patch(rig, changes, (LIMITER,))), "wrong_role")
    rig.send(a_patch(rig, changes, (OPERATOR, LIMITER)))
    rig.run(1)
    eq((rig.restarts, len(rig.agent.pressure.pumps)), (1, 2))
    again = RemoteRig(store=rig.store)
    again.run(30)
    eq((len(again.agent.pressure.pumps), again.desk.watch.phase), (1, "confirm"))


def test_two_keys_for_a_limit_and_one_for_a_setpoint():
    rig = running()
    rig.send(a_patch(rig, [(SAFE_VALVE, 70), (SETPOINT, 33)], (LIMITER, OPERATOR)))
    rig.run(1)
    eq((rig.agent.supply.config.safe_pct, rig.agent.supply.setpoint), (70, 33))


def test_every_reason_to_refuse():
    rig = running()
    good = a_patch(rig, [(SETPOINT, 33)])
    bad = bytearray(good)
    bad[-1] ^= 1
    eq(refused(rig, b"nonsense"), "malformed")
    eq(refused(rig, good[:-1]), "malformed")
    eq(refused(rig, bytes(LONGEST + 1)), "too_large")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 33)], group="africa")), "wrong_target")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 33)], target="s1/u2")), "bad_signature")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 33)], base=bytes(32))), "bad_signature")
    eq(refused(rig, bytes(bad)), "bad_signature")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 33)], (STRANGER,))), "unknown_signer")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 33)], version=7)), "wrong_base")
    old = a_patch(rig, [(SETPOINT, 33)], counter_s=1_767_225_600, hours=0)
    eq(refused(rig, old), "replay")
    eq(refused(rig, a_patch(rig, [(99, 33)], (OPERATOR, LIMITER))), "unknown_key")
    at = START_S + 10
    eq(refused(rig, a_patch(rig, [("limits.x", 3)], (OPERATOR, LIMITER), at)), "unknown_key")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 38)], (OPERATOR,), at + 1)), "too_big_step")
    eq(refused(rig, a_patch(rig, [(SAFE_VALVE, 101)], (OPERATOR, LIMITER), at + 2)), "out_of_range")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at)), "rollback")
    late = a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 3, not_before_s=at + HOUR)
    eq(refused(rig, late), "not_yet")
    rig.send(a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 4))
    rig.run(1)
    eq(rig.agent.supply.setpoint, 33)
    eq(refused(rig, a_patch(rig, [(SETPOINT, 34)], (OPERATOR,), at + 5)), "busy")
    eq(refused(rig, a_command("confirm", [("counter", 5)])), "no_trial")


def test_a_group_is_named_and_not_sent_for_each():
    rig = running()
    rig.send(a_patch(rig, [(SETPOINT, 33)], version=0, group="gulf"))
    rig.run(1)
    eq(rig.agent.supply.setpoint, 33)


def test_commands_are_done_once():
    rig = running()
    data = a_command("acknowledge")
    rig.send(data)
    rig.run(1)
    eq(rig.desk.results, ["%d acknowledge: 0 alarms" % COUNTER])
    eq(refused(rig, data), "replay")
    eq(len(rig.desk.results), 1)
    eq(refused(rig, a_command("restart", (), (OPERATOR,), START_S + 1)), "wrong_role")
    eq(refused(rig, a_command("dance", (), (OPERATOR, LIMITER), START_S + 1)), "unknown_key")
    rig.send(a_command("restart", (), (OPERATOR, LIMITER), START_S + 2))
    rig.run(1)
    eq(rig.restarts, 1)


def test_no_tick_is_late_for_a_verification():
    rig = running()
    late = rig.agent.ticks.missed
    for i in range(30):
        rig.send(a_patch(rig, [(SETPOINT, 33)], target="other", counter_s=START_S + i))
        rig.run(0.3)
    eq(rig.agent.ticks.missed, late)
    eq(rig.desk.accepted, 0)


def test_a_one_parameter_patch_fits_in_96_bytes():
    rig = running()
    rig.desk.boot.slots.version = 3000
    one = a_patch(rig, [(SETPOINT, Decimal(325, 1))])
    assert len(one) <= 96, len(one)
    ten = [(number, Decimal(12345, 2)) for number in range(1, 11)]
    both = a_patch(rig, ten, (OPERATOR, LIMITER))
    assert len(both) <= 270, len(both)


def test_power_cut_at_every_write_leaves_old_or_new():
    whole = running()
    whole.send(a_patch(whole, [(SETPOINT, 33)]))
    whole.run(22)
    whole.send(a_command("confirm"))
    whole.run(1)
    seen = set()
    for cut in range(whole.store.writes + 1):
        rig = RemoteRig()
        rig.store.cut = cut
        rig.run(6)
        rig.send(a_patch(rig, [(SETPOINT, 33)]))
        rig.run(22)
        rig.send(a_command("confirm"))
        rig.run(1)
        rig.store.cut = None
        after = RemoteRig(store=rig.store)
        config = canonical.digest(after.desk.boot.config)
        eq(config, canonical.digest(canonical.write(after.desk.boot.raw)))
        seen.add(
            (after.agent.supply.setpoint, after.standing()[0], after.standing()[1] is not None)
        )
    eq(sorted(seen), [(32, 0, False), (33, 0, True), (33, 1, False)])


def test_damaged_slots_and_records_are_as_if_not_there():
    rig = running()
    rig.send(a_patch(rig, [(SETPOINT, 33)]))
    rig.run(22)
    rig.send(a_command("confirm"))
    rig.run(1)
    for name in sorted(rig.store.records):
        whole = rig.store.records[name]
        for at in range(0, len(whole), max(1, len(whole) // 9)):
            bad = bytearray(whole)
            bad[at] ^= 0x40
            rig.store.records[name] = bytes(bad)
            eq(RemoteRig(store=rig.store).agent.supply.setpoint, 32)
        rig.store.records[name] = whole[: len(whole) // 2]
        eq(RemoteRig(store=rig.store).agent.supply.setpoint, 32)
        rig.store.records[name] = whole
    eq(RemoteRig(store=rig.store).agent.supply.setpoint, 33)


def test_hostile_messages_change_nothing():
    rig = running()
    good = a_patch(rig, [(SETPOINT, 33)])
    writes = rig.store.writes
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        rig.desk.message(bytes(bad), rig.now)
        rig.run(0.2)
    eq((rig.agent.supply.setpoint, rig.desk.accepted, rig.store.writes), (32, 0, writes))
    rig.send(signed(PATCH, b"", (OPERATOR,)))
    rig.run(1)
    eq(rig.desk.accepted, 0)
    assert key(OPERATOR).public != key(LIMITER).public
