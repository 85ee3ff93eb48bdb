# SPDX-License-Identifier: Apache-2.0
"""No single key, message or restart locks a unit: bounded counters, schedules, ends of trials."""

from agent.remote.message.counter import first_of
from agent.remote.message.header import EPOCH_S
from agent.remote.storage.config_slots import RECORD, decode_hashed
from agent.remote.update import boot
from protocols.cbor import Decimal
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    HOUR,
    LIMITER,
    OPERATOR,
    PRESSURE,
    SETPOINT,
    START_S,
    STORE,
    RemoteRig,
    command_result,
    key,
    make_command,
    make_patch,
    reject_reason,
    remote_config,
    start_rig,
)

DAY = 24 * HOUR
BOTH = (OPERATOR, LIMITER)
LAST_S = EPOCH_S + (1 << 32) - 1
EPOCH_1 = first_of(1)


def set_utc(rig, utc_s):
    rig.agent.clock.utc = lambda now: utc_s * SECOND + now - rig.now
    rig.agent.clock.state = lambda _: "sync"


def counters(rig):
    return rig.manager.boot.slots.counters


# Counters.


def test_with_utc_a_counter_is_at_most_a_day_ahead():
    rig = start_rig()
    set_utc(rig, START_S)
    change = [(SETPOINT, 33)]
    for at, seen in ((LAST_S, "ahead"), (START_S + DAY + 60, "ahead")):
        eq(reject_reason(rig, make_patch(rig, change, counter_s=at)), seen)
        eq(reject_reason(rig, make_command("rotate", counter_s=at)), seen)
    eq(counters(rig), [0, 0, 0])
    rig.send(make_patch(rig, change, counter_s=START_S + DAY))
    rig.run(1)
    eq(rig.agent.supply_loop.setpoint, 33)


def test_used_up_counters_are_opened_by_two_keys_and_not_by_one():
    rig = start_rig()
    for at in (START_S, LAST_S):
        expected = "unsupported" if at == START_S else "ahead"
        eq(reject_reason(rig, make_command("rotate", counter_s=at)), expected)
    # a first message without UTC has no bound: the worst case for one key
    rig = start_rig()
    eq(reject_reason(rig, make_command("rotate", counter_s=LAST_S)), "unsupported")
    eq(counters(rig)[1], (1 << 32) - 1)
    new = START_S + EPOCH_1
    eq(reject_reason(rig, make_command("rotate", counter_s=new)), "wrong_role")
    eq(reject_reason(rig, make_command("rotate", counter_s=START_S + first_of(2))), "ahead")
    assert command_result(rig, make_command("epoch", (), BOTH, new)).endswith("epoch: epoch 1")
    eq(counters(rig), [EPOCH_1, COUNTER + EPOCH_1, EPOCH_1])
    # no message of the old epoch is accepted again
    eq(reject_reason(rig, make_command("rotate", counter_s=LAST_S)), "rollback")
    eq(reject_reason(rig, make_patch(rig, [(SETPOINT, 33)])), "rollback")
    rig.send(make_patch(rig, [(SETPOINT, 33)], counter_s=new + 5))
    rig.run(1)
    eq(rig.agent.supply_loop.setpoint, 33)
    again = RemoteRig(store=rig.store)
    eq(counters(again)[:2], [COUNTER + EPOCH_1 + 5, COUNTER + EPOCH_1])


def test_a_change_of_the_keys_opens_the_epoch_in_one_message():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)], counter_s=LAST_S))
    rig.run(1)
    back = make_command("rollback", (), BOTH, START_S + EPOCH_1)
    assert "rolled back" in command_result(rig, back)
    change = [("remote.keys", remote_config()["remote"]["keys"]), ("remote.health_s", 30)]
    eq(reject_reason(rig, make_patch(rig, change, BOTH, START_S + 9)), "rollback")
    rig.send(make_patch(rig, change, BOTH, START_S + 9 + EPOCH_1))
    rig.run(1)
    eq(rig.slot_state()[1], COUNTER + 9 + EPOCH_1)


def test_a_message_of_epoch_0_has_its_old_length():
    rig = start_rig()
    change = [(SETPOINT, Decimal(325, 1))]
    eq(len(make_patch(rig, change, confirm_s=12 * HOUR, version=24)), 93)
    at = START_S + EPOCH_1
    eq(len(make_patch(rig, change, counter_s=at, confirm_s=12 * HOUR, version=24)), 98)


# Expiry without UTC: the time since the last accepted message.


