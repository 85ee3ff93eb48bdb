# SPDX-License-Identifier: Apache-2.0
"""Measures of remote management, from the status of a unit with the section `remote`."""

from hil.bench.testbed import Testbed
from hil.measure.base import Measure, Status


def _remote_value(name: str) -> Measure:
    def read(_: Testbed, status: Status, __: str) -> float | None:
        remote = status.get("remote")
        return None if remote is None else float(remote[name])

    return Measure("", f"remote management: {name}", read)


def _trial_active(_: Testbed, status: Status, __: str) -> float | None:
    remote = status.get("remote")
    return None if remote is None else float(remote["trial"] is not None)


CONFIG_MEASURES: dict[str, Measure] = {
    "config_version": _remote_value("version"),
    "config_refused": _remote_value("refused"),
    "config_on_trial": Measure("", "1 while a configuration is on trial", _trial_active),
    "setpoint_c": Measure(
        "Cel", "set-point in use", lambda _, s, __: s["supply"]["setpoint_milli_c"] / 1000
    ),
}
"""All measures of this module."""
