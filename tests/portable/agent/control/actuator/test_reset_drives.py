# SPDX-License-Identifier: Apache-2.0
"""Automatic reset of tripped drives: delay, limit per hour, drives that take no reset."""

from agent.control.actuator.reset_drives import DriveReset
from protocols.time_units import SECOND
from tests.portable.support.check import eq


class TrippedDrive:
    """A tripped drive that is its own session."""

    def __init__(self, name):
        self.name, self.session = name, self
        self.is_tripped, self.write_unverified, self.resets = True, False, 0
        self.answered_at = 1 << 60

    def tripped(self):
        return self.is_tripped

    def reset(self):
        self.resets += 1


class ShownAlarms:
    """The active alarms; `codes` as the list of alarms has it."""

    def __init__(self):
        self.active = []

    def codes(self):
        return self.active

    def set_low(self, is_low):
        self.active = ["supply_high", "mains_low"] if is_low else []


def reset_of(*drives, max_per_hour=3, alarms=None):
    return DriveReset(list(drives), max_per_hour, alarms or ShownAlarms())


def run(resets, begin_s, end_s, locked=()):
    """Step each second; return when a drive was reset, and its index."""
    found = []
    for second in range(begin_s, end_s):
        index = resets.step(second * SECOND, list(locked))
        if index >= 0:
            found.append((second, index))
    return found


def test_drives_are_reset_after_5_s_one_at_a_time_and_at_most_3_times_an_hour():
    drives = [TrippedDrive("a"), TrippedDrive("b"), TrippedDrive("c")]
    drives[2].is_tripped = False
    resets = reset_of(*drives)
    eq(run(resets, 0, 60), [(5, 0), (6, 1), (25, 0)])
    eq(run(resets, 60, 3605), [])
    eq(run(resets, 3605, 3609), [(3605, 0), (3606, 1)])
    drives[0].is_tripped = drives[1].is_tripped = False
    eq(run(resets, 3609, 9000), [])


def test_while_all_drives_are_tripped_each_gets_a_reset_in_300_s():
    drives = [TrippedDrive("a"), TrippedDrive("b")]
    eq(
        run(reset_of(*drives), 0, 700),
        [(5, 0), (6, 1), (25, 0), (306, 1), (325, 0), (606, 1), (625, 0)],
    )
    eq(run(reset_of(*drives, max_per_hour=0), 0, 700), [])
    drives[1].is_tripped = False
    eq(run(reset_of(*drives), 0, 3600), [(5, 0), (25, 0), (105, 0)])


def test_a_drive_that_stays_tripped_waits_longer_each_time_and_then_begins_again():
    drive = TrippedDrive("a")
    resets = reset_of(drive, max_per_hour=9)
    eq(run(resets, 0, 500), [(5, 0), (25, 0), (105, 0), (405, 0)])
    drive.is_tripped = False
    run(resets, 500, 501)
    drive.is_tripped = True
    eq(run(resets, 501, 520), [(506, 0)])


def run_dips(resets, drive, alarms, begin_s, count):
    """Trip the drive in dips of 2 s, one each 12 s. Return the number of resets."""
    drive.resets = 0
    for second in range(begin_s, begin_s + 12 * count):
        is_low, before = (second - begin_s) % 12 < 2, drive.resets
        alarms.set_low(is_low)
        drive.is_tripped = is_low or drive.is_tripped
        run(resets, second, second + 1)
        drive.is_tripped = drive.is_tripped and drive.resets == before
    return drive.resets


def test_a_trip_by_low_mains_has_a_limit_of_its_own():
    drive, alarms = TrippedDrive("a"), ShownAlarms()
    resets = reset_of(drive, alarms=alarms)
    eq(run_dips(resets, drive, alarms, 0, 13), 12)
    eq(run(resets, 200, 400), [])  # the last trip is still explained
    drive.is_tripped = False
    run(resets, 400, 401)
    drive.is_tripped = True
    eq(run(resets, 401, 600), [(406, 0), (426, 0), (506, 0)])
    drive.is_tripped = False
    run(resets, 600, 601)
    eq(run_dips(resets, drive, alarms, 4000, 12), 12)


def test_drives_that_have_run_for_60_s_have_their_resets_for_low_mains_again():
    for proven_s, left in ((40, 0), (61, 9)):
        drive, alarms = TrippedDrive("a"), ShownAlarms()
        resets = reset_of(drive, alarms=alarms)
        run_dips(resets, drive, alarms, 0, 12)
        run(resets, 144, 144 + proven_s)
        eq((proven_s, run_dips(resets, drive, alarms, 144 + proven_s, 9)), (proven_s, left))


def test_a_reset_waits_for_low_mains_and_follows_soon_after_them():
    for low_s, found in (
        (20, [20, 40, 120]),
        (118, [118, 138, 218]),
        (123, [120, 125, 145, 225]),
        (440, [120, 420, 440, 460]),
    ):
        alarms = ShownAlarms()
        resets = reset_of(TrippedDrive("a"), alarms=alarms)
        alarms.set_low(True)
        got = run(resets, 0, low_s)
        alarms.set_low(False)
        got += run(resets, low_s, max(low_s + 30, 230))
        eq((low_s, [second for second, _ in got]), (low_s, found))


def test_low_mains_of_3_s_ago_explain_no_trip():
    for trip_s, explained in ((2, 1), (3, 0), (60, 0)):
        drive, alarms = TrippedDrive("a"), ShownAlarms()
        drive.is_tripped = False
        resets = reset_of(drive, alarms=alarms)
        alarms.set_low(True)
        run(resets, 0, 1)
        alarms.set_low(False)
        run(resets, 1, trip_s)
        drive.is_tripped = True
        eq((trip_s, run(resets, trip_s, trip_s + 10)), (trip_s, [(trip_s + 5, 0)]))
        eq((trip_s, len(resets._by_mains)), (trip_s, explained))


def test_a_drive_in_local_mode_gets_no_reset():
    eq(run(reset_of(TrippedDrive("a")), 0, 60, ("a",)), [])


def test_a_drive_that_takes_no_writes_does_not_use_up_its_resets():
    drive = TrippedDrive("a")
    drive.write_unverified = True
    resets = reset_of(drive)
    eq(run(resets, 0, 60), [])
    drive.write_unverified = False
    eq(run(resets, 60, 170), [(64, 0), (84, 0), (164, 0)])


def test_a_drive_that_has_not_replied_since_its_trip_or_its_reset_gets_no_reset():
    drive = TrippedDrive("a")
    drive.answered_at = 0
    resets = reset_of(drive)
    eq(run(resets, 0, 60), [])
    drive.answered_at = 1
    eq(run(resets, 60, 80), [(60, 0)])
    drive.answered_at = 60 * SECOND
    eq(run(resets, 80, 90), [])
    drive.answered_at += 1
    eq(run(resets, 90, 100), [(90, 0)])
