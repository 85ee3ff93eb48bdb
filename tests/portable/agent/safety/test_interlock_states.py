# SPDX-License-Identifier: Apache-2.0
"""Interlock without a bus: each cause, claim, latch, and what people and a restart see of it."""

import json

from agent.core.actuator import AT_LEAST, EXACT, INTERLOCK
from agent.core.alarm_record import AlarmRecord
from agent.core.errors import CommandError
from agent.core.json_writer import write
from agent.safety.interlock_input import INTERLOCKS, REACTIONS, InterlockInput
from drivers.device.identity import MATCH
from protocols.time_units import SECOND
from tests.portable.agent.safety.fake_row import PumpOfSession, RecordedLimits, SessionOfPoints
from tests.portable.agent.safety.fake_unit import DeviceOfBits, FakeUnit
from tests.portable.support.check import eq, raises

KINDS = ("emergency_stop", "leak_critical", "contact", "leak_warning")
SNAPSHOT = "supply 32.0 C, dp -1.0 kPa, valve 41.3 %, pumps 70.0 ? %"


def entry(kind, name="", reaction="", delay_s=0.0, device="panel", when_lost="alarm"):
    made = {"kind": kind, "name": name or kind[:4], "device": device, "bit": name or kind[:4]}
    made.update({"delay_s": delay_s, "when_lost": when_lost})
    if reaction:
        made["reaction"] = reaction
    return made


def status(unit):
    return json.loads(write(unit.interlock.status(unit.now)))


def claim(output, reason, kind=EXACT):
    return [(INTERLOCK, "safety", kind, output, reason)]


def test_each_reaction_of_each_kind():
    for kind in KINDS:
        default = next(name for name, record in INTERLOCKS if record.code == kind)
        for reaction in ("", "stop", "shut_valve", "cool", "report"):
            unit = FakeUnit([entry(kind, "x", reaction, 2.0)])
            unit.step()
            eq((unit.conditions(), unit.interlock.demand()), ([], (None, None)))
            unit.panel.on = ("x",)
            for seconds in (1, 1, 0.999):
                eq(unit.step(seconds), ([], []))
            row = next(row for row in REACTIONS if row[0] == (reaction or default))
            _, state, valve, pumps, is_latched = row
            code = kind + ":x"
            expected = [claim(output, code) if output is not None else [] for output in row[2:4]]
            eq(list(unit.step(0.001)), expected)
            eq((unit.interlock.demand(), unit.conditions()), ((valve, pumps), [code]))
            record, source, text = unit.interlock.active_conditions(unit.now)[0]
            wanted = next(record for _, record in INTERLOCKS if record.code == kind)
            eq(record, AlarmRecord(kind, state, wanted.text + " x", "input", True))
            eq((source, text), ("x", wanted.text + " x; " + SNAPSHOT))
            unit.panel.on = ()
            unit.step()
            eq(unit.conditions(), [code] if is_latched else [])


def test_a_pause_of_the_input_starts_its_delay_again():
    unit = FakeUnit([entry("contact", "x", delay_s=2.0)])
    for on in (("x",), ("x",), (), ("x",), ("x",)):
        unit.panel.on = on
        unit.step()
    eq(unit.conditions(), [])
    unit.step()
    eq(unit.conditions(), ["contact:x"])


def test_the_first_cause_with_an_output_wins_for_each_actuator():
    inputs = [entry("leak_warning", "d", "cool"), entry("contact", "c", "shut_valve")]
    unit = FakeUnit(inputs + [entry("leak_critical", "l"), entry("emergency_stop", "e", "report")])
    steps = (
        ("d", 100.0, "leak_warning:d", 100.0, "leak_warning:d"),
        ("dc", 0.0, "contact:c", 100.0, "leak_warning:d"),
        ("dce", 0.0, "contact:c", 100.0, "leak_warning:d"),
        ("dcel", 0.0, "leak_critical:l", 0.0, "leak_critical:l"),
    )
    for on, valve, valve_code, pumps, pump_code in steps:
        unit.panel.on = tuple(on)
        eq(unit.step(), (claim(valve, valve_code), claim(pumps, pump_code)))
        eq(unit.interlock.demand(), (valve, pumps))


