# SPDX-License-Identifier: Apache-2.0
"""Start of a drive whose start was inhibited: its second start comes before it counts as blocked.

The actuator restarts a drive that stands (`PumpActuator`), and the protection judges its shaft
(`DriveWatch`). Both count from the same run command.
"""

from agent.control.actuator.pump import PumpActuator
from agent.safety.drive_watch import DriveWatch
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.agent_rig import RUN, STOP, FieldbusRig
from tests.portable.support.check import eq


def start_drive(ramp_pct_s, needs_stop, is_seized, seconds=30, command_pct=40.0):
    """Start a drive that rests; return the time at which it is found blocked, and its last speed.

    `needs_stop`: its start is inhibited until it gets a stop. Its ramp is `ramp_pct_s`. The time is
    in seconds from the run command, None if it is never found blocked.
    """
    bench = FieldbusRig()
    pump = PumpActuator(bench.session("lag"))
    drive = DriveWatch(pump)
    word, speed, is_inhibited, found = STOP, 0.0, needs_stop, None
    for cycle in range(seconds):
        bench.now = (10 + cycle) * SECOND
        bench.read("lag", word, 8000, 0, int(speed * 200))
        if drive.update(bench.now) and found is None:
            found = cycle
        bench.now += 10 * MILLISECOND
        pump.request(0 if pump.stalled else command_pct)
        drive.update(bench.now)  # in the next tick, before the next reading
        word = bench.requested("lag")["ControlWord"]
        is_inhibited = is_inhibited and word != STOP
        turns = word == RUN and not is_inhibited and not is_seized
        speed = min(speed + ramp_pct_s, command_pct) if turns else 0.0
    return found, speed


def test_a_drive_with_an_inhibited_start_is_not_blocked():
    for ramp_pct_s in (20.0, 3.0, 2.0):
        eq((ramp_pct_s, start_drive(ramp_pct_s, True, False)[0]), (ramp_pct_s, None))
    eq(start_drive(20.0, True, False), (None, 40.0))


def test_a_drive_that_starts_is_not_blocked():
    for ramp_pct_s in (20.0, 1.0):
        eq((ramp_pct_s, start_drive(ramp_pct_s, False, False)[0]), (ramp_pct_s, None))


def test_a_drive_that_a_person_commands_to_creep_is_not_blocked():
    for command_pct in (1.0, 1.9, 3.0, 4.0):
        eq(start_drive(20.0, False, False, 30, command_pct), (None, command_pct))
    eq(start_drive(20.0, False, True, 30, 4.0)[0], 8)


def test_a_seized_shaft_is_blocked_after_one_more_start():
    for needs_stop in (True, False):
        eq(start_drive(20.0, needs_stop, True), (8, 0.0))
