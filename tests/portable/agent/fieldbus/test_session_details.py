# SPDX-License-Identifier: Apache-2.0
"""Details of a device session: probes, ramps, writes without read-back, several actuators."""

from agent.fieldbus.poll_cycle import CHANNEL_KIND, RECOVERY_KIND, WRITE_KIND, RequestTag
from drivers.modbus.transaction import TransactionResult
from protocols.time_units import SECOND
from tests.portable.agent.fieldbus.session_rig import CYCLE, SessionRig, profile_json
from tests.portable.support.check import eq

PROBES = [{"function": 3, "address": address, "words": [77]} for address in (40, 41)]


def profile_with(name, **fields):
    """Return the profile of the tests with other fields of one point."""
    profile = profile_json()
    for point in profile["points"]:
        if point["name"] == name:
            point.update(fields)
    return profile


def probe_result(block, values, now=1):
    tag = RequestTag(0, RECOVERY_KIND, block)
    return TransactionResult(tag, 9, "ok", 0, values, now)


def test_a_session_has_no_error_before_its_first_write():
    session = SessionRig().session
    eq(
        (session.write_error, session.write_unverified, session.changed_by_other),
        ("", False, False),
    )
    eq((session.lost, session.transactions, session.errors, session.block_count), (True, 0, 0, 1))


def test_probes_are_not_sent_again_before_all_have_ended():
    session = SessionRig(profile_json(identity=PROBES)).session
    sent = []

    def submit(_unit, pdu, _tag, *_):
        sent.append(pdu)
        return True

    session.bus.submit = submit
    session.identify()
    session.identify()
    eq(len(sent), 2)
    session.handle_result(probe_result(0, (77,)))
    session.identify()
    eq(len(sent), 2)  # one probe is still pending
    session.handle_result(probe_result(1, (78,)))
    assert session.identity_mismatch
    session.identify()  # another model is identified again by the polls only
    eq(len(sent), 2)


def test_a_reset_session_identifies_again():
    session = SessionRig(profile_json(identity=PROBES)).session
    session.poll_now()
    waiting = session.bus.pending_count
    eq((waiting, session.polls_complete()), (3, False))
    session.reset()
    assert session.polls_complete()
    session.poll_now()
    eq(session.bus.pending_count, 2 * waiting)


def test_unwanted_probe_result_leaves_no_debt():
    session = SessionRig(profile_json(identity=PROBES)).session
    for _ in range(3):
        session.handle_result(probe_result(0, (0,)))
    eq(session._probes_pending, 0)
    assert session.identity_mismatch


def test_identified_again_10_s_after_the_last_probe():
    rig = SessionRig(profile_json(identity=PROBES[:1]))
    rig.drive.table = {40: 78}
    rig.cycle()
    first = rig.session._reidentify_at - 10 * SECOND
    assert 0 < first < CYCLE, first
    rig.cycle(9)
    eq(len([r for r in rig.drive.requests if r[1] == 40]), 1)
    rig.cycle(2)
    eq(len([r for r in rig.drive.requests if r[1] == 40]), 2)


def test_errors_are_counted_and_a_failed_poll_is_no_reply():
    rig = SessionRig().cycle(2)
    answered_at = rig.session.answered_at
    eq((rig.session.transactions, rig.session.errors), (2, 0))
    rig.drive.is_silent = True
    rig.cycle(2)
    assert rig.session.errors >= 1
    eq((rig.session.answered_at, rig.session.lost), (answered_at, False))
    rig.cycle(3)
    assert rig.session.lost
    rig.drive.is_silent = False
    rig.cycle(4)
    eq((rig.session.lost, rig.session.silent_cycles), (False, 0))
    assert rig.session.answered_at > answered_at


# Ramps.


def test_a_point_without_a_ramp_is_requested_at_once():
    rig = SessionRig(profile_with("SpeedControlPercent", scale=[1, 10])).cycle()
    eq(rig.session.ramp_limited(1, 8.0), (8.0, 80))


def test_a_ramp_starts_at_the_reading_then_at_the_request():
    rig = SessionRig(profile_with("SpeedControlPercent", scale=[1, 10], ramp=20))
    rig.drive.table = {1: 30}
    rig.cycle()
    value, count = rig.session.ramp_limited(1, 8.0)
    eq(count, 50)
    eq(value, 5.0)
    rig.request(1, 45)
    eq(rig.session.ramp_limited(1, 8.0), (6.5, 65))
    eq(rig.session.ramp_limited(1, 0.0), (2.5, 25))
    eq(rig.session.ramp_limited(1, 4.6), (4.6, 46))
    rig = SessionRig(profile_with("SpeedControlPercent", scale=[4, 1], ramp=5))
    eq(rig.session.ramp_limited(1, 80.0), (0.0, 0))  # no time has passed
    rig.cycle()
    eq(rig.session.ramp_limited(1, 80.0), (20.0, 5))


# Writes without read-back.


def test_a_write_only_point_is_verified_by_its_acknowledgement():
    points = profile_json()["points"]
    points[0].update({"read": False, "verify": "none"})
    points[1].update({"read": False, "verify": "none"})
    rig = SessionRig(profile_json(points=points)).cycle()
    rig.request(1, 50)
    rig.cycle(6)
    eq((rig.session.write_unverified, len(rig.drive.writes())), (False, 1))


