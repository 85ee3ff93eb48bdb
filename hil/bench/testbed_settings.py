# SPDX-License-Identifier: Apache-2.0
"""The settings of a testbed at the start of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TestbedSettings:
    """The row with which a scenario starts."""

    it_kw: float = 50.0
    fws_c: float = 24.0
    pumps: int = 2
    setpoint_c: float = 32.0
    setpoint_kpa: float = 80.0
    receiver_latency_ms: float = 60.0
    receiver_dialect: str = ""
    """Vendor dialect of the receiver (`hil.devices.gnss.dialects`); "": the basic receiver."""
    receiver_baud: int = 0
    """Baud rate of the receiver's line; 0: the default of its dialect."""
    receiver_pps: bool = False
    """True: the agent gets the pulses of the receiver. Needs a dialect; in real time, CPython."""
    receivers: int = 1
    """Number of receivers. The second and third one are those of the section `receivers`."""
    ppm_per_c: float = 1.0
    """Temperature coefficient of the oscillator in the agent's configuration, ppm/K: 1 for a
    crystal, 0.05 for a TCXO."""
    start_utc: str = ""
    """UTC at the start of a virtual run, such as 2026-12-31T23:50:00Z; "": the default start."""
    drift_ppm: float = 2.0
    broker_latency_ms: float = 20.0
    meters: int = 0
    humidity_sensors: int = 0
    room_c: float = 27.0
    room_humidity_pct: float = 50.0
    pipes: float = 1.0
    """Volume of the pipes as a multiple of the default; it sets the dead time of the loop."""
    valve_size: float = 1.0
    """Facility water flow with an open valve as a multiple of the default. The configuration of the
    unit does not know it."""
    exchanger_model: int = 1
    """0: the section `cooling` has no model of the exchanger, so the supply loop is a PI loop."""
    proof_store: int = 0
    """1: the section `cooling` has a store for its proof records."""
    outdoor_sensors: int = 0
    """1: the sensor `outdoor` measures the outdoor air. The optimiser of the section `cooling`
    needs it."""
    outdoor_c: float = 20.0
    fans: int = 0
    """Number of fans of the row's dry cooler, each with a drive on the bus; 0: the facility water
    has the temperature `fws_c`."""
    size: int = 1
    """Size of the row as a multiple of 100 kW. `it_kw` is the power for size 1."""
    schedule: str = ""
    """Scheduled actions of the section `throttle`: "SECOND ACTION VALUE; …", s from the start."""
    limits_store: int = 0
    """1: the section `throttle` has a store for its schedule and its limits."""
    stagger_ms: int = 0
    """Delay of a scheduled action from one slot to the next, ms."""
    slot: int = 0
    """Slot of this row among 64 slots that act in sequence."""
    parts: str = ""
    """Names of optional sections of the unit's configuration (`hil.bench.optional_sections`),
    separated by commas."""
    modem: str = "sbd"
    """Kind of the satellite modem if `parts` names one (`hil.bench.testbed_satcom`)."""
    sky: str = "always"
    """Satellites that the modem receives (`hil.devices.satcom.constellation`): always, polar66 or
    sso12."""
    mask_deg: float = 40.0
    modem_success_pct: float = 100.0
    """Success rate of sessions, %, at any signal; 100: the signal decides."""
    modem_day_bytes: int = 5_000
    modem_live_s: int = 900
    modem_acks: bool = False
    """True: the ground acknowledges each datagram with a key that it shares with the unit."""
    modem_power: str = "windows"
    controllers: int = 1
    """2: two redundant controllers on the line of the row (`hil.run.several.pair_run`)."""
    pair_link: bool = False
    """True: both controllers have a link and a store each. Needs `controllers` = 2."""
    pair_uplink: bool = False
    """True: both controllers have a receiver, and a connection to the broker. Needs `controllers` =
    2."""
    units: int = 1
    """2 to 16: a group of CDUs on one facility loop (`hil.run.several.group_run`). `it_kw` is the
    heat of the group for each unit. With `start_utc` each unit has a receiver."""
    shared_header: bool = False
    """True: the units of the group pump into one header, whose pressure the lead controls."""
    rotate_h: int = 168
    """Time between two changes of the lead of the group, h."""


LIMITS: dict[str, tuple[float, float]] = {
    "it_kw": (0, 200),
    "fws_c": (5, 45),
    "pumps": (1, 2),
    "setpoint_c": (15, 45),
    "setpoint_kpa": (5, 400),
    "receiver_latency_ms": (0, 900),
    "receiver_baud": (0, 921_600),
    "receivers": (1, 3),
    "ppm_per_c": (0.001, 10),
    "drift_ppm": (-500, 500),
    "broker_latency_ms": (0, 60_000),
    "meters": (0, 2),
    "humidity_sensors": (0, 3),
    "room_c": (5, 45),
    "room_humidity_pct": (5, 100),
    "mask_deg": (0, 85),
    "modem_success_pct": (0, 100),
    "modem_day_bytes": (0, 1_000_000_000),
    "modem_live_s": (0, 86_400),
    "pipes": (0.5, 3),
    "valve_size": (0.3, 4),
    "exchanger_model": (0, 1),
    "proof_store": (0, 1),
    "limits_store": (0, 1),
    "outdoor_sensors": (0, 1),
    "outdoor_c": (-20, 50),
    "fans": (0, 3),
    "size": (1, 12),
    "slot": (0, 63),
    "stagger_ms": (0, 10_000),
    "controllers": (1, 2),
    "units": (1, 16),
    "rotate_h": (1, 8760),
}
"""Lowest and highest value of each setting, by the agent's configuration and the plant."""


def several_setting(settings: TestbedSettings) -> str:
    """Return the setting that makes a run one of several controllers, with its value, or ""."""
    if settings.controllers > 1:
        return f"controllers = {settings.controllers}"
    return f"units = {settings.units}" if settings.units > 1 else ""
