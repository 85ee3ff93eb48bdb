"""The setting of a row at the start of a run, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TestbedSettings:
    """The row that a scenario starts with."""

    it_kw: float = 50.0
    fws_c: float = 24.0
    pumps: int = 2
    setpoint_c: float = 32.0
    setpoint_kpa: float = 80.0
    receiver_latency_ms: float = 60.0
    receiver_dialect: str = ""
    """A maker's dialect (`hil.devices.gnss.dialects`); "": the plain, quick receiver."""
    receiver_baud: int = 0
    """Speed of the receiver's line; 0: as its dialect is delivered."""
    receiver_pps: bool = False
    """Whether the receiver's pulses reach the agent (needs a dialect; in real time, CPython)."""
    ppm_per_c: float = 1.0
    """How much the agent is told that its oscillator changes with a degree: 1 a crystal, 0.05 a
    TCXO."""
    start_utc: str = ""
    """UTC at the start of a virtual run, such as 2026-12-31T23:50:00Z; "": as always."""
    drift_ppm: float = 2.0
    broker_latency_ms: float = 20.0
    meters: int = 0
    humidity_sensors: int = 0
    room_c: float = 27.0
    room_humidity_pct: float = 50.0
    pipes: float = 1.0
    """How many times as much coolant the pipes hold: the loop's dead time."""
    proof_store: int = 0
    """1: the part `cooling` keeps its proof records in a store."""
    outdoor_sensors: int = 0
    """1: `outdoor` measures the air outside, which the optimiser of the part `cooling` needs."""
    outdoor_c: float = 20.0
    fans: int = 0
    """Fans of a dry cooler of the row's own, each on a drive on the bus; 0: facility water comes
    with the temperature `fws_c`."""
    size: int = 1
    """How many times as large as the row of 100 kW all is; `it_kw` is meant for each."""
    schedule: str = ""
    """What the throttle does at a UTC instant: "SECOND ACTION VALUE; …", seconds from the start."""
    stagger_ms: int = 0
    """How much later each slot does what is scheduled."""
    slot: int = 0
    """This row's number among 64 that step one after the other."""
    parts: str = ""
    """Optional sections of the unit's configuration, of `hil.bench.optional_sections`, with commas
    between."""
    modem: str = "sbd"
    """Kind of the satellite modem, when `parts` has one (`hil.bench.testbed_satcom`)."""
    sky: str = "always"
    """What it hears (`hil.devices.satcom.constellation`): always, polar66 or sso12."""
    mask_deg: float = 40.0
    modem_success_pct: float = 100.0
    """Success of a session, whatever the signal; 100: by the signal."""
    modem_day_bytes: int = 5_000
    modem_live_s: int = 900
    modem_acks: bool = False
    """Whether the ground acknowledges each datagram, by a key that it shares with the unit."""
    modem_power: str = "windows"


LIMITS: dict[str, tuple[float, float]] = {
    "it_kw": (0, 200),
    "fws_c": (5, 45),
    "pumps": (1, 2),
    "setpoint_c": (15, 45),
    "setpoint_kpa": (5, 400),
    "receiver_latency_ms": (0, 900),
    "receiver_baud": (0, 921_600),
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
    "proof_store": (0, 1),
    "outdoor_sensors": (0, 1),
    "outdoor_c": (-20, 50),
    "fans": (0, 3),
    "size": (1, 12),
    "slot": (0, 63),
    "stagger_ms": (0, 10_000),
}
"""What each value may be: what the agent's configuration takes and the plant can stand."""
