"""A changed configuration for what the loops take over while they run, checked without the schema.

A board has no room for the schema, the validator and the profiles' compiler beside a running agent,
and no time between two ticks. So numbers that loops can take over
(`agent.remote.message.parameters.LIVE`) are held against a table of ranges here, and against each
other and the actuators' profiles as `agent.core.config_records` does; anything else is checked by
the start that it needs. The tests hold the table against the schema.
"""

from agent.core.config_records import check_outputs, round_to_thousandth
from agent.core.errors import ConfigError
from agent.remote.message.canonical import to_json
from agent.remote.message.parameters import number_of, path_of, to_nano
from protocols.cbor import Decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.config_records import Config, LoopConfig

RANGES = (
    (1, "supply", "setpoint", 15_000, 45_000),
    (2, "pressure", "setpoint", 5_000, 400_000),
    (3, "supply", "gain", 100, 50_000),
    (4, "supply", "integral_s", 5_000, 3_600_000),
    (5, "supply", "rate_pct_per_s", 100, 100_000),
    (6, "pressure", "gain", 1, 10_000),
    (7, "pressure", "integral_s", 1_000, 3_600_000),
    (8, "pressure", "rate_pct_per_s", 100, 100_000),
    (9, "supply", "min_pct", 0, 100_000),
    (10, "supply", "max_pct", 0, 100_000),
    (11, "supply", "safe_pct", 0, 100_000),
    (12, "pressure", "min_pct", 10_000, 100_000),
    (13, "pressure", "max_pct", 10_000, 100_000),
    (14, "pressure", "safe_pct", 10_000, 100_000),
    (15, "", "supply_max_c", 20_000, 60_000),
)
"""Number of the parameter, loop and attribute of `agent.core.config_records.Config`, least and most
(1/1000)."""

_MILLI_TO_NANO = 1_000_000


def with_changes(config: "Config", changes: "list[tuple[Any, Any]]") -> "Config":
    """Give a copy of `config` with the changes made. Raises `ConfigError`."""
    changed: Config = _copy(config)
    changed.supply, changed.pressure = _copy(config.supply), _copy(config.pressure)
    for key, value in changes:
        _apply_change(changed, number_of(path_of(key) or ""), value)
    errors: list[str] = []
    _check(changed, changed.supply, "valve", "control.supply", errors)
    _check(changed, changed.pressure, "pump", "control.dp", errors)
    if errors:
        raise ConfigError("\n".join(errors))
    return changed


def _copy(source: "Any") -> "Any":
    copy: Any = object.__new__(source.__class__)
    for name in source.__dict__:
        setattr(copy, name, getattr(source, name))
    return copy


def _apply_change(config: "Config", number: "int | None", value: "Any") -> None:
    for parameter, loop, name, low, high in RANGES:
        if parameter != number:
            continue
        path = path_of(number)
        if type(value) is not int and not isinstance(value, Decimal):
            raise ConfigError("%s: a number is needed" % path)
        if not low * _MILLI_TO_NANO <= to_nano(value) <= high * _MILLI_TO_NANO:
            limits = path, to_json(value), low / 1000, high / 1000
            raise ConfigError("%s: %s is outside %s to %s" % limits)
        setattr(
            getattr(config, loop) if loop else config, name, round_to_thousandth(to_json(value))
        )


def _check(config: "Config", loop: "LoopConfig", role: str, path: str, errors: "list[str]") -> None:
    if not loop.min_pct < loop.max_pct:
        errors.append("%s.min_pct: %s is not below max_pct" % (path, loop.min_pct))
    outputs = {"min_pct": loop.min_pct, "max_pct": loop.max_pct, "safe_pct": loop.safe_pct}
    for device in config.devices:
        if device.name in loop.actuators:
            check_outputs(device.profile, role, outputs, path, errors)
