# SPDX-License-Identifier: Apache-2.0
"""Corrections of pulses: the delay of the antenna cable, and the stated quantisation of a pulse."""

from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.pps import PpsComponent
from agent.clock.utc_clock import UtcClock
from agent.port_numbers import FIRST_BUS, RECEIVER
from drivers.gnss.receiver import ReceiverDriver
from protocols.nmea.binary_frames import ubx_checksum
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import AgentRig, config
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import gga, rmc
from tests.portable.support.reference_time import UTC, ClockRig

_LAST_SUNDAY = (UTC // SECOND + 4 * 86_400) // 604_800 * 604_800 - 4 * 86_400
"""1970-01-04 was the first Sunday."""


def pulse_rig(cable_ns, pulse_late_ns):
    stated = StatedErrors(10_000, None, 0, cable_ns)
    clock = UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, True, stated=stated)
    rig = ClockRig(clock, 2, ppm=5.0, pps_us=1.0)
    rig.pulse_late_ns = pulse_late_ns
    return rig


def mean_error_us(rig, prepare=None):
    """Return the mean error of UTC from the 200th to the 300th second."""
    total = 0
    for _ in range(300):
        if prepare is not None:
            prepare(rig)
        rig.run(1)
        total += rig.error_us if rig.second > 200 else 0
    eq(rig.state(), "sync")
    assert rig.max_excess_us <= 0
    return total / 100


def test_delay_of_the_cable_is_taken_from_the_pulses():
    uncorrected = mean_error_us(pulse_rig(0, 8000))
    assert -9 < uncorrected < -7, uncorrected  # late pulses make UTC late
    corrected = mean_error_us(pulse_rig(8000, 8000))
    assert -1 < corrected < 1, corrected
    inverted = mean_error_us(pulse_rig(8000, 0))
    assert 7 < inverted < 9, inverted


def state_each_pulse(early_ns, second_error=0):
    def prepare(rig):
        pulses = rig.clock.pps
        if pulses is not None:
            week_s = UTC // SECOND + rig.second - _LAST_SUNDAY + second_error
            pulses.state_quantisation(week_s % 604_800, early_ns)

    return prepare


def test_quantisation_corrects_the_pulse_that_it_belongs_to():
    corrected = mean_error_us(pulse_rig(0, -8000), state_each_pulse(8000))
    assert -1 < corrected < 1, corrected


def test_quantisation_of_another_pulse_is_not_used():
    uncorrected = mean_error_us(pulse_rig(0, -8000), state_each_pulse(8000, -1))
    assert 7 < uncorrected < 9, uncorrected


def test_quantisation_over_the_end_of_the_week():
    rig = pulse_rig(0, 0)
    rig.run(60)
    pulses = rig.clock.pps
    saturday = (_LAST_SUNDAY + 604_799) * SECOND
    for week_s, second in ((604_799, 0), (0, 1), (1, 2)):
        pulses.state_quantisation(week_s, 700)
        eq(pulses._correct(saturday + second * SECOND + 3, 0, -2500), -3200)
        eq(pulses._correct(saturday + (second + 1) * SECOND + 3, 0, -2500), -2500)


class PulseAgentStub:
    """The parts of the agent that the component needs."""

    def __init__(self, clock, receiver):
        self.clock = clock
        self.receiver = receiver


def next_pulse_frame(week_s, early_ps):
    """Return UBX-TIM-TP for a pulse in UTC."""
    content = b"\x0d\x01\x10\x00" + (week_s * 1000).to_bytes(4, "little") + bytes(4)
    content += (early_ps & 0xFFFFFFFF).to_bytes(4, "little") + b"\x8e\x09\x03\x30"
    return b"\xb5\x62" + content + ubx_checksum(content).to_bytes(2, "little")


def test_component_passes_on_what_the_receiver_states():
    for wanted, early_ns in (("yes", 12), ("no", None)):
        rig = pulse_rig(0, 0)
        rig.run(30)
        receiver = ReceiverDriver(0, 115_200)
        component = PpsComponent(PulseAgentStub(rig.clock, receiver), {"quantisation": wanted}, 9)
        now = rig.mono_ns // 1000
        receiver.receive(rmc("120000.00"), now)
        component.tick(now + SECOND // 2)  # frames are kept from the first epoch on
        receiver.receive(rmc("120001.00") + next_pulse_frame(345_601, 12_300), now + SECOND)
        component.tick(now + 3 * SECOND // 2)
        eq([value for name, value in component.status(now).pairs if name == "early_ns"],
           [] if early_ns is None else [early_ns])  # fmt: skip
        monday_noon = (_LAST_SUNDAY + 345_601) * SECOND
        eq(rig.clock.pps._correct(monday_noon, 0, 100), 100 - (early_ns or 0))


def test_component_without_pulses_or_receiver_does_nothing():
    clock = pulse_rig(0, 0).clock
    for receiver in (None, ReceiverDriver(0, 115_200)):
        component = PpsComponent(PulseAgentStub(clock, receiver), {"quantisation": "yes"}, 9)
        component.tick(0)
        eq(component.status(0).pairs, [("pulses", 0), ("used", 0)])


def test_agent_reads_both_settings():
    raw = config()
    raw["pps"] = {"port": "pps:/dev/pps0", "cable_ns": 250, "quantisation": "yes"}
    rig = AgentRig(raw)
    rig.run(2)
    for second in range(12):
        time = "0000%02d.00" % (second + 1)
        rig.deliver("event", FIRST_BUS + 1, "pulse")
        week_s = 3 * 86_400 + second + 2  # a Wednesday
        frame = next_pulse_frame(week_s, 12_300 + 1000 * second)
        rig.deliver("receive", RECEIVER, rmc(time) + gga(time) + frame)
        rig.run(1)
    eq(rig.agent.config.clock_errors[3], 250)
    assert '"pps":{"pulses":12,"used":' in rig.state.decode(), rig.state
    assert '"early_ns":23}' in rig.state.decode(), rig.state