def test_the_pumps_stop_after_the_loads_and_a_leak_waits_longer():
    for kind, wait_s in (("emergency_stop", 5), ("leak_critical", 15)):
        limits = RecordedLimits()
        unit = FakeUnit([entry(kind, "x")], limits)
        unit.panel.on, code = ("x",), kind + ":x"
        eq(unit.step(), (claim(0.0, code), []))
        eq(limits.take(), [("limit", code), ("shed", code)])
        for second in range(1, wait_s):
            floor = claim(15.0, code) if second >= 5 else []
            eq((second, unit.step()), (second, (claim(0.0, code), floor)))
        unit.step(0.999999)
        eq(unit.step(0.000001), (claim(0.0, code), claim(0.0, code)))


def test_overheat_needs_the_return():
    for return_c, is_hot in ((50.0, True), (49.99, False), (None, True)):
        unit = FakeUnit([])
        unit.supply_loop.sensor.shown, unit.return_sensor.shown = 55.0, return_c
        for _ in range(3):
            unit.step()
        eq(unit.conditions(), ["overheat:"] * is_hot)
    unit = FakeUnit([])
    unit.return_sensor, unit.supply_loop.sensor.shown = None, 54.99
    unit.step(9), unit.step(9)
    eq(unit.conditions(), [])
    unit.supply_loop.sensor.shown = 55.0
    unit.step(), unit.step(1.999)
    eq(unit.conditions(), [])
    unit.step(0.001)
    eq(unit.step(), (claim(100.0, "overheat"), claim(100.0, "overheat")))
    for supply_c in (None, 53.0):  # an unknown supply keeps the state
        unit.supply_loop.sensor.shown = supply_c
        unit.step()
        eq(unit.conditions(), ["overheat:"])
    unit.supply_loop.sensor.shown = 52.99
    unit.step()
    eq(unit.conditions(), [])


def test_dry_run_needs_pumps_pressure_and_flow():
    cases = (
        (9.99, 5.01, True, True),
        (10.0, 70.0, True, False),
        (9.0, 5.0, True, False),
        (9.0, None, True, False),
        (9.0, 70.0, False, False),
        (9.0, 70.0, None, False),
        (None, 70.0, True, False),
    )
    for kpa, speed, flow_low, is_dry in cases:
        unit = FakeUnit([])
        unit.pressure_loop.sensor.shown, unit.pressure_loop.pumps[0].shown = kpa, speed
        unit.interlock.protection.flow.flow_low = flow_low
        unit.step(), unit.step(2.999)
        eq(unit.conditions(), [])
        unit.step(0.001)
        eq(unit.conditions(), ["dry_run:"] * is_dry)
    unit = FakeUnit([], dry_run_s=0.5)
    unit.pressure_loop.sensor.shown = 9.0
    unit.interlock.protection.flow.flow_low = True
    unit.step(), unit.step(0.499)
    eq(unit.conditions(), [])
    unit.step(0.001)
    eq(unit.conditions(), ["dry_run:"])
    unit = FakeUnit([], dry_run_s=0)
    unit.pressure_loop.sensor.shown = 0.0
    unit.interlock.protection.flow.flow_low = True
    unit.step(9), unit.step(9)
    eq(unit.conditions(), [])


def test_lost_inputs_are_named_once_for_each_device():
    inputs = [entry("contact", "a"), entry("contact", "b"), entry("leak_warning", "r", "", 0)]
    inputs[2]["device"] = "roof"
    unit = FakeUnit(inputs + [entry("emergency_stop", "e", "", 1.0, "panel", "act")])
    unit.panel.on = ("a",)
    unit.step()
    unit.panel.lost = unit.session("roof").lost = True
    unit.panel.on = ("b",)
    unit.step()
    found = [c for c in unit.interlock.active_conditions(unit.now) if c[0].code == "input_lost"]
    texts = [(source, text) for _, source, text in found]
    eq(texts, [(n, "cannot be read: inputs of " + n) for n in ("panel", "roof")])
    eq(unit.conditions()[:1], ["contact:a"])  # the state of before the loss
    unit.step()
    eq(unit.conditions()[:2], ["emergency_stop:e", "contact:a"])
    unit.panel.lost = unit.session("roof").lost = False
    unit.step()
    eq(unit.conditions(), ["emergency_stop:e", "contact:b"])


