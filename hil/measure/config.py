"""Measures of changes from afar: what a unit with the part `remote` says of them."""

from hil.bench.testbed import Row
from hil.measure.base import Measure, Status


def _told(name: str) -> Measure:
    def read(_: Row, status: Status, __: str) -> float | None:
        said = status.get("remote")
        return None if said is None else float(said[name])

    return Measure("", f"changes from afar: {name}", read)


def _on_trial(_: Row, status: Status, __: str) -> float | None:
    said = status.get("remote")
    return None if said is None else float(said["trial"] is not None)


CONFIG_MEASURES: dict[str, Measure] = {
    "config_version": _told("version"),
    "config_refused": _told("refused"),
    "config_on_trial": Measure("", "1 while a configuration is on trial", _on_trial),
    "setpoint_c": Measure(
        "Cel", "set-point in use", lambda _, s, __: s["supply"]["setpoint_milli_c"] / 1000
    ),
}
"""Every word of this file."""
