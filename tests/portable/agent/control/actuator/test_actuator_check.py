# SPDX-License-Identifier: Apache-2.0
"""A drive that does not turn at its commanded speed."""

from agent.control.actuator.actuator_check import DriveSpeedCheck
from tests.portable.support.check import eq


class NamedSession:
    def __init__(self, name):
        self.name = name


class DriveAt:
    """A drive whose speed, command and availability the test sets."""

    def __init__(self, name, command_pct=60.0):
        self.session = NamedSession(name)
        self.speed_pct = self.command_pct = command_pct
        self.is_available = True

    def speed(self):
        return self.speed_pct

    def available(self):
        return self.is_available


def run(check, seconds):
    """Return the devices that the last step names."""
    found = []
    for _ in range(seconds):
        found = check.step(1.0)
    return [(record.code, name) for record, name, _ in found]


def test_a_drive_away_from_its_command_for_a_minute_is_an_alarm():
    for speed_pct in (0.0, 49.9, 70.1):
        drives = [DriveAt("pump1"), DriveAt("pump2", 0.0)]
        check = DriveSpeedCheck(drives)
        drives[0].speed_pct = speed_pct
        eq((run(check, 59), run(check, 1)), ([], [("drive_speed", "pump1")]))
        drives[0].speed_pct = 60.0
        eq(run(check, 1), [])


def test_a_stopped_drive_that_turns_is_one_too():
    drives = [DriveAt("pump1"), DriveAt("pump2", 0.0)]
    check = DriveSpeedCheck(drives)
    drives[1].speed_pct = 30.0
    eq(run(check, 60), [("drive_speed", "pump2")])


def test_small_differences_and_unknown_drives_are_none():
    for change in (
        {"speed_pct": 50.0},
        {"speed_pct": 70.0},
        {"speed_pct": None},
        {"speed_pct": 0.0, "command_pct": None},
        {"speed_pct": 0.0, "is_available": False},
    ):
        drive = DriveAt("pump1")
        for name, value in change.items():
            setattr(drive, name, value)
        eq((change, run(DriveSpeedCheck([drive]), 200)), (change, []))


def test_the_minute_begins_again_when_the_speed_was_right():
    drive = DriveAt("pump1")
    check = DriveSpeedCheck([drive])
    drive.speed_pct = 20.0
    run(check, 50)
    drive.speed_pct = 60.0
    run(check, 1)
    drive.speed_pct = 20.0
    eq(run(check, 59), [])
