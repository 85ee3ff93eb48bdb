# SPDX-License-Identifier: Apache-2.0
"""The component `northbound`: record of points, alarm states, messages of a site key."""

import json

from agent.config.load import load
from agent.core.alarm_record import DEGRADED, SAFE, AlarmRecord
from agent.core.errors import CommandError, ConfigError
from agent.northbound.alarm_states import AlarmStates
from agent.port_numbers import FIRST_BUS
from protocols.cbor import Decimal
from tests.portable.support.check import eq, raises
from tests.portable.support.remote_rig import (
    COUNTER,
    PRESSURE,
    SAFE_VALVE,
    SETPOINT,
    START_S,
    RemoteRig,
    key,
    make_command,
    make_patch,
    profiles,
    reject_reason,
    remote_config,
)

LONG = (
    "test_site_key_has_a_budget_of_messages",
    "test_the_budget_has_a_reserve_for_what_ends_something",
    "test_site_key_is_limited",
    "test_site_key_does_not_keep_operators_out",
    "test_set_points_have_a_least_interval",
    "test_alarms_follow_isa_18_2",
    "test_site_key_does_not_end_the_trial_of_an_operator_after_a_restart",
)
SITE = 9
MINOR = AlarmRecord("minor", DEGRADED, "m", "", True)
MAJOR = AlarmRecord("major", SAFE, "M", "", True)
LOCAL = FIRST_BUS + 2
WRITES = {
    "supply_c": {"low": 25, "high": 35, "step": 2},
    "every_s": 60,
    "commands": ["acknowledge", "shelve", "unshelve"],
}


def site_config(writes=None, **settings):
    raw = remote_config()
    public = key(SITE).public.hex()
    raw["remote"]["keys"].append({"number": SITE, "public": public, "role": "site"})
    raw["northbound"] = dict(settings)
    raw["northbound"]["port"] = "local:/run/coldloop"
    if writes is not None:
        raw["northbound"]["writes"] = writes
    return raw


class SiteRig(RemoteRig):
    """A unit with the folder of the servers: `records` by key."""

    def __init__(self, writes=None, store=None, **settings):
        self.records = {}
        self.writes = 0
        RemoteRig.__init__(self, site_config(writes, **settings), store)

    def perform(self, port, op, data):
        if port == LOCAL and op == "write":
            name, payload = data.split(b"\0", 1)
            self.records[name.decode()] = payload
            self.writes += 1
        else:
            RemoteRig.perform(self, port, op, data)

    def record(self):
        return json.loads(self.records["points.json"])

    def post(self, data):
        """Send a message to the socket of the agent."""
        self.deliver("receive", LOCAL, data)
        self.run(2)


def started(writes=None, **settings):
    """Return a unit that knows the time of a message of an operator, but no UTC."""
    rig = SiteRig(writes, **settings)
    rig.run(6)
    eq(rig.agent.supervisor.state, "normal")
    rig.send(make_command("acknowledge", counter_s=START_S - 1))
    rig.run(2)
    return rig


def test_readings_are_fresh_at_each_phase_of_the_port():
    rig = started()
    for _ in range(4):
        rig.deliver("event", LOCAL, "closed")
        rig.run(0.3)
        rig.deliver("event", LOCAL, "opened")
        rig.run(2.5)
        writes = rig.writes
        rig.run(1)
        _, quality, age = rig.record()["points"]["supply_temperature"]
        eq(quality, "good")
        assert age <= 300, age
        assert 1 <= rig.writes - writes <= 2


def test_record_has_all_points_each_second():
    rig = started(identity={"serial_number": "SN-1"})
    before, writes = rig.record(), rig.writes
    rig.run(5)
    eq(rig.writes - writes, 5)
    record = rig.record()
    eq(record["sequence"] - before["sequence"], 5)
    eq(record["state"], "normal")
    eq(record["identity"], {"site": "s1", "unit": "u1", "serial_number": "SN-1"})
    points = record["points"]
    raw, quality, age = points["supply_temperature"]
    eq(quality, "good")
    assert 25_000 < raw < 45_000
    assert 0 <= age <= 300, "the record follows the readings of its cycle"
    eq(points["unit_state"], [1, "good", 0])
    eq(points["uptime"][1], "good")
    assert "pair_role" not in points, "the unit is no pair"
    assert "group_runs" not in points, "the unit is in no group"
    eq(points["supply_setpoint"][:2], [32_000, "good"])
    assert "facility_supply_temperature" in points or "valve_position" in points
    layout = json.loads(rig.records["layout.json"])["points"]
    eq(len(layout), len(record["values"]))
    eq(record["setpoints"]["supply_setpoint"]["writable"], False)
    eq(record["commands"], [])