def test_commands_name_what_they_did():
    unit = FakeUnit([entry("emergency_stop", "e"), entry("leak_critical", "l")])

    def command(name, **arguments):
        return unit.interlock.handle_command(name, arguments, unit.now)

    eq(command("acknowledge"), "acknowledged: nothing")
    eq(command("reset"), "reset: nothing")
    unit.panel.on = ("e", "l")
    unit.step()
    eq(command("acknowledge", code="leak_critical:l"), "acknowledged: leak_critical:l")
    seen = [cause["acknowledged"] for cause in status(unit)["causes"]]
    eq(seen, [False, True])
    eq(command("acknowledge"), "acknowledged: emergency_stop:e leak_critical:l")
    unit.panel.on = ("l",)
    unit.step()
    eq(str(raises(CommandError, command, "reset")), "leak_critical:l is still on")
    eq(command("reset", code="emergency_stop:e"), "reset: emergency_stop:e")
    eq(unit.conditions(), ["leak_critical:l"])
    unit.panel.on = ("e",)
    unit.step()
    eq(status(unit)["causes"][0]["acknowledged"], False)
    unit.panel.on = ()
    unit.step()
    eq(command("reset"), "reset: emergency_stop:e leak_critical:l")
    eq((unit.conditions(), command("other")), ([], None))
    for name in ("acknowledge", "reset"):
        error = raises(CommandError, lambda name=name: command(name, code="no"))
        eq(str(error), "no cause is named no")


def test_status_has_each_cause_and_the_watchdog():
    unit = FakeUnit([entry("contact", "c", "shut_valve"), entry("leak_warning", "d", "cool")])
    empty = {"valve_forced": False, "pumps_forced": False, "fed_us": None, "causes": []}
    empty["not_shown"] = []
    eq(status(unit), empty)
    unit.panel.on = ("c",)
    unit.step()
    cause = {"code": "contact:c", "reaction": "shut_valve", "latched": True, "on": True}
    cause.update({"acknowledged": False, "at_us": unit.now, "evidence": SNAPSHOT})
    eq(status(unit), dict(empty, valve_forced=True, causes=[cause]))
    unit.panel.on = ("d",)
    unit.step()
    second = dict(cause, code="leak_warning:d", reaction="cool", latched=False, at_us=unit.now)
    shown = status(unit)
    eq((shown["pumps_forced"], shown["causes"]), (True, [dict(cause, on=False), second]))


def test_a_snapshot_has_the_values_of_the_trip():
    unit = FakeUnit([entry("contact", "c", "stop")])
    unit.supply_loop.sensor.shown = None
    unit.pressure_loop.sensor.shown, unit.supply_loop.valve.shown = -12.35, 0.04
    unit.pressure_loop.pumps[1].shown = 100.0
    unit.panel.on = ("c",)
    unit.step()
    text = "supply ? C, dp -12.4 kPa, valve 0.0 %, pumps 70.0 100.0 %"
    eq(status(unit)["causes"][0]["evidence"], text)
    unit.pressure_loop.pumps *= 40
    unit.panel.on = ()
    unit.step()
    unit.interlock.reset()
    unit.panel.on = ("c",)
    unit.step()
    eq(len(status(unit)["causes"][0]["evidence"]), 120)


