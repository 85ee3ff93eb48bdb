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


def run(resets, begin_s, end_s, locked=()):
    """Step each second; return when a drive was reset, and its index."""
    found = []
    for second in range(begin_s, end_s):
        index = resets.step(second * SECOND, list(locked))
        if index >= 0:
            found.append((second, index))
    return found


def test_drives_are_reset_after_5_s_one_at_a_time_and_at_most_3_times_an_hour():
    drives = [TrippedDrive("a"), TrippedDrive("b")]
    resets = DriveReset(drives, 3)
    eq(run(resets, 0, 60), [(5, 0), (6, 1), (10, 0)])
    eq(run(resets, 60, 3605), [])
    eq(run(resets, 3605, 3609), [(3605, 0), (3606, 1)])
    drives[0].is_tripped = drives[1].is_tripped = False
    eq(run(resets, 3609, 9000), [])


def test_a_drive_in_local_mode_gets_no_reset():
    eq(run(DriveReset([TrippedDrive("a")], 3), 0, 60, ("a",)), [])


def test_a_drive_that_takes_no_writes_does_not_use_up_its_resets():
    drive = TrippedDrive("a")
    drive.write_unverified = True
    resets = DriveReset([drive], 3)
    eq(run(resets, 0, 60), [])
    drive.write_unverified = False
    eq(run(resets, 60, 80), [(64, 0), (69, 0), (74, 0)])


def test_a_drive_that_has_not_replied_since_its_trip_or_its_reset_gets_no_reset():
    drive = TrippedDrive("a")
    drive.answered_at = 0
    resets = DriveReset([drive], 3)
    eq(run(resets, 0, 60), [])
    drive.answered_at = 1
    eq(run(resets, 60, 80), [(60, 0)])
    drive.answered_at = 60 * SECOND
    eq(run(resets, 80, 90), [])
    drive.answered_at += 1
    eq(run(resets, 90, 100), [(90, 0)])
