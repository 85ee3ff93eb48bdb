# SPDX-License-Identifier: Apache-2.0
"""Values of `coldloop commission`, from its command line and from its questions: their checks.

Does not ask; see `hil.tools.commission.inputs.dialogue`. A value that is not valid
raises BenchError with one line.
"""

import re

from drivers.tools.lib.arguments import raw_profile
from drivers.tools.lib.modbus_client import port_address
from hil.errors import BenchError
from hil.tools.commission.inputs.register_table import parse_decimal
from hil.tools.commission.inputs.row_roles import DISPLAYED, GAUGED

_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,31}")  # as in the schema of the agent
_MAX_UNIT = 247
NO_GAUGE = "none"


def parse_gauges(texts: list[str]) -> dict[str, str]:
    """Return the texts of --gauge by point. Raises BenchError for one that is not valid."""
    gauges: dict[str, str] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals:
            raise BenchError(f"--gauge: {text!r} is not POINT=VALUE")
        if name.rpartition(".")[2] not in (*GAUGED, *DISPLAYED):
            raise BenchError(f"--gauge: {name} is none of {', '.join((*GAUGED, *DISPLAYED))}")
        if number != NO_GAUGE:
            _parse_gauge(number, "its unit")
        if name in gauges:
            raise BenchError(f"--gauge: {name} is given twice")
        if any(is_same_gauge(name, other) for other in gauges):
            point = name.rpartition(".")[2]
            raise BenchError(f"--gauge: {point} is given with and without a device; give it once")
        gauges[name] = number
    return gauges


def is_same_gauge(name: str, other: str) -> bool:
    """Return whether two names, "POINT" or "DEVICE.POINT", can be the same point of a device."""
    device, _, point = name.rpartition(".")
    other_device, _, other_point = other.rpartition(".")
    return point == other_point and (device == other_device or not (device and other_device))


def read_gauge(text: str) -> float:
    """Return the value of a gauge that `parse_gauges` or `parse_answer` has accepted."""
    return _parse_gauge(text, "its unit")


def parse_profiles(texts: list[str]) -> dict[int, str]:
    """Return the names of --profile by unit address. Raises BenchError for a wrong form."""
    found: dict[int, str] = {}
    for text in texts:
        unit, equals, name = text.partition("=")
        if not (equals and re.fullmatch("[0-9]{1,3}", unit) and 1 <= int(unit) <= _MAX_UNIT):
            raise BenchError(f"--profile: {text!r} is not UNIT=NAME, with a unit of 1 to 247")
        if int(unit) in found:
            raise BenchError(f"--profile: the unit {int(unit)} is given twice")
        found[int(unit)] = check_name("--profile", name)
    return found


def check_name(where: str, text: str) -> str:
    """Return a name of a site, unit, device or profile. Raises BenchError."""
    if not _NAME.fullmatch(text):
        raise BenchError(f"{where} {text!r} is not like acme_cdu (a-z, 0-9, _ and -)")
    return text


def check_profile_name(text: str) -> str:
    """Return the name of a known profile, `table` or `-`. Raises BenchError, DriverError."""
    if text not in ("table", "-"):
        raw_profile(check_name("profile", text))
    return text


def check_range(where: str, value: float, limits: tuple[int, int]) -> float:
    """Return a value within its limits. Raises BenchError, also for a value that is no number."""
    low, high = limits
    if not low <= value <= high:
        raise BenchError(f"{where}: {value:g} is outside {low} to {high}")
    return value


def parse_answer(text: str, unit: str) -> str:
    """Return the answer for a gauge. Raises BenchError for one that is not valid."""
    if text not in ("-", NO_GAUGE):
        _parse_gauge(text, unit)
    return text


def _parse_gauge(text: str, unit: str) -> float:
    try:
        return float(parse_decimal(text))
    except ValueError as error:
        remedy = f"write a number in {unit}, or `{NO_GAUGE}`"
        raise BenchError(f"gauge {text!r} is not a number: {error}; {remedy}") from None


def parse_number(where: str, text: str) -> float:
    """Return a number. Raises BenchError."""
    try:
        return float(text)
    except ValueError:
        raise BenchError(f"{where}: {text!r} is not a number") from None


def parse_ports(answer: str) -> list[str]:
    """Return the ports of an answer. Raises BenchError and DriverError."""
    texts = answer.split()
    if not texts:
        raise BenchError("no port is given; name a port")
    for text in texts:
        port_address(text)
    return texts
