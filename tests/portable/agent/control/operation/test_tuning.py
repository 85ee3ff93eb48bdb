# SPDX-License-Identifier: Apache-2.0
"""Automatic tuning of the supply loop: permissives, relay test, bumpless end, proposals."""

from agent.control.watch.autotune import Autotune, model_proposals
from agent.control.watch.relay_test import RelayTest
from agent.core.errors import CommandError
from tests.portable.agent.control.test_component import (
    cooling_component,
    make_rig,
    send_command,
)
from tests.portable.support.agent_rig import CDU, FLAGS, VALVE, config
from tests.portable.support.check import eq, near, raises
from tests.portable.support.cooling_settings import EXCHANGER

LONG = ("test_a_test_proposes_gains_and_ends_bumpless", "test_alarms_modes_and_stops_end_a_test")


def make_pi_rig():
    """Return a unit whose loop has no model: its own gains control the valve."""
    rig = make_rig(exchanger=None)
    rig.run(20)
    eq(rig.alarm_codes(), [])
    return rig


def run_plant(rig, seconds):
    """Run with a supply that follows the valve: 0.4 K per %, 20 s. Return the positions."""
    registers = rig.devices.registers
    start, positions = registers[VALVE][0] / 100, []
    supply = registers[CDU][0] / 10
    for _ in range(seconds):
        target = 32.0 - 0.4 * (registers[VALVE][0] / 100 - start)
        supply += (target - supply) / 20
        registers[CDU][0] = int(10 * supply + 0.5)
        rig.run(1)
        positions.append(registers[VALVE][0] / 100)
    return positions


def tuning(rig):
    return cooling_component(rig).tuning


def refused(rig, **arguments):
    return str(raises(CommandError, lambda: send_command(rig, "autotune", **arguments)))


def test_a_relay_test_gives_the_gains_of_its_oscillation():
    """A triangle of 0.5 K and 60 s: Ku = 4 d / (pi a)."""
    relay = RelayTest(50.0, 3.0)
    outputs = []
    for i in range(600):
        phase = (i + 15) % 60
        error = phase / 15 - 1.0 if phase < 30 else 3.0 - phase / 15
        outputs.append(relay.step(0.5 * error, 1.0))
        if relay.done:
            break
    eq((relay.done, sorted(set(outputs))), (True, [47.0, 53.0]))
    near(relay.period_s, 60.0, 0.5)
    near(relay.amplitude_k, 0.5, 0.02)
    near(relay.gain, 0.45 * 4 * 3 / (3.14159 * 0.5), 0.15)
    near(relay.integral_s, 50.0, 1.0)


def test_a_test_proposes_gains_and_ends_bumpless():
    rig = make_pi_rig()
    before = rig.devices.registers[VALVE][0] / 100
    eq(send_command(rig, "autotune"), "relay test of 3 % begun; see the status")
    eq("a test runs" in refused(rig), True)
    positions = run_plant(rig, 600)
    eq((tuning(rig).result, tuning(rig).is_running), ("done", False))
    eq([p.split("=")[0] for p in tuning(rig).proposals],
       ["control.supply.gain_pct_per_k", "control.supply.integral_s"])  # fmt: skip
    assert max(positions) <= before + 3.1, max(positions)
    assert min(positions) >= before - 3.1, min(positions)
    eq(rig.agent.config.supply.gain, config()["control"]["supply"].get("gain_pct_per_k", 5.0))
    eq(rig.alarm_codes(), [])


def test_a_test_needs_a_calm_unit():
    rig = make_pi_rig()
    for step in (0, 6, "3", None, True, 2.5):
        assert "step_pct" in refused(rig, step_pct=step), step
    assert "no test runs" in refused(rig, stop=True)
    send_command(rig, "override", mode="hand", minutes=1, valve_pct=40, pump_pct=70)
    assert "auto" in refused(rig)
    send_command(rig, "release")
    rig.run(3)
    rig.devices.registers[CDU][0] = 326
    rig.run(3)
    assert "set-point" in refused(rig)
    rig.devices.registers[CDU][0] = 320
    send_command(rig, "proof", what="valve")
    assert "proof" in refused(rig)


def test_alarms_modes_and_stops_end_a_test():
    def by_mode(rig):
        send_command(rig, "override", mode="hand", minutes=1, valve_pct=40, pump_pct=70)

    def by_error(rig):
        rig.devices.registers[CDU][0] = 340

    def by_silence(rig):
        rig.devices.silent.add(CDU)

    def by_alarm(rig):
        rig.devices.registers[CDU][FLAGS] = 1

    def by_command(rig):
        eq(send_command(rig, "autotune", stop=True), "autotune stops")

    for end in (by_mode, by_error, by_silence, by_alarm, by_command):
        rig = make_pi_rig()
        send_command(rig, "autotune", step_pct=2)
        rig.run(5)
        assert "autotune" in str(raises(CommandError, lambda: send_command(rig, "proof")))  # noqa: B023
        end(rig)
        rig.run(12)
        eq((tuning(rig).is_running, tuning(rig).proposals), (False, []))
        if end is by_alarm:
            assert "not during an alarm: device_alarm" in refused(rig), refused(rig)
        assert tuning(rig).result not in ("", "done", "running"), tuning(rig).result
        claims = rig.agent.arbiters["valve"].claims
        eq([c.owner for c in claims if c.owner == "autotune"], [])


def test_a_changed_configuration_or_a_missing_wave_ends_a_test():
    changed = Autotune(50.0, 3.0, "old")
    eq(changed.step(0.0, "loop", "new", 1.0), None)
    eq((changed.ended, changed.proposals), ("the configuration has changed", []))
    silent = Autotune(50.0, 3.0, "old")
    for _ in range(901):
        silent.step(0.0, "autotune", "old", 1.0)
    assert silent.ended.startswith("no oscillation"), silent.ended
    taken = Autotune(50.0, 3.0, "old")
    taken.step(0.0, "loop", "old", 1.0)
    taken.step(0.0, "leak_critical", "old", 1.0)
    eq(taken.ended, "the valve belongs to leak_critical")


def test_a_loop_with_a_model_proposes_what_it_has_learned():
    rig = make_rig()
    rig.run(20)
    model = cooling_component(rig).cooling.exchanger
    model.set_flow_factor(2.5)
    eq(send_command(rig, "autotune"), "proposes the learned model; see the status")
    eq(tuning(rig).proposals, ["cooling.exchanger.fws_open_lpm=600.000"])
    eq(model_proposals(EXCHANGER, 0.6, 1.02), ["cooling.exchanger.ua_kw_k=19.980"])