def test_a_refused_write_only_point_is_reported():
    points = profile_json()["points"]
    points[0].update({"read": False, "verify": "none"})
    points[1].update({"read": False, "verify": "none"})
    rig = SessionRig(profile_json(points=points)).cycle()
    answer = rig.drive.answer

    def refuse(frame):
        if frame[1] == 3:
            return answer(frame)
        rig.drive.rejects_all = True
        reply = answer(frame)
        rig.drive.rejects_all = False
        return reply

    rig.drive.answer = refuse
    rig.request(1, 50)
    rig.cycle(12)
    assert rig.session.write_unverified
    assert len(rig.drive.writes()) > 2


# Polls.


def test_an_excluded_point_is_tried_again_after_a_minute():
    rig = SessionRig()
    rig.drive.table = {4: 37}
    rig.drive.holes = [4]
    rig.cycle(5)
    eq(rig.session.device.readings[2].quality, "none")
    rig.drive.holes = []
    rig.cycle(50)
    eq(rig.session.device.readings[2].quality, "none")
    rig.cycle(15)
    eq((rig.session.device.value(2), rig.session.block_count), (37.0, 1))


def test_a_result_of_an_older_plan_is_ignored():
    rig = SessionRig()
    rig.drive.holes = [2]
    rig.cycle(3)
    old = TransactionResult(RequestTag(0, 0, 1), 9, "ok", 0, (1, 2, 3, 4, 5), rig.now)
    before = [reading.raw for reading in rig.session.device.readings]
    rig.session.handle_result(old)
    eq([reading.raw for reading in rig.session.device.readings], before)


# Several actuators on one device.


def test_each_actuator_has_its_own_writes():
    rig = SessionRig().cycle()
    first, second, third = [rig.session.claim_outputs() for _ in range(3)]
    assert first is rig.session
    eq([channel.kind for channel in (second, third)], [CHANNEL_KIND, CHANNEL_KIND - 1])
    assert CHANNEL_KIND < WRITE_KIND
    for channel in (second, third):
        assert channel.device is rig.session.device
        assert channel.profile is rig.session.profile
        eq((channel.name, channel.lost, channel.polls_complete()), ("pump", False, True))
        eq(channel.answered_at, rig.session.answered_at)
        eq(channel.transactions, rig.session.transactions)
    first.request_outputs([(0, 1)])
    second.request_outputs([(1, 50)])
    rig.cycle(4)
    eq(rig.drive.table, {0: 1, 1: 50})
    eq(rig.session.write_unverified, False)
    second.request_outputs([(1, 60)], stop=True)
    rig.cycle(4)
    eq((rig.drive.table, len(rig.drive.writes())), ({0: 1, 1: 60}, 3))
    second.withhold_outputs()
    rig.drive.table = {0: 1, 1: 5}
    rig.cycle(4)
    eq((rig.drive.table[1], len(rig.drive.writes())), (5, 3))
    first.request_outputs([(0, 2)])
    rig.cycle(3)
    eq(rig.drive.table, {0: 2, 1: 5})


def test_a_channel_reports_with_the_session():
    rig = SessionRig().cycle()
    rig.session.claim_outputs()
    channel = rig.session.claim_outputs()
    channel.request_outputs([(1, 101)])
    rig.cycle(12)
    assert "101 is not 0 to 100" in rig.session.write_error
    assert rig.session.write_unverified
    assert channel.write_unverified
    channel.request_outputs([(1, 100)])
    rig.cycle(4)
    eq((rig.session.write_error, rig.session.write_unverified), ("", False))
    assert not channel.write_unverified
    rig.drive.table[1] = 7  # another master
    rig.cycle(3)
    eq((rig.session.changed_by_other, rig.drive.table[1]), (True, 100))
    rig.cycle(62)
    assert not rig.session.changed_by_other


def test_outputs_that_another_master_changes_are_read_five_times_a_second():
    rig = SessionRig().cycle()
    rig.request(1, 50)
    rig.cycle(4)
    assert not rig.session.contest_due(rig.now)
    rig.drive.table[1] = 7  # another master
    rig.cycle(2)
    eq((rig.session.changed_by_other, rig.drive.table[1]), (True, 50))
    due = [rig.session.contest_due(rig.now + i * SECOND // 10) for i in range(6)]
    eq(due, [True, False, True, False, True, False])
    rig.session.poll_now()
    assert not rig.session.contest_due(rig.now + SECOND)  # the last poll is not complete
    rig.cycle(62)
    assert not rig.session.contest_due(rig.now)


def cycles_beside_writer(rig, count):
    """Run cycles; at the end of each one another master writes 7."""
    for _ in range(count):
        rig.cycle()
        rig.drive.table[1] = 7


def test_another_master_that_writes_before_the_first_reading_is_named():
    rig = SessionRig().cycle()
    rig.drive.table[1] = 7
    rig.session.claim_outputs()
    channel = rig.session.claim_outputs()
    for view in (rig.session, channel):
        view.request_outputs([(1, 50)])
        cycles_beside_writer(rig, 4)
        assert rig.session.changed_by_other
        assert not rig.session.write_unverified
        view.withhold_outputs()
        rig.cycle(62)
        assert not rig.session.changed_by_other


def test_a_refused_write_is_read_back_and_not_called_foreign():
    rig = SessionRig().cycle()
    rig.drive.ignores_writes = True
    rig.request(1, 50)
    rig.cycle(5)
    assert not rig.session.write_unverified
    rig.cycle(6)
    assert rig.session.write_unverified
    assert not rig.session.changed_by_other


def test_a_channel_polls_early_and_follows_ramps():
    rig = SessionRig(profile_with("SpeedControlPercent", ramp=20)).cycle()
    rig.session.claim_outputs()
    channel = rig.session.claim_outputs()
    assert not rig.session.wants_poll
    channel.poll_early()
    assert rig.session.wants_poll
    eq(channel.ramp_limited(1, 80.0), (20.0, 20))
