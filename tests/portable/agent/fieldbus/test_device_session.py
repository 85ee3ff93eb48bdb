# SPDX-License-Identifier: Apache-2.0
"""One device session on a line in virtual time: learning plans, verified writes."""

from tests.portable.agent.fieldbus.session_rig import SessionRig, profile_json
from tests.portable.support.check import eq


def test_points_are_read_in_one_block_through_the_gap():
    rig = SessionRig()
    rig.drive.table = {4: 37}
    rig.cycle(2)
    eq(rig.drive.requests, [(3, 0, 5)] * 2)
    eq(
        (rig.session.device.value(2), rig.session.lost, rig.session.polls_complete()),
        (37.0, False, True),
    )


def test_unreadable_range_is_learned():
    rig = SessionRig()
    rig.drive.table = {4: 37}
    rig.drive.holes = [2]
    rig.cycle(4)
    eq(rig.drive.requests, [(3, 0, 5)] + [(3, 0, 2), (3, 4, 1)] * 3)
    eq((rig.session.device.value(2), rig.session.lost), (37.0, False))


def test_verified_write_is_not_repeated():
    rig = SessionRig().cycle()
    rig.request(1, 50)
    rig.cycle(5)
    eq((rig.drive.table, rig.drive.writes()), ({0: 1, 1: 50}, [(16, 0, 2)]))
    eq((rig.session.write_unverified, rig.session._write_cycle._unverified_rounds), (False, 0))
    rig.drive.table[1] = 0  # the drive restarted
    rig.cycle(4)
    eq((rig.drive.table[1], len(rig.drive.writes())), (50, 2))


def test_unverified_write_is_repeated_and_reported():
    rig = SessionRig().cycle()
    rig.drive.ignores_writes = True
    rig.request(1, 50)
    rig.cycle(4)
    assert not rig.session.write_unverified
    assert len(rig.drive.writes()) >= 2
    rig.cycle(10)
    assert rig.session.write_unverified
    rig.drive.ignores_writes = False
    rig.cycle(5)
    assert not rig.session.write_unverified
    eq(rig.drive.table, {0: 1, 1: 50})


def test_value_outside_limits_is_not_sent():
    rig = SessionRig().cycle()
    rig.request(1, 101)
    rig.cycle(12)
    eq(rig.drive.writes(), [])
    assert "101 is not 0 to 100" in rig.session.write_error, rig.session.write_error
    assert rig.session.write_unverified


def test_identity_is_checked_before_first_write():
    probe = {"identity": [{"function": 3, "address": 40, "words": [77]}]}
    rig = SessionRig(profile_json(**probe))
    rig.drive.table = {40: 77}
    rig.request(1, 50)
    rig.cycle(4)  # requested before the first reply: the loops can decide again
    eq(rig.drive.requests[0], (3, 40, 1))
    eq(rig.drive.writes(), [(16, 0, 2)])
    eq((rig.session.identity_mismatch, rig.drive.table[1]), (False, 50))


def test_other_model_is_not_written():
    probe = {"identity": [{"function": 3, "address": 40, "words": [77]}]}
    rig = SessionRig(profile_json(**probe))
    rig.drive.table = {40: 78, 4: 5}
    rig.request(1, 50)
    rig.cycle(6)
    eq((rig.session.identity_mismatch, rig.drive.writes()), (True, []))
    eq(rig.session.device.value(2), 5.0)  # it is still read
    rig.drive.is_silent = True
    rig.cycle(6)
    assert rig.session.lost
    rig.drive.is_silent = False
    rig.drive.table[40] = 77
    rig.cycle(10)
    eq((rig.session.identity_mismatch, rig.drive.table[1]), (False, 50))


def test_device_is_written_again_after_rejecting_all():
    probe = {"identity": [{"function": 3, "address": 40, "words": [77]}]}
    rig = SessionRig(profile_json(**probe))
    rig.drive.table = {40: 77}
    rig.request(1, 50)
    rig.cycle(4)
    rig.drive.rejects_all = True
    rig.cycle(15)
    eq((rig.session.identity_mismatch, rig.session.lost), (True, True))
    rig.drive.rejects_all = False
    rig.request(1, 60)
    rig.cycle(15)
    eq((rig.session.identity_mismatch, rig.session.lost, rig.drive.table[1]), (False, False, 60))


def test_other_model_is_identified_again_rarely():
    probes = [{"function": 3, "address": a, "words": [77]} for a in (40, 41)]
    rig = SessionRig(profile_json(identity=probes))
    rig.drive.table = {40: 77, 41: 78}
    rig.request(1, 50)
    rig.cycle(65)
    eq((rig.session.identity_mismatch, rig.drive.writes()), (True, []))
    probes_sent = [r for r in rig.drive.requests if r[1] in (40, 41)]
    assert 10 <= len(probes_sent) <= 14, probes_sent


def test_lost_device_is_written_after_recovery():
    rig = SessionRig().cycle(2)
    rig.drive.is_silent = True
    rig.cycle(3)
    rig.request(1, 50)
    rig.cycle(10)
    assert rig.session.lost
    rig.drive.is_silent = False
    rig.cycle(10)
    eq((rig.session.lost, rig.drive.table[1]), (False, 50))


def test_busy_device_is_not_offline():
    rig = SessionRig()
    rig.drive.table = {4: 37}
    rig.drive.busy = 3
    rig.cycle(1)
    eq((rig.bus.busy_replies, rig.bus.unit_health(9).offline), (3, False))
    eq(rig.session.device.value(2), 37.0)
    eq(rig.session.device.readings[2].quality, "good")


def test_watchdog_is_serviced():
    points = profile_json()["points"] + [
        {
            "name": "Watchdog",
            "address": 13,
            "type": "u16",
            "unit": "1",
            "write": True,
            "limits": [0, 5],
        }
    ]
    rig = SessionRig(
        profile_json(points=points, watchdog={"point": "Watchdog", "value": 2, "period_ms": 4000})
    )
    rig.cycle(20)
    kicks = [r for r in rig.drive.writes() if r == (6, 13, 2)]
    assert 8 <= len(kicks) <= 19, len(kicks)


def test_slow_points_are_polled_in_their_period():
    points = profile_json()["points"] + [
        {
            "name": "EnergyKwh",
            "address": 500 + 200 * i,
            "type": "u16",
            "unit": "kW.h",
            "poll": "slow",
        }
        for i in range(3)
    ]
    for i, point in enumerate(points[3:]):
        point["name"] += str(i)
    rig = SessionRig(profile_json(points=points, periods={"fast": 1000, "slow": 6000})).cycle(24)
    slow = [r for r in rig.drive.requests if r[1] >= 500]
    assert 11 <= len(slow) <= 13, len(slow)
    eq(len([r for r in rig.drive.requests if r[1] == 0]), 24)