def test_lost_sensor_has_no_value():
    rig = started()
    rig.agent.fieldbus.sessions[0].device.readings[0].quality = "bad"
    for reading in rig.agent.fieldbus.sessions[0].device.readings:
        reading.quality = "bad"
    component = rig.agent.components[-1]
    points = {k: component.sources.by_key[k](rig.now) for k in component.sources.order}
    eq(points["supply_temperature"][:2], (None, "bad"))


def test_named_points_are_checked():
    models = profiles()
    models["cdu"]["points"][0]["unit"] = "Cel"
    raw = site_config()
    for points, text in (
        ({"air_temperature": "cdu.SupplyTemperatureCelsius"}, ""),
        ({"air_temperature": "none.X"}, "no device"),
        ({"air_temperature": "cdu.Nothing"}, "reads no"),
        ({"power": "cdu.SupplyTemperatureCelsius"}, "unit"),
        ({"nothing": "cdu.SupplyTemperatureCelsius"}, "one of"),
    ):
        raw["northbound"]["points"] = points
        if text:
            assert text in str(raises(ConfigError, load, raw, models)), points
        else:
            load(raw, models)


def test_writes_need_a_site_key():
    raw = site_config(WRITES)
    load(raw, profiles())
    raw["remote"]["keys"].pop()
    assert "role site" in str(raises(ConfigError, load, raw, profiles()))


def test_without_writes_a_site_key_signs_nothing():
    rig = started()
    before = rig.slot_state()
    rig.post(make_patch(rig, [(SETPOINT, 31)], (SITE,)))
    eq(rig.manager.rejections.last[0], "wrong_role")
    rig.post(make_command("acknowledge", signers=(SITE,)))
    eq(rig.manager.rejections.last, ("wrong_role", "northbound.writes is not configured"))
    eq(rig.slot_state(), before)


def test_site_key_changes_a_permitted_set_point_on_trial():
    rig = started(WRITES)
    rig.post(make_patch(rig, [(SETPOINT, 31)], (SITE,)))
    eq(rig.slot_state()[1], COUNTER)
    eq(rig.agent.supply_loop.config.setpoint, 31)
    rig.run(30)
    rig.post(make_command("confirm", signers=(SITE,)))
    eq(rig.slot_state()[0], 1)
    entries = [(keys, action) for keys, action, _ in rig.audit_entries()]
    assert ((SITE,), "patch control.supply.setpoint_c=31") in entries


def test_site_key_ends_its_trial_after_a_restart():
    for word, state in (("rollback", "rolled_back"), ("confirm", "confirmed")):
        rig = started(WRITES)
        rig.post(make_patch(rig, [(SETPOINT, 31)], (SITE,)))
        again = SiteRig(WRITES, store=rig.store)
        again.run(30)
        eq(again.slot_state()[1], COUNTER)
        about = [("counter", COUNTER)]
        again.post(make_command(word, about, (SITE,)))
        eq((word, again.slot_state()[1:]), (word, (None, again.slot_state()[2])))
        eq(again.slot_state()[2][:2], (COUNTER, state))


def test_site_key_does_not_end_the_trial_of_an_operator_after_a_restart():
    rig = started(WRITES)
    rig.post(make_patch(rig, [(SETPOINT, 31)], (SITE,)))
    rig.run(30)
    rig.post(make_command("confirm", signers=(SITE,)))
    rig.run(61)
    rig.send(make_patch(rig, [(SETPOINT, 32)], counter_s=START_S + 1))
    rig.run(1)
    again = SiteRig(WRITES, store=rig.store)
    again.run(6)
    eq(again.slot_state()[1], COUNTER + 1)
    for i in (0, 1):
        about = [("counter", COUNTER + i)]
        again.post(make_command("rollback", about, (SITE,), counter_s=START_S + 2 + i))
        eq(again.manager.rejections.last[0], "wrong_role")
    eq(again.slot_state()[1], COUNTER + 1)


