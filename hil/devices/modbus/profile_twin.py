# SPDX-License-Identifier: Apache-2.0
"""A device from its profile with the plant behind its roles: an emulated twin of a foreign device.

Does not use the profile reader of the agent. The registers are those of `profile_server`. Measured
points with a known name show the plant. Written points of the roles `valve`, `pump`, `fan` and
`cdu` act on the plant, and feedback points show the actuator. All other points keep their first
value. So the twin shows what the profile says. It does not show whether the real device does the
same: only a run on the device does.

A CDU that controls itself gets simple controllers here: each quarter of a second the valve or the
speed moves in proportion to the error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hil.devices.base import MILLISECOND
from hil.devices.modbus.profile_server import ProfileServer, iter_bit_entries
from hil.plant.fluid.hydraulics import PlantPump
from hil.plant.plant import Plant

Raw = dict[str, Any]

SOURCES: dict[str, Callable[[Plant], float]] = {
    "SupplyTemperatureCelsius": lambda plant: plant.supply_c,
    "ReturnTemperatureCelsius": lambda plant: plant.return_c,
    "FlowLitersPerMinute": lambda plant: plant.flow_lpm,
    "DeltaPressurekPa": lambda plant: plant.supply_kpa - plant.return_kpa,
    "SupplyPressurekPa": lambda plant: plant.supply_kpa,
    "ReturnPressurekPa": lambda plant: plant.return_kpa,
    "HeatRemovedkW": lambda plant: plant.cooling_w / 1000.0,
    "PrimaryFlowLitersPerMinute": lambda plant: plant.fws_flow_lpm,
    "PrimarySupplyTemperatureCelsius": lambda plant: plant.fws_c,
    "PrimaryReturnTemperatureCelsius": lambda plant: plant.fws_out_c,
    "FilterPressurekPa": lambda plant: plant.filter_kpa,
}
"""The value of a measured point, in the unit of its name."""

_FLOATS = {"f32": ">f", "f64": ">d"}
_SIZES = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}
_LINKED = ("exponent", "range", "field", "bcd")
_RAMP_PCT_S = 100.0
_VALVE_PCT_PER_K, _PUMP_PCT_PER_KPA = 0.15, 0.02
"""Change of the output in each quarter of a second of a CDU that controls itself."""


@dataclass
class TwinRoles:
    """The parts of the plant behind the roles of one device; None: nothing follows the writes."""

    valve: bool = False
    pump: PlantPump | None = None
    fan: PlantPump | None = None
    cdu: bool = False
    cdu_pumps: list[PlantPump] = field(default_factory=list)


class ProfileTwin(ProfileServer):
    """The twin. Raises `ValueError` if a point of a role has a format that it cannot play.

    Faults besides those of `ModbusServer`: `set_flag` raises a bit; `break_point` holds a point at
    a raw value.
    """

    def __init__(
        self,
        raw: Raw,
        unit: int,
        plant: Plant,
        roles: TwinRoles,
        turnaround_us: int = 5 * MILLISECOND,
    ) -> None:
        super().__init__(raw, unit, turnaround_us)
        self.plant = plant
        self._roles = roles
        self._points = {e["name"]: self._complete_entry(e) for e in raw.get("points", [])}
        self._bits = {e["name"]: self._complete_entry(e) for e in iter_bit_entries(raw)}
        self._shown: list[tuple[str, Callable[[], float]]] = list(self._measured())
        self._broken: dict[str, tuple[int, ...]] = {}
        self._steps = -1
        self._parts: list[ProfileTwin] = []
        self._part_versions = 0
        # After a restart the device has these values, not those of the running plant below.
        self._defaults = {a: self.registers[a] for a in self.writable if a in self.registers}
        self._connect(raw)
        for name in ("Remote", "Ready", "RemoteEnabled"):
            if name in self._bits:
                self.set_flag(name, True)
        self.refresh(0)

    def _measured(self) -> Iterator[tuple[str, Callable[[], float]]]:
        """Yield name and source of each point that shows the plant."""
        for name, fields in self._points.items():
            source = SOURCES.get(name)
            if source is not None and self._is_playable(fields) and not fields.get("write"):
                yield name, partial(source, self.plant)

    @staticmethod
    def _is_playable(fields: Raw) -> bool:
        return fields.get("type", "u16") in _SIZES and not any(key in fields for key in _LINKED)

    def _connect(self, raw: Raw) -> None:
        """Connect the roles: first values of the set-points, feedback."""
        plant, roles = self.plant, self._roles
        if raw.get("valve") and roles.valve:
            self._add_actuator(raw["valve"], lambda: plant.valve.position_pct)
            self._preset(raw["valve"]["setpoint"], plant.valve.command_pct)
        for key, pump in (("pump", roles.pump), ("fan", roles.fan)):
            if raw.get(key) and pump is not None:
                self._add_actuator(raw[key], partial(getattr, pump, "speed_pct"))
                self._preset(raw[key]["setpoint"], pump.target_pct)
                for name, value in raw[key].get("run", []) if pump.target_pct > 0 else []:
                    self._set_raw(name, int(value))
        if raw.get("cdu") and roles.cdu:
            first = {"supply": plant.supply_c, "dp": plant.supply_kpa - plant.return_kpa}
            for key, name in raw["cdu"].items():
                self._preset(name, first[key])

    def _add_actuator(self, role: Raw, position: Callable[[], float]) -> None:
        feedback = str(role.get("feedback", role["setpoint"]))
        for name in (role["setpoint"], feedback):
            if not self._is_playable(self._points[name]):
                kind = self._points[name].get("type", "u16")
                raise ValueError(f"{name}: the twin cannot play its format ({kind})")
        if feedback != role["setpoint"]:
            self._shown = [entry for entry in self._shown if entry[0] != feedback]
            self._shown.append((feedback, position))

    def add_part(self, part: ProfileTwin) -> None:
        """Let `part`, another profile of the same unit address, share the registers of this one.

        Only this twin answers requests. Faults, restarts and writes of the address act here, and
        are passed on.
        """
        pairs = (
            (self.registers, part.registers),
            (self._registers_of(4), part._registers_of(4)),
            (self.coils, part.coils),
            (self.discrete_inputs, part.discrete_inputs),
        )
        for own, other in pairs:
            for address, word in other.items():  # two profiles can name bits of one register
                own[address] = own.get(address, 0) | word
        part.registers, part.inputs = self.registers, self.inputs
        part.coils, part.discrete_inputs = self.coils, self.discrete_inputs
        self.writable.update(part.writable)
        self.limited += part.limited
        self._writable_coils |= part._writable_coils
        self._defaults.update(part._defaults)
        self._parts.append(part)
        self.version += 1

    # Values.

    def _preset(self, name: str, value: float) -> None:
        """Set a written point to a value within its limits."""
        fields = self._points[name]
        low, high = fields.get("limits", (0, 0xFFFF))
        count = min(max(self._to_raw(fields, value), low), high)
        self._set_raw(name, count)

    def _scale(self, fields: Raw) -> tuple[float, float]:
        """Return (unit of one raw count, value at 0)."""
        num, den = fields.get("scale", (1, 1))
        num_0, den_0 = fields.get("offset", (0, 1))
        return num / den / (1 << fields.get("fraction", 0)), num_0 / den_0

    def _to_raw(self, fields: Raw, value: float) -> int:
        """Return the raw count of a value in the unit of the point; of a float, its count."""
        if fields.get("type") in _FLOATS:
            step = fields.get("step", (1, 1))
            return int(round(value * step[1] / step[0]))  # noqa: RUF046 - of a value from JSON
        unit, zero = self._scale(fields)
        return int(round((value - zero) / unit))  # noqa: RUF046 - of a value from JSON

    def _set_raw(self, name: str, count: int) -> None:
        """Store a raw count in the registers of a point."""
        fields = self._points[name]
        kind = fields.get("type", "u16")
        size = _SIZES[kind]
        if kind in _FLOATS:
            step = fields.get("step", (1, 1))
            unit, zero = self._scale(fields)
            number = (count * step[0] / step[1] - zero) / unit
            bits = int.from_bytes(struct.pack(_FLOATS[kind], number), "big")
        else:
            low, high = fields.get("min"), fields.get("max")
            count = count if low is None else max(count, int(low))
            count = count if high is None else min(count, int(high))
            bits = count & (1 << 16 * size) - 1
        words = [bits >> 16 * (size - 1 - i) & 0xFFFF for i in range(size)]
        order = fields.get("order", "")
        if order and order[0] in "CDGH":
            words.reverse()
        if order and order[0] in "BDFH":
            words = [word >> 8 | (word & 0xFF) << 8 for word in words]
        self._store_words(name, words)

    def _store_words(self, name: str, words: Sequence[int]) -> None:
        function, address, _ = self.names[name]
        table = self._registers_of(function)
        for offset, word in enumerate(words):
            if table.get(address + offset) != word:
                table[address + offset] = word
                self.version += 1

    def value(self, name: str) -> float:
        """Return the value of a written point in its unit. Raises `KeyError`."""
        fields = self._points[name]
        function, address, count = self.names[name]
        table = self._registers_of(function)
        words = [table[address + i] for i in range(count)]
        order = fields.get("order", "")
        if order and order[0] in "BDFH":
            words = [word >> 8 | (word & 0xFF) << 8 for word in words]
        if order and order[0] in "CDGH":
            words.reverse()
        kind = fields.get("type", "u16")
        data = struct.pack(f">{count}H", *words)
        unit, zero = self._scale(fields)
        if kind in _FLOATS:
            number: float = struct.unpack(_FLOATS[kind], data)[0]
            return number * unit + zero
        return int.from_bytes(data, "big", signed=kind[0] == "i") * unit + zero

    def _raw_count(self, name: str) -> int:
        unit, zero = self._scale(self._points[name])
        return round((self.value(name) - zero) / unit)

    def shown_points(self) -> list[tuple[str, Callable[[], float]]]:
        """Return name and source of each point that moves with the plant."""
        return self._shown

    # Faults.

    def set_flag(self, name: str, is_on: bool) -> None:
        """Turn a bit of the device on or off, as its profile reads it."""
        fields = self._bits[name]
        function, address = fields["function"], fields["address"]
        level = is_on != bool(fields.get("invert"))
        if function in (1, 2):
            (self.coils if function == 1 else self.discrete_inputs)[address] = int(level)
        else:
            table, mask = self._registers_of(function), 1 << fields.get("bit", 0)
            word = table.get(address, 0)
            table[address] = word | mask if level else word & ~mask
        self.version += 1

    def break_point(self, name: str, words: tuple[int, ...] | None) -> None:
        """Hold a measured point at these registers; None ends the fault."""
        self._broken.pop(name, None)
        if words is not None:
            self._broken[name] = words
        self._steps = -1

    def write_lowest(self, name: str, now: int) -> None:
        """Write the lowest permitted value to a point, as another master would."""
        self._set_raw(name, int(self._points[name].get("limits", (0, 0))[0]))
        self.on_write(self.names[name][1], 1, now)

    def shown_output(self, role: str) -> float:
        """Return the value of the set-point of a role in the registers, in its unit."""
        return self.value(self._raw[role]["setpoint"])

    # Time and writes.

    def refresh(self, now: int) -> None:
        """Show the plant at time `now`."""
        for part in self._parts:
            part.refresh(now)
        versions = sum(part.version for part in self._parts)
        if versions != self._part_versions:
            self._part_versions = versions
            self.version += 1
        self.plant.advance(now)
        steps = self.plant.steps
        if steps == self._steps:
            return
        if self._roles.cdu and self._steps >= 0:
            for _ in range(min(steps - self._steps, 8)):
                self._control()
        self._steps = steps
        for name, source in self._shown:
            words = self._broken.get(name)
            if words is not None:
                self._store_words(name, words)
            else:
                self._set_raw(name, self._to_raw(self._points[name], source()))

    def _control(self) -> None:
        """Move valve and pumps towards the set-points: the CDU controls itself."""
        plant, cdu = self.plant, self._raw.get("cdu", {})
        if "supply" in cdu:
            error_k = plant.supply_c - self.value(cdu["supply"])
            position = plant.valve.command_pct + _VALVE_PCT_PER_K * error_k
            plant.valve.command(min(max(position, 0.0), 100.0))
        if "dp" in cdu:
            error_kpa = self.value(cdu["dp"]) - (plant.supply_kpa - plant.return_kpa)
            for pump in self._roles.cdu_pumps:
                speed = pump.target_pct + _PUMP_PCT_PER_KPA * error_kpa
                pump.command(min(max(speed, 20.0), 100.0), _RAMP_PCT_S)

    def on_write(self, address: int, count: int, now: int) -> None:
        """Let the written values act on the plant."""
        self.plant.advance(now)
        self._act()

    def on_restart(self, now: int) -> None:
        """Act on the values after a restart."""
        self._act()

    def _act(self) -> None:
        for part in self._parts:
            part.on_restart(0)
        raw, roles = self._raw, self._roles
        if raw.get("valve") and roles.valve:
            position = self.value(raw["valve"]["setpoint"])
            self.plant.valve.command(min(max(position, 0.0), 100.0))
        for key, pump in (("pump", roles.pump), ("fan", roles.fan)):
            if raw.get(key) and pump is not None:
                speed = self.value(raw[key]["setpoint"]) if self._is_running(raw[key]) else 0.0
                pump.command(speed, _RAMP_PCT_S)

    def _is_running(self, role: Raw) -> bool:
        return all(self._raw_count(name) == int(value) for name, value in role.get("run", []))
