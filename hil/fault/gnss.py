# SPDX-License-Identifier: Apache-2.0
"""Faults of the GNSS receiver, its antenna, its line and its signals.

Does not contain the faults themselves; they are attributes of the emulated receiver
(`hil.devices.gnss.receiver`). All but `receiver_late` and `receiver_corrupt` need a receiver with a
vendor dialect. Spoofing changes the time and position of the receiver; its sentences and pulses
follow.
"""

from collections.abc import Callable
from operator import attrgetter

from hil.bench.testbed import Testbed
from hil.devices.gnss.receiver import COLD, HOT, WEEK_S, GnssReceiver
from hil.fault.base import FaultType, attribute_fault

_SECOND = 1_000_000
_MILLISECOND = 1_000
_ROLLOVER_WEEKS = 1024
_NS_PER_KM = 3335.64  # light travel time
_TX_ON_S, _TX_PERIOD_S = 4, 20
"""Bursts of a transmitter: 4 s in every 20 s."""


def _gnss_receiver(testbed: Testbed) -> GnssReceiver:
    """Return the receiver; the check of the scenario ensures that it has a dialect."""
    assert isinstance(testbed.receiver, GnssReceiver)
    return testbed.receiver


def _receiver_fault(
    description: str,
    do: Callable[[GnssReceiver, float, int], None],
    undo: Callable[[GnssReceiver, int], None] | None = None,
    limits: tuple[float, float] | None = None,
) -> FaultType:
    """Make a fault from functions that act on the receiver: `do(receiver, value, now)`."""

    def begin(testbed: Testbed, value: float) -> None:
        do(_gnss_receiver(testbed), value, testbed.world.now)

    def end(testbed: Testbed) -> None:
        if undo is not None:
            undo(_gnss_receiver(testbed), testbed.world.now)

    return FaultType(
        description, begin, end if undo is not None else None, limits, needs_dialect=True
    )


def _receiver_attribute(
    description: str,
    name: str,
    reset_value: object = False,
    to_value: Callable[[float], object] = lambda _: True,
    limits: tuple[float, float] | None = None,
) -> FaultType:
    """Make a fault that sets an attribute of the receiver; its end resets it."""
    return FaultType(
        description,
        *attribute_fault(_gnss_receiver, name, reset_value, to_value),
        limits,
        needs_dialect=True,
    )


def _start_meaconing(receiver: GnssReceiver, km: float, now: int) -> None:
    receiver.inject("position_error_m", (0.0, 1000.0 * km))
    receiver.step_clock(-round(abs(km) * _NS_PER_KM), now)


def _stop_meaconing(receiver: GnssReceiver, now: int) -> None:
    receiver.inject("position_error_m", (0.0, 0.0))
    receiver.clear_clock_error(now)


def _restore_antenna(receiver: GnssReceiver, now: int) -> None:
    receiver.inject("antenna", "ok")
    receiver.restart(HOT, now)


def _cold_start(receiver: GnssReceiver, value: float, now: int) -> None:
    receiver.inject("leap_error_s", int(value))
    receiver.restart(COLD, now)


def _start_bursts(testbed: Testbed, value: float) -> None:
    """Start the bursts of a transmitter; each costs `value` dB."""
    receiver = _gnss_receiver(testbed)
    receiver.start_bursts(value)

    def switch(on: bool) -> None:
        if not receiver.burst_db:
            return
        receiver.set_transmitting(on)
        after = _TX_ON_S if on else _TX_PERIOD_S - _TX_ON_S
        testbed.world.schedule(testbed.world.now + after * _SECOND, switch, not on)

    switch(True)


def _stop_bursts(testbed: Testbed) -> None:
    _gnss_receiver(testbed).stop_bursts()


def _change_rate(receiver: GnssReceiver, value: float, now: int) -> None:
    receiver.change_period(int(_SECOND / value), now)