def test_latches_survive_a_restart():
    inputs = [entry("contact", "c", "stop"), entry("leak_warning", "d", "shut_valve")]
    unit = FakeUnit(inputs + [entry("contact", "r")])
    unit.panel.on = ("c", "d", "r")
    unit.step()
    unit.interlock.acknowledge("leak_warning:d")
    lines = unit.interlock.retain(unit.now)
    eq(lines, ["latch contact:c 0 " + SNAPSHOT, "latch leak_warning:d 1 " + SNAPSHOT])
    later = FakeUnit(inputs)
    later.now = 77 * SECOND
    eq([later.interlock.restore(line, later.now) for line in lines], [True, True])
    causes = status(later)["causes"]
    seen = [(cause["code"], cause["acknowledged"], cause["at_us"]) for cause in causes]
    eq(seen, [("contact:c", False, later.now), ("leak_warning:d", True, later.now)])
    eq([cause["evidence"] for cause in causes], [SNAPSHOT, SNAPSHOT])
    eq(later.interlock.demand(), (0.0, 0.0))
    eq(later.interlock.restore("latch contact:c 1 other", later.now + 1), True)
    eq(status(later)["causes"][0], dict(causes[0]))  # an active cause stays as it is
    eq(later.interlock.reset(), "reset: contact:c leak_warning:d")
    later.interlock.restore("latch contact:c 0 " + "x" * 200, later.now)
    eq(status(later)["causes"][0]["evidence"], "x" * 120)


def test_a_line_that_does_not_fit_restores_nothing():
    unit = FakeUnit([entry("contact", "c", "stop"), entry("leak_warning", "d")])
    lines = ("", "latch", "latch contact:c", "latch contact:c 0", "latch contact:x 0 s", "stalled")
    lines += ("latch leak_warning:d 0 s", "other contact:c 0 s", "stalled a b", "other p0")
    for line in lines:
        eq((line, unit.interlock.restore(line, unit.now)), (line, False))
    eq((unit.conditions(), unit.interlock.retain(unit.now)), ([], []))


def test_blocked_pumps_survive_a_restart():
    unit = FakeUnit([])
    seen = []
    unit.interlock.protection.stalled_pumps = lambda: ["p0", "p1"]
    unit.interlock.protection.restore_stalled = lambda *call: seen.append(call) or True
    eq(unit.interlock.retain(unit.now), ["stalled p0", "stalled p1"])
    eq((unit.interlock.restore("stalled p1", 5), seen), (True, [("p1", 5)]))


def test_while_off_the_trips_stay_and_the_loads_are_limited():
    limits = RecordedLimits()
    unit = FakeUnit(
        [entry("contact", "c", "shut_valve"), entry("leak_warning", "d", "cool")], limits
    )
    off = unit.interlock.while_off
    floor = claim(80.0, "part_off", AT_LEAST)
    eq(unit.claims_of(off), ([], floor))
    eq(limits.take(), [("cap", 700, "part_off")])
    unit.panel.on = ("c",)
    unit.step()
    eq(unit.claims_of(off), (claim(0.0, "contact:c"), floor))
    unit.panel.on = ("d",)
    unit.step()
    eq(unit.claims_of(off), (claim(0.0, "contact:c"), claim(100.0, "leak_warning:d")))
    unit = FakeUnit([])
    eq(unit.claims_of(unit.interlock.while_off), ([], floor))  # a unit without loads


def test_the_floor_of_the_protection_is_claimed():
    unit = FakeUnit([])
    for percent, expected in ((100.0, claim(100.0, "flow_low", AT_LEAST)), (None, [])):
        unit.interlock.protection.pump_floor = lambda _, percent=percent: percent
        eq(unit.step(), ([], expected))


def test_the_protection_knows_a_stop():
    unit = FakeUnit([entry("contact", "c", "stop"), entry("leak_warning", "d", "shut_valve")])
    steps = []
    unit.interlock.protection.step = lambda now, is_stopping: steps.append((now, is_stopping))
    for on in ((), ("d",), ("c",)):
        unit.panel.on = on
        unit.step()
        unit.interlock.protect(unit.now)
    eq([is_stopping for _, is_stopping in steps], [False, False, True])
    eq(steps[2][0], unit.now)
    unit = FakeUnit([])
    unit.interlock.protection.step = lambda now, is_stopping: steps.append((now, is_stopping))
    unit.interlock.stop_order.may_stop("manual", unit.now)
    unit.interlock.protect(unit.now)
    eq(steps[-1][1], True)


