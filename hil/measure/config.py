# SPDX-License-Identifier: Apache-2.0
"""Measures of remote management, from the status of a unit with the section `remote`."""

from hil.bench.testbed import Testbed
from hil.measure.base import Measure, Status, component_status


def _remote_value(name: str) -> Measure:
    def read(_: Testbed, status: Status, __: str) -> float | None:
        remote = component_status(status, "remote")
        return float(remote[name]) if remote else None

    return Measure("", f"remote management: {name}", read)


def _trial_active(_: Testbed, status: Status, __: str) -> float | None:
    remote = component_status(status, "remote")
    return float(remote["trial"] is not None) if remote else None


CONFIG_MEASURES: dict[str, Measure] = {
    "config_version": _remote_value("version"),
    "config_refused": _remote_value("refused"),
    "config_on_trial": Measure("", "1 while a configuration is on trial", _trial_active),
}
"""All measures of this module."""
