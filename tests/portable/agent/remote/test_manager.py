# SPDX-License-Identifier: Apache-2.0
"""Remote changes: accepted, on trial, confirmed, rolled back."""

from agent.port_numbers import STATE
from protocols import datagram
from protocols.cbor import Decimal
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    LIMITER,
    OPERATOR,
    PRESSURE,
    SAFE_VALVE,
    SETPOINT,
    START_S,
    RemoteRig,
    make_command,
    make_patch,
    reject_reason,
    remote_config,
    start_rig,
)

LONG = ("test_trial_continues_after_a_restart",)


def test_setpoint_change_is_bumpless_and_confirmed():
    rig = start_rig()
    valve = rig.agent.supply_loop.valve.command_pct
    rig.send(make_patch(rig, [(SETPOINT, Decimal(325, 1))]))
    rig.run(1)
    eq((rig.agent.supply_loop.setpoint, rig.restarts), (32.5, 0))
    eq(rig.slot_state(), (0, COUNTER, (0, "nothing", "")))
    eq(rig.manager.trial_monitor.phase, "health")
    assert abs(rig.agent.supply_loop.valve.command_pct - valve) <= 1, (
        rig.agent.supply_loop.valve.command_pct
    )
    rig.run(21)
    eq(rig.manager.trial_monitor.phase, "confirm")
    rig.send(make_command("confirm", [("counter", COUNTER)]))
    rig.run(1)
    eq(rig.slot_state(), (1, None, (COUNTER, "confirmed", "")))
    again = RemoteRig(store=rig.store)
    again.run(1)
    eq((again.agent.supply_loop.setpoint, again.slot_state()[0]), (32.5, 1))


def test_edited_file_takes_precedence():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(22)
    rig.send(make_command("confirm"))
    rig.run(1)
    file = remote_config()
    file["control"]["dp"]["setpoint_kpa"] = 90
    again = RemoteRig(file, rig.store)
    eq((again.agent.supply_loop.setpoint, again.agent.pressure_loop.setpoint), (32, 90))
    eq(again.slot_state()[0], 2)
    again.run(1)
    eq(reject_reason(again, make_patch(rig, [(SETPOINT, 33)])), "replay")


def test_unconfirmed_change_is_rolled_back():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)], confirm_s=300))
    rig.run(295)
    eq(rig.agent.supply_loop.setpoint, 33)
    rig.run(10)
    eq(
        (rig.agent.supply_loop.setpoint, rig.slot_state()),
        (32, (0, None, (COUNTER, "rolled_back", "not_confirmed"))),
    )


def test_harmful_change_is_rolled_back():
    rig = start_rig()
    rig.send(make_patch(rig, [(PRESSURE, 110)]))
    rig.run(5)
    eq(rig.agent.pressure_loop.setpoint, 110)
    rig.set(1, 4, 1)  # a leak is reported
    rig.run(3)
    eq(rig.agent.pressure_loop.setpoint, 100)
    eq(rig.slot_state()[2], (COUNTER, "rolled_back", "unwell device_alarm:cdu.Leak"))


def test_an_unusable_port_does_not_end_the_trial():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, Decimal(325, 1))]))
    rig.run(1)
    rig.deliver("event", STATE, "failed")
    rig.run(0.6)
    assert "port:state" in rig.agent.alarms.codes(), rig.agent.alarms.codes()
    rig.run(21)
    eq(rig.manager.trial_monitor.phase, "confirm")


def test_degraded_loop_is_rolled_back():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 36)]))  # the emulated supply stays at 32
    rig.run(25)
    eq(rig.slot_state()[2], (COUNTER, "rolled_back", "unwell supply"))


def test_trial_continues_after_a_restart():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)], confirm_s=300))
    rig.run(100)
    again = RemoteRig(store=rig.store)
    eq(again.agent.supply_loop.setpoint, 33)
    again.run(180)
    eq((again.agent.supply_loop.setpoint, again.restarts), (33, 0))
    again.run(100)
    eq(again.restarts, 1)  # only a restart brings the previous one back
    eq(RemoteRig(store=rig.store).agent.supply_loop.setpoint, 32)


def test_a_start_on_trial_has_an_entry_with_its_time():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(1)
    again, entries = RemoteRig(store=rig.store), []
    again.manager.audit_entry = lambda *fields: entries.append(fields)
    again.manager.start(7)
    eq(entries, [([], "start", 0, "on trial %d" % COUNTER, 7)])


