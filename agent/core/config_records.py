# SPDX-License-Identifier: Apache-2.0
"""The compiled configuration: records from which the packages of the agent are built.

Does not read files: a runtime passes the parsed JSON and the profiles. Does not check values; see
`agent.config.compiler`, which MicroPython unloads after loading. Times become integer microseconds.
Other numbers keep their unit. They are rounded to a thousandth through an integer, because the two
interpreters parse decimal fractions differently.
"""

from protocols.rounding import round_decimal
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from drivers.device.profile import DeviceProfile
    from drivers.modbus.plan.poll_plan import PollPlan
    from drivers.ports.address import Address

    class ParsedNames(Protocol):
        """Objects that were found by name or parsed. `devices`: records `DeviceConfig`.

        `status_store`: the store of the status file (key `state`). `components`: section, its
        content, its port. `component_ports`: section, name, address.
        """

        receiver: "Address | None"
        broker: "Address | None"
        status_store: "Address | None"
        buses: "list[tuple[str, Address]]"
        devices: "list[Any]"
        components: "list[tuple[str, dict[str, Any], Address | None]]"
        component_ports: "list[tuple[str, str, Address]]"


def to_thousandths(value: "float | int") -> int:
    """Return `value` in thousandths, rounded to the nearest integer; equal on both interpreters."""
    return round_decimal(value * 1000)


def round_to_thousandth(value: "float | int") -> float:
    """Round to a thousandth through an integer. So both interpreters have the same float."""
    return to_thousandths(value) / 1000


class DeviceConfig:
    """One device: name, bus name, Modbus unit address, compiled profile.

    `poll_plans`: the plans of its fast and slow polls, if the check of the cycle time has already
    made them. The device session uses them.
    """

    def __init__(self, name: str, bus: str, unit: int, profile: "DeviceProfile") -> None:
        self.name = name
        self.bus = bus
        self.unit = unit
        self.profile = profile
        self.poll_plans: tuple[PollPlan, PollPlan] | None = None


class LoopConfig:
    """Set-point, sensor, actuators and tuning of one loop. Set-point in °C or kPa; outputs in
    percent.

    `is_driven`: the agent controls the actuators. Otherwise `actuators` is the CDU that gets the
    set-point and controls itself, or empty: then the agent only monitors. `sensor` is empty if the
    unit does not measure the value. `key_suffix`: the end of the key of the set-point, such as
    "c" or "kpa". `configured`: the set-point with live changes, without requests of components.
    """

    def __init__(self, raw: "dict[str, Any]", key_suffix: str, actuators: "list[str]") -> None:
        self.setpoint = self.configured = round_to_thousandth(raw.get("setpoint_" + key_suffix, 0))
        self.sensor: str = raw.get("sensor", "")
        self.is_driven = actuators != []
        self.actuators = [raw["cdu"]] if "cdu" in raw else actuators
        self.gain = round_to_thousandth(
            raw["gain_pct_per_" + ("k" if key_suffix == "c" else key_suffix)]
        )
        self.integral_s = round_to_thousandth(raw["integral_s"])
        self.min_pct = round_to_thousandth(raw["min_pct"])
        self.max_pct = round_to_thousandth(raw["max_pct"])
        self.safe_pct = round_to_thousandth(raw["safe_pct"])
        self.rate_pct_per_s = round_to_thousandth(raw["rate_pct_per_s"])


def _valves(supply: "dict[str, Any]") -> "list[str]":
    return [supply["valve"]] if "valve" in supply else []


def _position_e7(receiver: "dict[str, Any]") -> "tuple[int, int] | None":
    """Return latitude and longitude of the antenna in 1e-7 degrees; None unless both are
    configured.
    """
    latitude, longitude = receiver.get("latitude"), receiver.get("longitude")
    if latitude is None or longitude is None:
        return None
    return int(latitude * 10_000_000), int(longitude * 10_000_000)


def _clock_errors(raw: "dict[str, Any]") -> "tuple[int | None, int | None, int, int]":
    """Return the fields of `agent.clock.estimate.error_budget.StatedErrors`, in its order.

    `host_slew_ppb`: largest rate at which chrony or NTP slews the monotonic clock of the
    controller. The key is beside those of the receiver, because it is an error of the same sum.
    """
    receiver, pulses = raw["receiver"], raw.get("pps", {})
    latency_us = None
    if receiver.get("latency_ms", 0):
        latency_us = to_thousandths(receiver.get("latency_error_ms", 10))
    host_slew_ppb = to_thousandths(receiver.get("host_slew_ppm", 0))
    return latency_us, pulses.get("error_us"), host_slew_ppb, pulses.get("cable_ns", 0)


class Config:
    """All settings of the agent. See `agent.config.schema` for meaning, units and ranges.

    `unit`: the name of the controller. `clock_errors`: see `_clock_errors`. `status_store`,
    `components`, `component_ports`: see `ParsedNames`. `message_expiry_s`: how long the broker
    keeps telemetry for a relay.
    """

    def __init__(self, raw: "dict[str, Any]", parsed: "ParsedNames") -> None:
        control, telemetry, limits = raw["control"], raw["telemetry"], raw["limits"]
        self.site: str = raw["site"]
        self.unit: str = raw["unit"]
        self.receiver = parsed.receiver
        self.receiver_latency_us = to_thousandths(raw["receiver"].get("latency_ms", 0))
        self.clock_errors = _clock_errors(raw)
        self.drift_ppb = to_thousandths(raw["receiver"].get("drift_ppm", 50))
        self.tempco_ppb_per_c = to_thousandths(raw["receiver"].get("ppm_per_c", 1))
        self.position_e7 = _position_e7(raw["receiver"])
        self.position_radius_m: int = raw["receiver"].get("radius_m", 100)
        self.buses = parsed.buses
        self.bus_timeout_us: int = raw["bus_timeout_ms"] * MILLISECOND
        self.broker = parsed.broker
        self.keepalive_s: int = raw["broker"].get("keepalive_s", 30)
        self.mqtt_version: str = raw["broker"].get("version", "3.1.1")
        self.message_expiry_s: int = raw["broker"].get("expiry_s", 0)
        self.username: str | None = raw["broker"].get("username")
        self.password: str | None = raw["broker"].get("password")
        self.status_store = parsed.status_store
        self.devices: list[DeviceConfig] = parsed.devices
        self.components = parsed.components
        self.component_ports = parsed.component_ports
        self.tick_us: int = control["tick_ms"] * MILLISECOND
        self.tick_offset_us: int = control["slot_ms"] * MILLISECOND
        self.ticks_per_cycle: int = control["cycle_ms"] // control["tick_ms"]
        self.supply = LoopConfig(control["supply"], "c", _valves(control["supply"]))
        self.pressure = LoopConfig(control["dp"], "kpa", control["dp"].get("pumps", []))
        self.supply_max_c = round_to_thousandth(limits["supply_max_c"])
        self.stale_us = to_thousandths(limits["stale_s"]) * MILLISECOND
        self.ticks_per_row: int = telemetry["period_ms"] // control["tick_ms"]
        self.telemetry_queue_rows: int = telemetry["queue"]
