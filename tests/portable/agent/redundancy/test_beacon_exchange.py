# SPDX-License-Identifier: Apache-2.0
"""The period of beacons: with a standby, without one, and with a peer that is active too."""

from agent.redundancy import beacon
from agent.redundancy.beacon import VERSION, Word, build_request
from agent.redundancy.beacon_exchange import BeaconExchange
from agent.redundancy.pair_table import ACTIVE, NEWER_BEACON, NO_BEACON, OLDER_BEACON, STANDBY
from protocols.modbus.rtu import build_frame
from protocols.time_units import SECOND
from tests.portable.support.check import eq

KEY = b"k" * 16
STEP = SECOND // 10


def count_beacons(beacons, seconds, start_s, standby=None):
    """Return how many beacons `beacons` sends; `standby` replies to each."""
    count = 0
    for step in range(seconds * 10):
        now = start_s * SECOND + step * STEP
        pdu = beacons.next_request(now)
        if pdu:
            count += 1
        if pdu and standby is not None:
            _, reply = standby.take_request(build_frame(beacons.peer_unit, pdu), STANDBY)
            beacons.take_reply(reply, now)
    return count


def test_beacons_are_sent_twice_a_second_to_a_standby():
    active, standby = BeaconExchange("a", KEY), BeaconExchange("b", KEY)
    active.begin_active(0)
    eq(count_beacons(active, 10, 0, standby), 20)
    eq(active.standby_lost(10 * SECOND), False)


def test_without_a_standby_they_are_sent_each_two_seconds():
    active = BeaconExchange("a", KEY)
    active.begin_active(0)
    count_beacons(active, 4, 0)
    eq((active.standby_lost(4 * SECOND), count_beacons(active, 20, 4)), (True, 10))


def test_a_peer_that_is_active_too_gets_as_many():
    """The wait of an active controller without a reply counts on two beacons in a second."""
    active = BeaconExchange("a", KEY)
    active.begin_active(0)
    frame = build_frame(active.unit, build_request(KEY, active.unit, Word(ACTIVE, 0, 1)))
    eq(active.take_request(frame, ACTIVE), (OLDER_BEACON, b""))
    eq(active.standby_lost(SECOND), True)
    eq(count_beacons(active, 10, 1), 20)


def test_of_two_active_controllers_the_one_with_the_older_version_gives_up():
    active = BeaconExchange("a", KEY)
    active.begin_active(0)
    results = []
    for version in (VERSION + 1, 0):
        beacon.VERSION = version
        try:
            frame = build_frame(active.unit, build_request(KEY, active.unit, Word(ACTIVE, 9, 1)))
        finally:
            beacon.VERSION = VERSION
        results.append([active.take_request(frame, role) for role in (ACTIVE, STANDBY)])
        results.append(active.take_request(frame[:-4] + b"\0" + frame[-3:], ACTIVE))
    nothing = (NO_BEACON, b"")
    eq(results[:2], [[(NEWER_BEACON, b""), nothing], nothing])
    eq(results[3], nothing)
    eq(active.epoch, 1)