def test_without_utc_a_message_expires_by_the_time_since_the_last_one():
    rig = start_rig()
    held_back = make_patch(rig, [(SETPOINT, 33)], counter_s=START_S + 60, hours=1)
    command_result(rig, make_command("rotate"))
    rig.manager.message_clock._at -= 2 * HOUR * SECOND  # as if two hours had passed
    eq(reject_reason(rig, held_back), "expired")
    # after a restart the stored counters are the date: later than the message expires
    rig = start_rig()
    old = make_patch(rig, [(SETPOINT, 33)], counter_s=START_S - 2 * DAY)
    command_result(rig, make_command("rotate"))
    again = RemoteRig(store=rig.store)
    again.run(6)
    eq(reject_reason(again, old), "expired")


# Scheduled changes.


def schedule(rig, at=START_S, after=HOUR, **options):
    rig.send(
        make_patch(rig, [(SETPOINT, 34)], counter_s=at, not_before_s=START_S + after, **options)
    )
    rig.run(1)
    eq(rig.manager.schedule.counter(), at - EPOCH_S)


def test_a_scheduled_change_is_verified_again_when_it_is_due():
    rig = start_rig()
    set_utc(rig, START_S)
    schedule(rig)
    set_utc(rig, START_S + HOUR)
    rig.run(1)
    eq((rig.agent.supply_loop.setpoint, rig.manager.schedule.counter()), (34, 0))

    rig = start_rig()
    set_utc(rig, START_S)
    schedule(rig, hours=2)
    set_utc(rig, START_S + 3 * HOUR)  # the controller was off
    rig.run(1)
    eq((rig.agent.supply_loop.setpoint, rig.manager.rejections.last[0]), (32, "expired"))


def test_a_scheduled_change_without_utc_ends_when_its_expiry_has_passed():
    for passed_s, waits in ((-1, True), (0, False)):
        rig = start_rig()
        set_utc(rig, START_S)
        schedule(rig, hours=2)
        waiting = rig.manager.schedule.counter()
        expires_s = rig.manager.schedule._waiting.message.expires_s
        rig.manager.trusted_utc_s = lambda _: 0
        rig.manager.message_clock.passed_s = lambda _, s=expires_s + passed_s: s
        rig.run(1)
        eq((passed_s, rig.manager.schedule.counter()), (passed_s, waiting if waits else 0))
        eq((rig.agent.supply_loop.setpoint, waiting), (32, COUNTER))


def test_a_scheduled_change_does_not_follow_a_newer_one():
    for group in ("", "gulf"):
        rig = start_rig()
        set_utc(rig, START_S)
        schedule(rig, group=group)
        rig.send(make_patch(rig, [(SETPOINT, 33)], counter_s=START_S + 5))
        rig.run(22)
        rig.send(make_command("confirm", [("counter", COUNTER + 5)]))
        rig.run(1)
        eq(rig.slot_state()[0], 1)
        set_utc(rig, START_S + HOUR)
        rig.run(1)
        eq((rig.agent.supply_loop.setpoint, counters(rig)[0]), (33, COUNTER + 5))
        eq(rig.manager.rejections.last[0], "rollback")


def test_a_scheduled_change_is_cancelled_for_good():
    for name in ("cancel", "rollback"):
        rig = start_rig()
        set_utc(rig, START_S)
        data = make_patch(rig, [(SETPOINT, 34)], not_before_s=START_S + HOUR)
        rig.send(data)
        rig.run(1)
        wrong = make_command(name, [("counter", 5)])
        eq(reject_reason(rig, wrong), "no_trial")
        assert "cancelled" in command_result(rig, make_command(name, counter_s=START_S + 1))
        set_utc(rig, START_S + HOUR)
        eq(reject_reason(rig, data), "replay")  # the retained message of the broker
        eq(rig.agent.supply_loop.setpoint, 32)
        eq(RemoteRig(store=rig.store).slot_state()[2], (COUNTER, "refused", "cancelled"))


# A trial ends by itself.


def counted_start(store, write):
    """Return the set-point and the last result of a start whose record is written by `write`."""
    check = RemoteRig(store=store).check
    config, state = boot.start_config(remote_config(), store.read, check, False, write)
    return config.supply.setpoint, state.slots.last


def test_a_trial_whose_start_cannot_be_stored_does_not_run():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(1)

    def broken(_key, _data):
        raise OSError(30)

    eq(counted_start(rig.store, broken), (32, (COUNTER, "rolled_back", "store")))
    records = rig.store.records

    def working(key, data):
        records[key] = data

    found = [counted_start(rig.store, working)[0] for _ in range(4)]
    eq(found, [33, 33, 33, 32])


