# SPDX-License-Identifier: Apache-2.0
"""What the live values and the write test have shown: problems, and how many gauges were read.

Does not read devices; see `hil.tools.commission.steps`. The functions get the results of the steps
as they are in the journal.
"""

from collections.abc import Callable
from typing import Any

from hil.tools.commission.inputs.row_roles import DISPLAYED, GAUGED
from hil.tools.commission.outputs.write_test import DONE, FAILED, LEFT, NOT_TESTED

_MEASURED = {
    "supply": (("SupplyTemperatureCelsius",),),
    "dp": (("DeltaPressurekPa",), ("SupplyPressurekPa", "ReturnPressurekPa")),
}
"""Loop: the points of its sensor; one of these groups must be good."""
_LEAST_ZEROS = 3
_NONE = (0.0, "none")
_ANOTHER = "is another"
_ZERO_AT_REST = ("kPa", "L/min")
"""Units of values that are 0 while the pumps stand."""
_MIN_RANGE_FRACTION = 0.1
"""Part of its range that an output must have for its display to prove its scale."""
ALIKE = "alike"
"""Key of a gauge: the other registers that agree with it (`inputs.look_alikes`)."""
EARLIER = "earlier"
"""Key of the values: the points whose gauges were compared before, and not read again."""
SHOWN = "shown"
"""Key of a write test: what the display has shown at the tested value."""


def value_problems(values: dict[str, Any]) -> list[str]:
    """Return why the live values cannot be accepted; each line names a device."""
    problems = []
    for device in values["devices"]:
        name = device["name"]
        problems += [f"{name}: {error}" for error in device["errors"]]
        if device["identity"].startswith(_ANOTHER):
            problems.append(f"{name}: {device['identity']}")
        found = [point for sample in device["samples"] for point in sample.items()]
        if found and not any(quality == "good" for _, (_, quality) in found):
            problems.append(f"{name}: no value is good")
        elif _has_no_measured(found):
            problems.append(f"{name}: no measured value is good")
        problems += _all_zero(name, values)
    return problems


def _has_no_measured(found: list[tuple[str, Any]]) -> bool:
    """Return whether a device has measured values, and none of them was good in any sample.

    The value of an output is what was written: it does not confirm the table.
    """
    measured = [quality for point, (_, quality) in found if point in GAUGED]
    return bool(measured) and "good" not in measured


def _all_zero(device: str, values: dict[str, Any]) -> list[str]:
    """A CDU whose measured values are all exactly 0 shows other registers, or no sensor works."""
    own = [g for g in values["gauges"] if g["point"].startswith(f"{device}.")]
    read = [g["read"] for g in own if g["point"].rpartition(".")[2] in GAUGED]
    is_zero = len(read) >= _LEAST_ZEROS and not any(read)
    return [f"{device}: all measured values are 0"] if is_zero else []


def gauge_problems(values: dict[str, Any]) -> list[str]:
    """Return a line for each point that differs too much from its gauge."""
    return [
        f"{gauge['point']}: differs from the gauge"
        for gauge in values["gauges"]
        if isinstance(gauge["gauge"], float)
        and abs(gauge["gauge"] - gauge["read"]) > gauge["tolerance"]
    ]


def device_problems(name: str, values: dict[str, Any]) -> list[str]:
    """Return why the values of one device have failed; no output of it is written then."""
    own = {
        "devices": [device for device in values["devices"] if device["name"] == name],
        "gauges": [g for g in values["gauges"] if g["point"].partition(".")[0] == name],
    }
    return value_problems(own) + gauge_problems(own)


def describe_failed_values(name: str, values: dict[str, Any]) -> str:
    """Return why no output of a device is moved, as one line; empty if its values are good.

    A table that the gauges contradict can name any register an output. There is no permission that
    overrules this: the table or the device must be mended, and the step `values` repeated.
    """
    problems = device_problems(name, values)
    return f"the values of this device have failed: {'; '.join(problems)}" if problems else ""


def unproven_scale(name: str, high: float, values: dict[str, Any]) -> str:
    """Return why the display has not proven the scale of an output; empty if it has.

    `name`: DEVICE.POINT. `high`: the end of its range. Near 0 each scale looks the same. If another
    output shows the same, their registers can be exchanged.
    """
    gauges = [gauge["gauge"] for gauge in values["gauges"] if gauge["point"] == name]
    shown = gauges[0] if gauges else None
    if not isinstance(shown, float):
        return (
            f"the display does not prove its scale: give --gauge {name}=VALUE, as the display "
            "shows it, and repeat with `--from values`"
        )
    if abs(shown) < _MIN_RANGE_FRACTION * high:
        return (
            f"the display shows {shown:g}, which proves no scale: set the output to "
            f"{_MIN_RANGE_FRACTION * high:g} or more at the device, and repeat with `--from values`"
        )
    own = next(gauge for gauge in values["gauges"] if gauge["point"] == name)
    same = _look_alikes(own, values, DISPLAYED)
    if same:
        return (
            f"the display shows about {shown:g} for it and for {', '.join(same)}, which does not "
            "show which is which: set one of them to another value at the device, and repeat with "
            "`--from values`"
        )
    return ""


