# SPDX-License-Identifier: Apache-2.0
"""A changed configuration for a running agent, checked without the schema.

Does not check a change that needs a restart, if there is no memory for the whole check; the next
start checks it; see `agent.config.compiler`.

A board has no memory for the schema, the validator and the profile compiler beside a running agent,
and no time for them between two ticks. So this module checks only the live keys of
`agent.core.tunable`: against their ranges, against each other and against the profiles of the
actuators. The result is the same as that of `agent.config.load`.
"""

from agent.core.config_records import round_to_thousandth
from agent.core.errors import ConfigError
from agent.core.schema.outputs import check_outputs
from agent.core.tunable import without_effect
from agent.remote.message.canonical import decimal_text, to_json
from agent.remote.message.parameters import MILLI_TO_NANO, find_tunable, to_nano
from agent.remote.message.reject import Rejection
from protocols.cbor import Decimal
from protocols.rounding import number_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.config_records import Config, LoopConfig
    from agent.core.tunable import Tunable
    from agent.remote.message.patch import Patch
    from agent.remote.storage.boot_state import BootState


def check_change(
    message: "Patch", raw: "dict[str, Any]", boot: "BootState", running: "Config"
) -> "Config":
    """Return `running` with the changes of `message`, if it is live. Raises `Rejection`.

    `raw`: the changed configuration; it is checked too, if there is memory for the whole check.
    """
    try:
        if message.applies_live():
            running = with_changes(running, message.changes)
        if boot.has_full_checker and boot.check is not None:
            boot.check(raw)
        return running
    except ConfigError as error:
        text = str(error).split("\n")[0]
        reason = "unknown_key" if "unknown key" in text else "out_of_range"
        raise Rejection(reason, text)


def with_changes(config: "Config", changes: "list[tuple[Any, Any]]") -> "Config":
    """Return a copy of `config` with the changes. Raises `ConfigError`."""
    changed: Config = _copy(config)
    changed.supply, changed.pressure = _copy(config.supply), _copy(config.pressure)
    for key, value in changes:
        _apply_change(changed, find_tunable(key), value)
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


def _apply_change(config: "Config", tunable: "Tunable | None", value: "Any") -> None:
    if tunable is None or not tunable.live:
        return
    if type(value) is not int and not isinstance(value, Decimal):
        raise ConfigError("%s: a number is needed" % tunable.path)
    for section, settings, _ in config.components:
        error = without_effect(tunable.path, settings) if section == "cooling" else ""
        if error:
            raise ConfigError(error)
    if not tunable.low * MILLI_TO_NANO <= to_nano(value) <= tunable.high * MILLI_TO_NANO:
        low, high = number_text(tunable.low / 1000), number_text(tunable.high / 1000)
        limits = tunable.path, decimal_text(value), low, high
        raise ConfigError("%s: %s is outside %s to %s" % limits)
    owner: Any = getattr(config, tunable.loop) if tunable.loop else config
    setattr(owner, tunable.attribute, round_to_thousandth(to_json(value)))
    if tunable.attribute == "setpoint":  # the next start has it in its configuration
        owner.configured = owner.setpoint


def _check(config: "Config", loop: "LoopConfig", role: str, path: str, errors: "list[str]") -> None:
    if not loop.min_pct < loop.max_pct:
        shown = number_text(loop.min_pct)
        errors.append("%s.min_pct: %s is not below max_pct" % (path, shown))
    outputs = {"min_pct": loop.min_pct, "max_pct": loop.max_pct, "safe_pct": loop.safe_pct}
    for device in config.devices:
        if device.name in loop.actuators:
            check_outputs(device.profile, role, outputs, path, errors)