def test_watchdog_is_served_once_after_each_cycle_while_its_port_is_open():
    unit = FakeUnit([])
    interlock = unit.interlock
    interlock.tick(unit.now)
    eq((interlock.protection.last_step, interlock.outbox()), (None, []))
    served = []
    for event in ("drained", "opened", "drained", "failed", "drained", "opened", "closed"):
        interlock.event(event, unit.now)
        unit.step()
        interlock.tick(unit.now)
        eq(interlock.protection.last_step, unit.now)
        out = interlock.outbox()
        eq(out, [(7, "write", b"1")] * len(out))
        interlock.tick(unit.now + 1)
        eq((interlock.outbox(), interlock.protection.last_step), ([], unit.now))
        served.append(len(out))
    eq(served, [0, 1, 1, 0, 0, 1, 0])
    eq(status(unit)["fed_us"], unit.now - SECOND)


def test_loads_are_limited_while_the_delay_of_a_stop_runs():
    for reaction, is_limited in (("stop", True), ("shut_valve", False), ("cool", False)):
        limits = RecordedLimits()
        unit = FakeUnit([entry("contact", "c", reaction, 2.0)], limits)
        eq((unit.step(), limits.take()), (([], []), []))
        unit.panel.on = ("c",)
        unit.step()
        eq((reaction, limits.take()), (reaction, [("limit", "contact:c")] * is_limited))


def test_a_loss_of_coolant_orders_the_loads_in_each_cycle():
    limits = RecordedLimits()
    unit = FakeUnit([], limits)
    watch = unit.interlock.loop_watch
    watch._add_pressures = lambda *_: None
    watch._loss_left = 9
    unit.step()
    eq(limits.take(), [("limit", "coolant_loss")])
    watch.fast_count = 2
    unit.step()
    eq(limits.take(), [("limit", "coolant_loss"), ("shed", "coolant_loss")])


def test_start_permissives_are_asked_until_all_are_shown():
    unit = FakeUnit([entry("contact", "c", "stop"), entry("contact", "d")])
    permit, asked = unit.interlock.start_permit, []
    permit.step = lambda now, is_read, is_stopping: asked.append((now, is_read, is_stopping))
    unit.step()
    eq(asked, [])
    permit.missing = ["flow"]
    unit.panel.lost = True
    unit.interlock.inputs[1][0].is_on = None
    unit.step()
    unit.panel.lost, unit.panel.on = False, ("c",)
    unit.step()
    eq(asked, [(unit.now - SECOND, False, False), (unit.now, True, True)])


def test_missing_permissives_limit_the_loads_after_twenty_seconds():
    limits = RecordedLimits()
    unit = FakeUnit([], limits)
    permit, start, shown = unit.interlock.start_permit, unit.now, []
    permit.missing = ["inputs", "flow"]
    permit._shown = lambda *_: shown
    seen = []
    for seconds, is_stopping in ((0, 0), (19.999999, 0), (20, 0), (30, 1), (49, 0), (50, 0)):
        now = start + int(seconds * SECOND)
        permit.step(now, True, bool(is_stopping))
        texts = [text for _, _, text in permit.active_conditions(now)]
        seen.append((len(limits.take()), len(texts)))
    eq(seen, [(0, 0), (0, 0), (1, 1), (0, 0), (0, 0), (1, 1)])
    eq(texts, ["not shown since the start, the loads are limited: inputs flow"])
    shown.append("inputs")
    permit.step(now, True, False)
    eq((permit.missing, limits.take()), (["flow"], [("limit", "start")]))
    shown[0] = "flow"
    permit.step(now, True, False)
    eq((permit.missing, limits.take(), permit.active_conditions(now)), ([], [], []))
    permit.missing = ["flow"]
    unit.interlock.protection.use_limits(None)
    permit.step(now + SECOND, True, False)  # a unit without loads