def indistinct_gauges(values: dict[str, Any]) -> dict[str, str]:
    """Return a line for each point whose gauge is old, or agrees with a wrong register, too."""
    found = {}
    for gauge in values["gauges"]:
        if not isinstance(gauge["gauge"], float):
            continue
        if {gauge["point"], _point_of(gauge)} & set(values.get(EARLIER, ())):
            found[gauge["point"]] = (
                f"{gauge['point']}: its gauge was read for an earlier comparison; read it again, "
                "and repeat with --gauge and `--from values`"
            )
            continue
        if _point_of(gauge) not in GAUGED:
            continue
        same = _look_alikes(gauge, values, GAUGED)
        if gauge["unit"] in _ZERO_AT_REST and abs(gauge["gauge"]) <= gauge["tolerance"]:
            found[gauge["point"]] = (
                f"{gauge['point']}: the gauge shows {gauge['gauge']:g}, as each register without a "
                "value does; repeat it with a pump that runs"
            )
        elif same:
            found[gauge["point"]] = (
                f"{gauge['point']}: its gauge shows about the same as that of {', '.join(same)}, "
                "so exchanged registers are not found; repeat it with another heat load or pump "
                "speed"
            )
    return found


def _point_of(gauge: dict[str, Any]) -> str:
    return str(gauge["point"]).rpartition(".")[2]


def _look_alikes(
    gauge: dict[str, Any], values: dict[str, Any], points: tuple[str, ...]
) -> list[str]:
    """Return the others of a device that show the same, in whatever unit.

    These are its other gauges of `points`, within the tolerance, and the registers that agree with
    the gauge.
    """
    device = gauge["point"].partition(".")[0]
    others = [
        other
        for other in values["gauges"]
        if other is not gauge
        and other["point"].partition(".")[0] == device
        and _point_of(other) in points
        and isinstance(other["gauge"], float)
    ]
    found = [other["point"] for other in others if _shows_the_same(gauge, other)]
    alike = [f"{device}.{name}" for name in gauge.get(ALIKE, [])]
    return [*found, *(name for name in alike if name not in found)]


def _shows_the_same(gauge: dict[str, Any], other: dict[str, Any]) -> bool:
    """Measured values of two units must both be within the tolerance of the other one."""
    tolerances = gauge.get("tolerance", 0.0), other.get("tolerance", 0.0)
    is_strict = gauge.get("unit") != other.get("unit") and _point_of(gauge) in GAUGED
    limit = min(tolerances) if is_strict else max(tolerances)
    return bool(abs(other["gauge"] - gauge["gauge"]) <= limit)


def sensor_problems(control: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """Return a line for each control loop whose sensor had no good value in a sample."""
    samples = {device["name"]: device["samples"] for device in values["devices"]}
    problems = []
    for loop, groups in _MEASURED.items():
        sensor = control.get(loop, {}).get("sensor")
        if sensor is None:
            continue
        is_good = bool(samples.get(sensor)) and any(
            all(sample.get(point, _NONE)[1] == "good" for sample in samples[sensor] for point in g)
            for g in groups
        )
        if not is_good:
            points = " or ".join(" and ".join(group) for group in groups)
            problems.append(f"{sensor}: the control sensor {points} has no good value")
    return problems


def write_problems(writes: list[dict[str, Any]]) -> list[str]:
    """Return a line for each output whose test was made and was not done."""
    return [
        f"write test of {write['point']}: {write['state']} {write['reason']}".rstrip()
        for write in writes
        if write["state"] not in (DONE, NOT_TESTED)
    ]


def control_problems(values: dict[str, Any], writes: list[dict[str, Any]]) -> list[str]:
    """Return why no configuration may control the devices: failed values or a failed write test."""
    return [*value_problems(values), *gauge_problems(values), *write_problems(writes)]


def step_failures(result_of: Callable[[str], Any], name: str) -> list[str]:
    """Return why the values, the write test or the step test of one device have failed.

    `result_of` gives the result of a step by its name; None: the step is not done.
    """

    def own(step: str) -> list[dict[str, Any]]:
        return [r for r in result_of(step) or [] if r["point"].startswith(f"{name}.")]

    values = result_of("values")
    failed = describe_failed_values(name, values) if values is not None else ""
    if failed:
        return [failed]
    tuned = [
        f"step test of {result['point']}: {result['state']} {result['reason']}".rstrip()
        for result in own("tune")
        if result["state"] in (FAILED, LEFT)
    ]
    return [*write_problems(own("write-test")), *tuned]


def count_gauges(values: dict[str, Any]) -> str:
    """Return how many of the points with a gauge were compared, such as "3 of 4 gauges read"."""
    read = sum(isinstance(gauge["gauge"], float) for gauge in values["gauges"])
    return f"{read} of {len(values['gauges'])} gauges read"


def no_gauge(values: dict[str, Any]) -> bool:
    """Return whether no point was compared with a gauge."""
    return not any(isinstance(gauge["gauge"], float) for gauge in values["gauges"])


def live_problems(
    control: dict[str, Any],
    values: dict[str, Any],
    writes: list[dict[str, Any]],
    *,
    is_asked: bool,
) -> list[str]:
    """Return why the agent must not control the devices yet.

    `is_asked`: a technician is asked for a permission, and then decides about untested outputs.
    """
    untested = [
        f"{write['point']} was not tested; add --write-test"
        for write in writes
        if write["state"] == NOT_TESTED and not is_asked
    ]
    return [
        *untested,
        *value_problems(values),
        *gauge_problems(values),
        *sensor_problems(control, values),
        *write_problems(writes),
    ]