def test_no_change_moves_or_removes_the_place_of_the_records():
    rig = start_rig()
    other = remote_config()["remote"]
    other["port"] = "store:/elsewhere"
    at = START_S
    for change in (("remote.port", "store:/elsewhere"), ("remote", other), ("remote", None)):
        at += 1
        eq(reject_reason(rig, make_patch(rig, [change], BOTH, at)), "out_of_range")


def test_a_rollback_restarts_although_the_store_hangs():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)], confirm_s=120))
    rig.run(1)
    again = RemoteRig(store=rig.store)
    again.run(2)
    again.store.cut_at_write = 0  # nothing is durable any more
    again.run(130)
    eq(again.restarts, 0)
    again.run(60)
    eq(again.restarts, 1)


def test_an_exception_of_the_check_ends_the_trial():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(1)
    rig.manager.trial_monitor.step = None  # not callable: TypeError
    rig.run(1)
    eq(rig.agent.supply_loop.setpoint, 32)
    eq(rig.slot_state()[2], (COUNTER, "rolled_back", "unwell TypeError"))


def test_a_valve_that_swings_ends_the_trial_at_any_time():
    for wait_s in (5, 22):
        rig = start_rig()
        rig.send(make_patch(rig, [(PRESSURE, 101)]))
        rig.run(wait_s)
        drive_valve(rig.manager.trial_monitor._oscillation)
        rig.run(1)
        eq(rig.slot_state()[2], (COUNTER, "rolled_back", "unwell valve swings"))


def test_a_valve_that_did_so_before_does_not_end_it():
    rig = start_rig()
    drive_valve(rig.manager.oscillation)
    rig.send(make_patch(rig, [(PRESSURE, 101)]))
    rig.run(5)
    drive_valve(rig.manager.trial_monitor._oscillation)
    rig.run(1)
    eq(rig.slot_state()[1], COUNTER)


def drive_valve(swings):
    """Let a valve swing from 25 to 92 % with a period of 20 s, as a gain that is too high does."""
    for i in range(120):
        swings._turns[0].step((25, 92)[i // 10 % 2], 1.0)


def test_one_trial_at_a_time():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(22)
    eq(reject_reason(rig, make_command("confirm", [("counter", 12345)])), "no_trial")
    unnamed = make_command("confirm", [("x", 1)], counter_s=START_S + 1)
    eq(reject_reason(rig, unnamed), "malformed")
    eq(rig.slot_state()[1], COUNTER)


def test_a_refusal_names_its_message():
    rig = start_rig()
    eq(reject_reason(rig, make_command("restart")), "wrong_role")
    report = dict(rig.manager.status(rig.now).pairs)
    eq((report["refused_message"], report["results"]), ([2, COUNTER], []))
    rig.deliver("event", STORE, "failed")
    eq(decode_hashed(rig.store.records.get(RECORD)), None)


def test_a_port_with_logins_is_not_captured():
    raw = remote_config()
    raw["broker"].update({"username": "unit", "password": "hush"})
    rig = RemoteRig(raw)
    rig.run(6)
    at = START_S
    for port in ("broker", "state", "console", "remote", "throttle.x", 7):
        at += 1
        data = make_command("capture", [("port", port), ("seconds", 1)], counter_s=at)
        eq(reject_reason(rig, data), "out_of_range")
    assert "broker" not in rig.manager.rejections.last[1]


# Suspended keys.


def test_two_keys_suspend_a_stolen_third_at_once():
    raw = remote_config()
    third = {"number": 3, "public": key(3).public.hex(), "role": "operate"}
    raw["remote"]["keys"].append(third)
    rig = RemoteRig(raw)
    rig.run(6)
    rig.send(make_patch(rig, [(SETPOINT, 33)], (3,)))  # the thief keeps the unit busy
    rig.run(1)
    data = make_command("suspend", [("key", 3)], BOTH)
    eq(command_result(rig, data), "%d suspend: suspended: [3]" % COUNTER)
    for life in (rig, RemoteRig(raw, rig.store)):
        life.run(6)
        stolen = make_command("rollback", (), (3,), START_S + 1)
        eq(reject_reason(life, stolen), "unknown_signer")
    more = make_command("suspend", [("key", LIMITER)], BOTH, START_S + 2)
    eq(reject_reason(life, more), "out_of_range")  # no quorum would remain
    back = make_command("resume", [("key", 3)], BOTH, START_S + 3)
    assert "suspended: none" in command_result(life, back)
    assert "rolled back" in command_result(life, make_command("rollback", (), (3,), START_S + 4))
