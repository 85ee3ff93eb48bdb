"""The setting of a row at the start of a run, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """The row that a scenario starts with."""

    it_kw: float = 50.0
    fws_c: float = 24.0
    pumps: int = 2
    setpoint_c: float = 32.0
    setpoint_kpa: float = 80.0
    receiver_latency_ms: float = 60.0
    drift_ppm: float = 2.0
    broker_latency_ms: float = 20.0
    meters: int = 0
    humidity_sensors: int = 0
    room_c: float = 27.0
    room_humidity_pct: float = 50.0
    parts: str = ""
    """Optional sections of the unit's configuration, of `hil.extras`, with commas between."""


LIMITS: dict[str, tuple[float, float]] = {
    "it_kw": (0, 200),
    "fws_c": (5, 45),
    "pumps": (1, 2),
    "setpoint_c": (15, 45),
    "setpoint_kpa": (5, 400),
    "receiver_latency_ms": (0, 900),
    "drift_ppm": (-500, 500),
    "broker_latency_ms": (0, 60_000),
    "meters": (0, 2),
    "humidity_sensors": (0, 3),
    "room_c": (5, 45),
    "room_humidity_pct": (5, 100),
}
"""What each value may be: what the agent's configuration takes and the plant can stand."""
