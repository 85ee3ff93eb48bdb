# SPDX-License-Identifier: Apache-2.0
"""Loss of flow by counted indications: what explains a high pressure, and what does not."""

from agent.safety.flow_watch import FlowWatch
from protocols.time_units import SECOND
from tests.portable.support.check import eq


class WatchedDrive:
    """A drive as the watch of the flow sees it."""

    def __init__(self, speed_pct=None, is_dead=False, is_silent=False, silent_at=0):
        self.speed_pct, self.is_dead = speed_pct, is_dead
        self.is_silent, self.silent_at = is_silent, silent_at


def watch(levels):
    """Run 60 s at each level (flow L/min, pressure kPa, speed %). Return the watch."""
    flow_watch, now = FlowWatch(), 0
    for flow, kpa, speed in levels:
        for _ in range(60):
            now += SECOND
            flow_watch.update(flow, kpa, [WatchedDrive(speed)], None, now, now, 1.0)
    return flow_watch


def test_pressure_of_a_changed_filter_is_no_lie():
    clogged = (85.0, 25.0, 100.0)
    flow_watch = watch([(150.0, 80.0, 70.0), clogged, clogged, (150.0, 80.0, 70.0)])
    eq((flow_watch.outlier, flow_watch.is_lost), ("", False))


def test_pressure_that_alone_is_high_is_a_lie():
    for kpa in (130.0, 150.0, 400.0):
        eq(watch([(150.0, 80.0, 70.0), (150.0, kpa, 70.0)]).outlier, "dp")


def test_shut_valve_is_a_loss():
    eq(watch([(150.0, 80.0, 70.0), (2.0, 150.0, 70.0)]).is_lost, True)


def test_loss_that_only_hot_devices_show_ends_with_a_reading():
    flow_watch, drives = watch([(150.0, 80.0, 70.0)]), [WatchedDrive(70.0)]
    found = []
    for flow, kpa, is_hot in (
        (None, None, False),
        (None, None, True),
        (None, None, None),  # the loads are off
        (None, None, False),
        (150.0, 80.0, None),
    ):
        flow_watch.update(flow, kpa, drives, is_hot, 0, 61 * SECOND, 1.0)
        found.append(flow_watch.is_gone)
    eq(found, [False, True, True, True, False])


def test_flow_that_ends_during_the_start_is_a_loss():
    design = FlowWatch(150.0, 80.0)
    for flow_watch, expected in ((design, True), (FlowWatch(), False)):
        flow_watch.update(20.0, 2.0, [WatchedDrive(0.0)], None, SECOND, SECOND, 1.0)
        eq(flow_watch.is_lost, expected)
    design.update(30.0, 10.0, [WatchedDrive(30.0)], None, 2 * SECOND, 2 * SECOND, 1.0)
    eq(design.is_lost, False)


def test_flow_that_was_read_before_the_pump_ran_up_is_not_low():
    flow_watch, rising = watch([(150.0, 80.0, 70.0)]), [WatchedDrive(65.0)]
    found = []
    for at_reading in (45.0, 65.0):
        flow_watch.flow_read([WatchedDrive(at_reading)])
        flow_watch.update(60.0, 30.5, rising, True, 0, 61 * SECOND, 1.0)
        found.append((flow_watch.flow_low, flow_watch.is_lost))
    eq(found, [(False, False), (True, True)])


def test_flow_that_hot_devices_have_confirmed_stays_lost_until_it_is_back():
    flow_watch, drives = watch([(150.0, 80.0, 70.0)]), [WatchedDrive(70.0)]
    found = []
    for second, flow, is_hot in (
        (61, 2.0, False),  # the flow alone: it may be false
        (62, 2.0, True),
        (63, 2.0, None),  # the loads are off
        (70, 2.0, False),
        (80, 150.0, False),
        (90, 2.0, False),
    ):
        now = second * SECOND
        flow_watch.update(flow, 80.0, drives, is_hot, now, now, 1.0)
        found.append(flow_watch.is_lost)
    eq(found, [False, True, True, True, False, False])


def test_confirmed_loss_is_tried_again_after_ten_minutes():
    for flow, kpa in ((2.0, 80.0), (150.0, 2.0)):
        flow_watch, drives = watch([(150.0, 80.0, 70.0)]), [WatchedDrive(70.0)]
        found = []
        for second, is_hot in ((61, True), (660, False), (661, False), (700, True), (701, False)):
            now = second * SECOND
            flow_watch.update(flow, kpa, drives, is_hot, now, now, 1.0)
            found.append(flow_watch.is_lost)
        eq(found, [True, True, False, True, True])


def test_false_pressure_does_not_become_the_usual_one():
    for is_consistent, outlier in ((False, ""), (True, "dp")):
        flow_watch, drives, now = watch([(150.0, 80.0, 70.0)]), [WatchedDrive(70.0)], 60 * SECOND
        for kpa in [22.0] * 120 + [80.0] * 10:
            now += SECOND
            flow_watch.update(150.0, kpa, drives, None, now, now, 1.0, is_consistent)
        eq(flow_watch.outlier, outlier)


def test_forgotten_means_are_learned_from_the_next_readings():
    flow_watch, drives, now = watch([(150.0, 22.0, 70.0)]), [WatchedDrive(70.0)], 60 * SECOND
    flow_watch.forget()
    for _ in range(3):
        now += SECOND
        flow_watch.update(150.0, 80.0, drives, None, now, now, 1.0)
    eq((flow_watch.outlier, flow_watch.is_lost, flow_watch.usual_lpm), ("", False, 150.0))
    flow_watch.update(2.0, 1.0, drives, None, now, now, 1.0)
    flow_watch.forget()  # a loss is not forgotten
    flow_watch.update(2.0, 1.0, drives, None, now, now, 1.0)
    eq(flow_watch.is_lost, True)


def test_a_loss_that_was_read_does_not_end_because_the_readings_are_lost():
    flow_watch, drives = watch([(150.0, 80.0, 70.0)]), [WatchedDrive(70.0)]
    found = []
    for second, flow, kpa in (
        (61, 2.0, 2.0),
        (62, None, None),  # the bus is silent
        (660, None, None),
        (661, None, None),
        (662, 2.0, 2.0),
        (663, 150.0, 80.0),
        (664, None, None),  # no loss came before
    ):
        now = second * SECOND
        flow_watch.update(flow, kpa, drives, False, now, now, 1.0)
        found.append((flow_watch.is_lost, flow_watch.is_gone))
    yes, no = (True, True), (False, False)
    eq(found, [yes, yes, yes, no, yes, no, no])
