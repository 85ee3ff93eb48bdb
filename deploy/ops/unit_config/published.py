# SPDX-License-Identifier: Apache-2.0
"""The configuration that a unit publishes, and the differences of two configurations.

Does not change a unit. A unit publishes its whole configuration without secrets after each change.
"""

import math
import time
from collections.abc import Collection
from typing import Any, NamedTuple

from agent.remote.message import canonical
from deploy.errors import OpsError
from deploy.ops.mqtt_session import BrokerSession
from protocols.errors import DecodeError

CONFIG = "cfg/config"
_TIMEOUT_S = 10


class Difference(NamedTuple):
    """A value that differs: key path and both values. None: the key is missing."""

    path: str
    first: Any
    second: Any


def fetch_config(session: BrokerSession, unit: str) -> dict[str, Any]:
    """Return the configuration of a unit. Raises `OpsError` if it publishes none."""
    session.subscribe(f"{unit}/{CONFIG}")
    end = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < end:
        for topic, payload in session.messages(0.2):
            if topic == f"{unit}/{CONFIG}":
                try:
                    return canonical.decode_config(payload)
                except DecodeError as error:
                    raise OpsError(f"{unit}: not a configuration: {error}") from None
    raise OpsError(
        f"{unit}: no configuration published; check the section remote of its configuration"
    )


def collect_configs(
    session: BrokerSession, units: Collection[str], seconds: float
) -> dict[str, dict[str, Any]]:
    """Return the configurations of `units` that are published; wait `seconds` for the last one."""
    session.subscribe(f"+/+/{CONFIG}" if len(units) > 1 else f"{next(iter(units))}/{CONFIG}")
    found: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(found) < len(units):
        for topic, payload in session.messages(0.2):
            name = topic.removesuffix(f"/{CONFIG}")
            if name in units and name != topic:
                try:
                    found[name] = canonical.decode_config(payload)
                except DecodeError:
                    found[name] = {}
    return {name: raw for name, raw in found.items() if raw}


def list_differences(first: Any, second: Any, path: str = "") -> list[Difference]:
    """Return the differences of two configurations, sorted by path."""
    if isinstance(first, dict) and isinstance(second, dict):
        different = []
        for key in sorted({*first, *second}):
            name = f"{path}.{key}" if path else key
            different += list_differences(first.get(key), second.get(key), name)
        return different
    return [] if _is_equal(first, second) else [Difference(path, first, second)]


def _is_equal(first: Any, second: Any) -> bool:
    """Compare JSON values: 1 and 1.0 are equal, 1 and true are not, "not a number" is itself."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_equal, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_is_equal(first[k], second[k]) for k in first)
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first):
        return math.isnan(second)
    return bool(first == second)