def test_site_key_is_limited():
    rig = started(WRITES)
    before = rig.slot_state()
    for changes, options, reason in (
        ([(SETPOINT, 36)], {}, "out_of_range"),
        ([(SETPOINT, 24)], {}, "out_of_range"),
        ([(SETPOINT, Decimal(295, 1))], {}, "too_big_step"),
        ([(PRESSURE, 130)], {}, "wrong_role"),
        ([(SAFE_VALVE, 50)], {}, "wrong_role"),
        ([("northbound.writes.every_s", 1)], {}, "wrong_role"),
        ([(SETPOINT, 31), (PRESSURE, 130)], {}, "wrong_role"),
        ([(SETPOINT, None)], {}, "out_of_range"),
        ([(SETPOINT, "31")], {}, "out_of_range"),
        ([(SETPOINT, True)], {}, "out_of_range"),
        ([(SETPOINT, 31)], {"group": "gulf"}, "wrong_role"),
        ([(SETPOINT, 31)], {"not_before_s": START_S + 600}, "wrong_role"),
    ):
        rig.post(make_patch(rig, changes, (SITE,), **options))
        eq((rig.manager.rejections.last[0], changes), (reason, changes))
    for name in ("override", "restart", "decommission", "suspend", "confirm", "rollback"):
        rig.post(make_command(name, signers=(SITE,)))
        eq((rig.manager.rejections.last[0], name), ("wrong_role", name))
    eq(rig.slot_state(), before)
    eq(rig.agent.supply_loop.config.setpoint, 32)


def test_site_key_is_no_second_signature():
    rig = started(WRITES)
    rig.post(make_patch(rig, [(SAFE_VALVE, 50)], (2, SITE)))
    eq(rig.manager.rejections.last[0], "wrong_role")


def test_set_points_have_a_least_interval():
    rig = started(WRITES)
    rig.post(make_patch(rig, [(SETPOINT, 31)], (SITE,)))
    rig.post(make_command("rollback", [("counter", COUNTER)], (SITE,)))
    eq(rig.slot_state()[2][1], "rolled_back")
    eq(rig.agent.supply_loop.config.setpoint, 32)
    second = make_patch(rig, [(SETPOINT, 31)], (SITE,), START_S + 5)
    rig.post(second)
    eq(rig.manager.rejections.last, ("busy", "one change in 60 s"))
    rig.run(60)
    rig.post(second)
    eq(rig.slot_state()[1], COUNTER + 5)


def test_a_flood_of_messages_is_dropped():
    rig = started(WRITES)
    for i in range(50):
        rig.deliver("receive", LOCAL, b"x%d" % i)
    rig.run(1)
    assert rig.agent.components[-1].dropped >= 45
    eq(rig.agent.supervisor.state, "normal")


def test_alarms_follow_isa_18_2():
    rig = started(WRITES)
    alarms = rig.agent.alarms
    states = rig.agent.service("alarm_states")
    alarms.update(MINOR, "a", True, rig.now)
    alarms.update(MAJOR, "", True, rig.now)
    eq(
        [(e.code, e.state(rig.now)) for e in states.entries],
        [("minor:a", "active_unacknowledged"), ("major", "active_unacknowledged")],
    )
    rig.post(make_command("acknowledge", [("code", "minor:a")], (SITE,)))
    eq(rig.manager.results[-1], "%d acknowledge: acknowledged: minor:a" % COUNTER)
    eq(states.entries[0].state(rig.now), "active_acknowledged")
    states.urgent = []
    rig.post(make_command("shelve", [("code", "minor:a"), ("minutes", 1)], (SITE,), START_S + 1))
    eq(states.entries[0].state(rig.now), "shelved")
    eq(states.count(rig.now), 1)
    rig.run(61)
    eq(states.entries[0].state(rig.now), "active_unacknowledged")
    eq(states.acknowledge("minor:a"), "minor:a")
    raises(CommandError, states.shelve, "major", 10, rig.now)
    raises(CommandError, states.shelve, "minor:a", 0, rig.now)
    raises(CommandError, states.shelve, "minor:a", 481, rig.now)
    raises(CommandError, states.shelve, "nothing", 10, rig.now)
    raises(CommandError, states.shelve, None, 10, rig.now)
    states.urgent = ["minor"]
    raises(CommandError, states.shelve, "minor:a", 10, rig.now)
    alarms.clear("minor:a", rig.now)
    alarms.clear("major", rig.now)
    eq([(e.code, e.state(rig.now)) for e in states.entries], [("major", "cleared_unacknowledged")])
    alarms.update(MAJOR, "", True, rig.now)
    eq([e.state(rig.now) for e in states.entries], ["active_unacknowledged"])
    alarms.clear("major", rig.now)
    eq(states.acknowledge(), "major")
    eq(states.entries, [])


