# SPDX-License-Identifier: Apache-2.0
"""Copies of configuration records with other values; the originals stay as loaded.

Loaded only on a unit whose tuning changes while it runs: by a live change or a set-point request.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.config_records import Config, LoopConfig


def copy_record(record: "Any") -> "Any":
    """Copy a record; what its attributes refer to is shared."""
    copy: Any = object.__new__(record.__class__)
    for name in record.__dict__:
        setattr(copy, name, getattr(record, name))
    return copy


def with_setpoint(config: "LoopConfig", setpoint: float) -> "LoopConfig":
    """Return a copy with another set-point."""
    changed: LoopConfig = copy_record(config)
    changed.setpoint = setpoint
    return changed


def with_tuning(
    config: "Config", supply: "LoopConfig", pressure: "LoopConfig", supply_max_c: float
) -> "Config":
    """Return a copy with another tuning of the loops and another supply limit."""
    changed: Config = copy_record(config)
    changed.supply, changed.pressure, changed.supply_max_c = supply, pressure, supply_max_c
    return changed