def test_two_keys_can_change_more_than_the_step_of_a_day():
    rig = start_rig()
    nano = 1_000_000_000
    rig.manager.boot.day.add([(SETPOINT, 28 * nano, 32 * nano)], rig.now)
    eq(reject_reason(rig, make_patch(rig, [(SETPOINT, 34)])), "too_big_step")
    rig.send(make_patch(rig, [(SETPOINT, 34)], (OPERATOR, LIMITER), START_S + 60))
    rig.run(2)
    eq((rig.agent.supply_loop.setpoint, rig.slot_state()[1]), (34, COUNTER + 60))


def test_crashing_change_is_rolled_back_after_its_starts():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(1)
    points = []
    for _ in range(5):
        life = RemoteRig(store=rig.store)
        life.run(0.5)
        points.append(life.agent.supply_loop.setpoint)
    eq(points, [33, 33, 33, 32, 32])
    eq(life.slot_state()[2], (COUNTER, "rolled_back", "crashed"))


def test_structure_needs_two_signatures_and_a_restart():
    rig = start_rig()
    changes = [("devices", remote_config()["devices"][:3]), ("control.dp.pumps", ["lead"])]
    eq(reject_reason(rig, make_patch(rig, changes)), "wrong_role")
    eq(reject_reason(rig, make_patch(rig, changes, (OPERATOR, OPERATOR))), "wrong_role")
    eq(reject_reason(rig, make_patch(rig, changes, (LIMITER,))), "wrong_role")
    rig.send(make_patch(rig, changes, (OPERATOR, LIMITER)))
    rig.run(1)
    eq((rig.restarts, len(rig.agent.pressure_loop.pumps)), (1, 2))
    again = RemoteRig(store=rig.store)
    again.run(30)
    eq((len(again.agent.pressure_loop.pumps), again.manager.trial_monitor.phase), (1, "confirm"))


def test_two_keys_for_a_limit_and_one_for_a_setpoint():
    rig = start_rig()
    rig.send(make_patch(rig, [(SAFE_VALVE, 70), (SETPOINT, 33)], (LIMITER, OPERATOR)))
    rig.run(1)
    eq((rig.agent.supply_loop.config.safe_pct, rig.agent.supply_loop.setpoint), (70, 33))


def test_group_message_serves_all_units():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)], version=0, group="gulf"))
    rig.run(1)
    eq(rig.agent.supply_loop.setpoint, 33)


def test_ten_parameters_with_two_signatures_fit_one_datagram():
    rig = start_rig()
    rig.manager.boot.slots.version = 3000
    ten = [(1, Decimal(325, 1)), (2, 110), (3, Decimal(55, 1)), (4, 20), (5, 10)]
    ten += [(6, Decimal(25, 2)), (7, 5), (8, 12), (11, 65), (15, 41)]
    change = make_patch(rig, ten, (OPERATOR, LIMITER))
    key = bytes(range(32))
    sent = datagram.pack_message(key, "s1/u1", 7, change)
    assert len(sent) <= 270, len(sent)
    rig.manager.message(datagram.verify_body(key, "s1/u1", sent)[4:], rig.now)
    rig.run(2)
    eq((rig.manager.trial_monitor.phase, rig.restarts), ("health", 0))
    supply, dp = rig.agent.supply_loop, rig.agent.pressure_loop
    eq((supply.setpoint, supply.config.integral_s, supply.config.safe_pct), (32.5, 20, 65))
    eq((dp.setpoint, dp.config.gain, dp.config.integral_s), (110, 0.25, 5))
    eq((rig.agent.running_config().supply_max_c, rig.agent.config.supply_max_c), (41, 40))
    rig.run(60)  # the tuning is watched for three times the health window
    order = datagram.pack_message(key, "s1/u1", 8, make_command("confirm"))
    assert len(order) <= 128, len(order)
    rig.manager.message(datagram.verify_body(key, "s1/u1", order)[4:], rig.now)
    rig.run(1)
    eq(rig.slot_state()[2], (COUNTER, "confirmed", ""))


def test_a_one_parameter_patch_fits_in_96_bytes():
    rig = start_rig()
    rig.manager.boot.slots.version = 3000
    one = make_patch(rig, [(SETPOINT, Decimal(325, 1))])
    assert len(one) <= 96, len(one)
    ten = [(number, Decimal(12345, 2)) for number in range(1, 11)]
    both = make_patch(rig, ten, (OPERATOR, LIMITER))
    assert len(both) <= 270, len(both)