def test_the_record_has_the_commands_that_are_permitted_and_possible():
    """`override` needs the section `cooling`, which this unit does not have."""
    rig = SiteRig(dict(WRITES, commands=["shelve", "acknowledge", "override", "release", "proof"]))
    rig.run(3)
    record = json.loads(rig.records["points.json"])
    eq(record["commands"], ["acknowledge", "shelve"])


def test_ended_alarms_are_bounded():
    rig = started()
    states = AlarmStates(rig.agent.alarms, rig.agent.clock)
    states.start(0)
    for i in range(100):
        rig.agent.alarms.update(MINOR, "s%d" % i, True, i)
        rig.agent.alarms.clear("minor:s%d" % i, i)
    eq(len(states.entries), 32)
    eq(states.entries[0].code, "minor:s68")


def test_site_key_does_not_keep_operators_out():
    rig = started(WRITES)
    patch = [(SETPOINT, 31)]
    rig.post(make_patch(rig, patch, (SITE,), confirm_s=7200))
    eq(rig.manager.rejections.last[0], "out_of_range")
    rig.post(make_command("acknowledge", signers=(SITE,)))
    counter_s = START_S + 3 * 3600
    rig.post(make_command("acknowledge", signers=(SITE,), counter_s=counter_s))
    eq(rig.manager.rejections.last[0], "ahead")
    rig.post(make_command("acknowledge", counter_s=counter_s))
    eq(rig.manager.results[-1][:9], str(COUNTER + 3 * 3600) + " ")


def test_site_key_has_a_budget_of_messages():
    rig = started(WRITES)
    for i in range(25):
        rig.post(make_command("acknowledge", signers=(SITE,), counter_s=START_S + i))
    eq(rig.manager.rejections.last, ("busy", "too many messages of the site"))
    used = len([1 for _, action, _ in rig.audit_entries() if action == "command acknowledge"])
    assert 21 <= used <= 25, used
    rig.run(31)
    rig.post(make_command("acknowledge", signers=(SITE,), counter_s=START_S + 100))
    eq(rig.manager.rejections.last[0], "unsupported")  # accepted: there is no alarm


def test_the_budget_has_a_reserve_for_what_ends_something():
    """Acknowledging many alarms keeps no trial and no manual control from being ended."""
    writes = dict(WRITES)
    writes["commands"] = WRITES["commands"] + ["release"]
    rig = started(writes)
    rig.post(make_patch(rig, [(SETPOINT, 31)], (SITE,), confirm_s=600))
    for i in range(1, 27):
        rig.post(make_command("acknowledge", signers=(SITE,), counter_s=START_S + i))
    busy = ("busy", "too many messages of the site")
    eq(rig.manager.rejections.last, busy)
    for i in range(1, 4):
        rig.post(make_command("release", signers=(SITE,), counter_s=START_S + 30 + i))
    eq(rig.manager.rejections.last, busy)
    eq(len([1 for text in rig.manager.results if text.startswith("%d " % (COUNTER + 31))]), 1)
    pairs = [("counter", COUNTER)]
    rig.post(make_command("rollback", pairs, signers=(SITE,), counter_s=START_S + 40))
    eq(rig.agent.supply_loop.config.setpoint, 32)


def test_foreign_key_is_unknown():
    rig = started(WRITES)
    eq(reject_reason(rig, make_command("acknowledge", signers=(3,))), "unknown_signer")
