# SPDX-License-Identifier: Apache-2.0
"""The outputs that the agent of a unit moves, and the counts that it can have written.

Does not read devices. The outputs follow from the configuration: the valve, the pumps and the fans
with the words that start and stop them, and the set-points of a CDU that controls itself. The
counts follow from the status of the agent, which has each second what it requests, over the whole
run. An output can have moved since the last status, by its rate limit or to its fail-safe value.

A later call has the trace of the writes (`hil.io.write_trace`), which says it exactly.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from hil.run.unit.unit_file import UnitFile
from hil.tools.commission.outputs.pending import Ranges

_SAMPLES = 5  # a device can show a write some seconds later
_REPEATS = 3  # the status of an agent in operation changes each second
_RATE_PCT_PER_S, _STALE_S = 10.0, 2.0
_FEW_PCT = 1.0


class MovedOutput(NamedTuple):
    """One written point. `measure`: its loop or role in the status; "": it has fixed counts.

    `number`: of the pump, from 0. `loop`: the settings of its loop in the configuration. `fixed`:
    the fixed counts, empty if they are not known.
    """

    device: str
    point: str
    measure: str
    number: int
    loop: dict[str, Any]
    fixed: tuple[int, ...] = ()


def list_outputs(unit: UnitFile) -> list[MovedOutput]:
    """Return the outputs of a unit in the order in which they return: values before words."""
    found: dict[tuple[str, str], MovedOutput] = {}
    for output in sorted(_outputs(unit), key=lambda output: not output.measure):
        if unit.compiled[output.device].has_point(output.point):
            found.setdefault((output.device, output.point), output)
    return list(found.values())


def _outputs(unit: UnitFile) -> Iterator[MovedOutput]:
    control = unit.raw["control"]
    supply, dp = control.get("supply", {}), control.get("dp", {})
    fans = unit.raw.get("cooling", {}).get("fans", {})
    if "valve" in supply:
        role = unit.compiled[supply["valve"]].valve
        yield from _role_outputs(unit, supply["valve"], ("valve", 0), supply, role)
    for i, name in enumerate(dp.get("pumps", [])):
        yield from _role_outputs(unit, name, ("pump", i), dp, unit.compiled[name].pump)
    for name in fans.get("drives", []):
        role = unit.compiled[name].fan or unit.compiled[name].pump
        yield from _role_outputs(unit, name, ("fans", 0), fans, role)
    for key, loop in (("supply", supply), ("dp", dp)):
        if "cdu" in loop:
            point = unit.compiled[loop["cdu"]].cdu[key]
            yield MovedOutput(loop["cdu"], point, key, 0, loop)


def _role_outputs(
    unit: UnitFile,
    device: str,
    measure: tuple[str, int],
    loop: dict[str, Any],
    role: dict[str, Any],
) -> Iterator[MovedOutput]:
    profile = unit.compiled[device]
    yield MovedOutput(device, role["setpoint"], *measure, loop)
    needs = [_point_of_need(profile, name) for name in _needs(profile, role["setpoint"])]
    pairs = [pair for key in ("run", "stop", "reset") for pair in role.get(key) or ()]
    for name in dict.fromkeys([name for name, _ in pairs]):
        counts = () if name in needs else tuple(count for n, count in pairs if n == name)
        yield MovedOutput(device, name, "", 0, loop, counts)
    if profile.watchdog:
        needs.append(profile.watchdog["point"])
    for name in needs:
        yield MovedOutput(device, name, "", 0, loop)


def _needs(profile: DeviceProfile, point: str) -> list[str]:
    return [name for name, _ in profile.points[profile.point_index(point)].needs]


def _point_of_need(profile: DeviceProfile, name: str) -> str:
    """Return the point with the register of a bit that another write needs."""
    if not profile.has_bit(name):
        return name
    bit = profile.bits[profile.bit_index(name)]
    where = (bit.function, bit.address)
    return next((p.name for p in profile.points if (p.function, p.address) == where), name)


class _Requests:
    """The requests for one output: the last ones, and the lowest and highest of the whole run."""

    def __init__(self) -> None:
        self.last: deque[float | None] = deque(maxlen=_SAMPLES)
        self.low, self.high = float("inf"), float("-inf")

    def add(self, value: float | None) -> None:
        self.last.append(value)
        if value is not None:
            self.low, self.high = min(self.low, value), max(self.high, value)

    def known(self) -> list[float]:
        """Return the last requests; empty if one of them is not known."""
        return [] if None in self.last else [value for value in self.last if value is not None]


class AgentRequests:
    """What the agent has requested since its start.

    A device that does not answer, or takes no write, holds a request of any time before. So the
    requests of the whole run count, and not only the last ones.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], _Requests] = {}
        self._status: dict[str, Any] | None = None
        self._repeats = 0

    def add(self, outputs: list[MovedOutput], status: dict[str, Any] | None) -> None:
        """Add the requests of a status; None: it could not be read.

        A status that no longer changes is that of an agent that cannot write it: it is not known.
        """
        self._repeats = self._repeats + 1 if status == self._status else 0
        self._status = status
        for output in outputs:
            if output.measure:
                kept = self._values.setdefault(output[:2], _Requests())
                value = None if self._repeats >= _REPEATS else _request(output, status)
                kept.add(value)

    def ranges(self, output: MovedOutput, device: ModbusDevice) -> Ranges | None:
        """Return the counts that the agent can have written; None: they are not known."""
        if not output.measure:
            return [[count, count] for count in output.fixed] or None
        requests = self._values.get(output[:2], _Requests())
        known, limits = requests.known(), [requests.low, requests.high]
        if not known:
            return None
        index = device.profile.point_index(output.point)
        if output.measure in ("supply", "dp"):
            key = "setpoint_c" if output.measure == "supply" else "setpoint_kpa"
            return [_range(device, index, [*limits, output.loop[key]], 0.0)]
        rate = float(output.loop.get("rate_pct_per_s", _RATE_PCT_PER_S))
        found = [_range(device, index, known, _STALE_S * rate + _FEW_PCT)]
        found.append(_range(device, index, limits, rate / 2.0 + _FEW_PCT))
        safe = output.loop.get("safe_pct", output.loop.get("max_pct", 100.0))
        return [*found, _range(device, index, [float(safe)], 0.0), [0, 0]]


def _range(device: ModbusDevice, index: int, values: list[float], margin: float) -> list[int]:
    low, high = min(values) - margin, max(values) + margin
    return [device.to_count(index, low) - 1, device.to_count(index, high) + 1]


def _request(output: MovedOutput, status: dict[str, Any] | None) -> float | None:
    if status is None:
        return None
    supply, dp = status["supply"], status["dp"]
    milli: int | None = None
    if output.measure == "valve":
        milli = supply["valve_asked_milli_pct"]
    elif output.measure == "pump":
        pumps = dp["pumps_asked_milli_pct"]
        milli = pumps[output.number] if output.number < len(pumps) else None
    elif output.measure == "supply":
        milli = supply["setpoint_milli_c"]
    elif output.measure == "dp":
        milli = dp["setpoint_milli_kpa"]
    else:
        held = [a for a in status.get("actuators") or () if a["name"] == output.measure]
        milli = held[0]["output_milli_pct"] if held else None
    return None if milli is None else milli / 1000.0