RECEIVER_EVENTS: dict[str, FaultType] = {
    "receiver_late": FaultType(
        "the sentences of the receiver come VALUE ms later than before",
        *attribute_fault(
            attrgetter("receiver"), "extra_latency_us", 0, lambda ms: int(ms) * _MILLISECOND
        ),
        limits=(0, 2000),
    ),
    "receiver_corrupt": FaultType(
        "one bit flips in VALUE bytes of every epoch",
        *attribute_fault(attrgetter("receiver"), "corrupted_bits", 0, int),
        limits=(1, 1000),
    ),
    "receiver_jamming": _receiver_fault(
        "jamming: all signals lose VALUE dB each second, up to 80 dB",
        lambda receiver, value, now: receiver.jam(0.0, value, now),
        lambda receiver, now: receiver.jam(0.0, 0.0, now),
        limits=(0.001, 80),
    ),
    "receiver_jump": _receiver_attribute(
        "a spoofer moves the position by VALUE km to the north",
        "position_error_m",
        (0.0, 0.0),
        lambda km: (1000.0 * km, 0.0),
        limits=(-5000, 5000),
    ),
    "receiver_creep": _receiver_attribute(
        "a spoofer moves the position by VALUE m to the east",
        "position_error_m",
        (0.0, 0.0),
        lambda m: (0.0, m),
        limits=(-100_000, 100_000),
    ),
    "receiver_meaconing": _receiver_fault(
        "meaconing: the receiver reports the position of a repeater VALUE km away, and late time",
        _start_meaconing,
        _stop_meaconing,
        limits=(-500, 500),
    ),
    "receiver_time_step": _receiver_attribute(
        "the time of the receiver is wrong by VALUE s; 4: BDT, 18: GPS time",
        "time_offset_us",
        0,
        lambda s: round(s * _SECOND),
        limits=(-700_000_000, 700_000_000),
    ),
    "receiver_week_rollover": _receiver_attribute(
        "the date of the receiver goes back by 1024 weeks",
        "time_offset_us",
        0,
        lambda _: -_ROLLOVER_WEEKS * WEEK_S * _SECOND,
    ),
    "receiver_time_drag": _receiver_fault(
        "a spoofer shifts time and pulses by VALUE ns each second",
        lambda receiver, value, now: receiver.set_clock_drift(int(value), now),
        lambda receiver, now: receiver.clear_clock_error(now),
        limits=(-1_000_000, 1_000_000),
    ),
    "receiver_equal_power": _receiver_attribute(
        "all signals have the C/N0 VALUE dBHz, as from a spoofer",
        "uniform_cn0",
        None,
        lambda dbhz: dbhz,
        limits=(20, 60),
    ),
    "receiver_antenna_open": _receiver_fault(
        "the antenna cable is cut",
        lambda receiver, _, __: receiver.inject("antenna", "open"),
        _restore_antenna,
    ),
    "receiver_antenna_short": _receiver_fault(
        "the antenna cable has a short circuit",
        lambda receiver, _, __: receiver.inject("antenna", "short"),
        _restore_antenna,
    ),
    "receiver_leap_second": _receiver_fault(
        "a leap second is inserted before the next midnight",
        lambda receiver, _, now: receiver.insert_leap_second(now),
    ),
    "receiver_cold_start": _receiver_fault(
        "cold start: UTC of the receiver is wrong by VALUE s until it has the leap seconds",
        _cold_start,
        limits=(-20, 20),
    ),
    "receiver_rate": _receiver_fault(
        "the receiver measures VALUE times each second, up to the capacity of its line",
        _change_rate,
        lambda receiver, now: receiver.change_period(_SECOND, now),
        limits=(0.1, 20),
    ),
    "receiver_heat": _receiver_attribute(
        "receiver and antenna have the temperature VALUE °C",
        "temperature_c",
        25.0,
        lambda c: c,
        limits=(-40, 105),
    ),
    "receiver_desense": FaultType(
        "a transmitter near the antenna costs VALUE dB, 4 s in every 20 s",
        _start_bursts,
        _stop_bursts,
        limits=(0, 40),
        needs_dialect=True,
    ),
    "receiver_deaf": _receiver_attribute(
        "the receiver acknowledges commands without an effect",
        "ignores_commands",
    ),
}