def test_what_is_shown_since_the_start():
    unit = FakeUnit([])
    permit, flow = unit.interlock.start_permit, unit.interlock.protection.flow
    devices = unit.unit, DeviceOfBits("valve"), SessionOfPoints("p", [("a", 1)])
    other = PumpOfSession("q")
    other.session.identity = "other"
    unit.supply_loop.valve.session = devices[1]
    unit.pumps = [PumpOfSession("p"), other]
    unit.pumps[0].session = devices[2]
    for wrong in (0, 1, 2, 3):
        for number, device in enumerate(devices):
            device.identity = "other" if number == wrong else MATCH
        eq((wrong, "identity" in permit._shown(unit.now, True)), (wrong, wrong == 3))
    unit.pressure_loop.sensor.shown = None
    for state, shown in (
        ((False, None, "", False), ["pressure", "flow"]),
        ((False, None, "", True), ["pressure"]),
        ((None, False, "", False), ["flow"]),
        ((True, False, "flow", False), ["flow"]),
        ((True, False, "", False), []),
        ((None, None, "", False), []),
        ((None, True, "", False), []),
    ):
        flow.flow_low, flow.dp_low, flow.outlier, flow.is_lost = state
        eq((state, permit._shown(unit.now, False)), (state, ["identity", "supply"] + shown))
    unit.supply_loop.sensor.shown, unit.pressure_loop.sensor.shown = None, 80.0
    eq(permit._shown(unit.now, True), ["identity", "pressure", "inputs"])


def test_protection_and_stop_command_the_same_loads():
    limits = RecordedLimits()
    interlock = FakeUnit([], limits).interlock
    eq((interlock.protection.limits, interlock.stop_order.limits), (limits, limits))


def test_a_cause_that_does_not_latch_is_not_restored():
    cause = InterlockInput("contact", "c", "report", 0.0)
    cause.restore(True, "s", SECOND)
    eq((cause.active, cause.snapshot, cause.is_on, cause.tripped_at), (False, "", None, 0))


def test_a_shut_branch_is_kept_over_a_restart_and_reset_by_a_person():
    limits = RecordedLimits()
    unit = FakeUnit([], limits)
    unit.step()
    eq((unit.conditions(), unit.interlock.retain(unit.now)), ([], []))
    raises(CommandError, unit.interlock.reset, "row_resistance")  # no branch is shut
    lines = ("shut 2000000", "shut", "shut x", "curve 1 2000000 16000", "curve 1", "curve 0 1 1")
    for line, is_taken in zip(lines, (True, False, False, True, False, False)):
        eq((line, unit.interlock.restore(line, unit.now)), (line, is_taken))
    eq((unit.conditions(), unit.step()[1]), (["row_resistance:"], []))
    curve = "curve 1 2000000 16000"
    eq(unit.interlock.retain(unit.now), [curve, "shut 2000000"])
    limits.is_flow_needed = True
    eq(unit.step()[1], [(INTERLOCK, "safety", AT_LEAST, 100.0, "branch_shut")])
    eq(unit.conditions(), ["row_resistance:", "branch_shut:"])
    eq(unit.interlock.reset(), "reset: nothing")
    eq(unit.conditions(), ["row_resistance:", "branch_shut:"])
    eq(unit.interlock.reset("row_resistance"), "reset: row_resistance")
    limits.is_flow_needed = False
    eq((unit.conditions(), unit.interlock.retain(unit.now), unit.step()[1]), ([], [curve], []))


def test_lost_coolant_is_kept_over_a_restart_and_accepted_by_a_person():
    unit = FakeUnit([], RecordedLimits())
    unit.step()
    raises(CommandError, unit.interlock.reset, "level_low")  # no coolant is lost
    eq(unit.interlock.restore("low", unit.now), False)
    eq(unit.interlock.restore("loss 500000", unit.now), True)
    eq(unit.conditions(), ["level_low:", "coolant_loss:"])
    eq(unit.interlock.retain(unit.now), ["loss 500000"])
    unit.step()
    eq(unit.conditions(), ["level_low:", "coolant_loss:"])
    eq(unit.interlock.reset(), "reset: nothing")
    eq(unit.interlock.reset("level_low"), "reset: level_low")
    unit.step()
    eq((unit.conditions(), unit.interlock.retain(unit.now)), ([], []))
