# SPDX-License-Identifier: Apache-2.0
"""The configuration that a unit publishes, and the differences of two configurations.

Does not change a unit. A unit publishes its whole configuration without secrets after each change.
The configuration is not signed itself. The signed report of an enrolled unit has its hash, so
another configuration is not accepted.
"""

import math
import sys
import time
from typing import Any, NamedTuple

from agent.remote.message import canonical
from agent.remote.message.parameters import path_of
from agent.remote.message.patch import apply_changes
from agent.remote.message.reject import Rejection
from deploy.errors import LocalError, OpsError
from deploy.ops.change_parser import Change
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.enrolled import EnrolledUnits
from deploy.ops.report.unit_report import UnitReport
from deploy.relay.terminal_text import printable
from protocols.errors import DecodeError, EncodeError

CONFIG, REPORTED = "cfg/config", "cfg/reported"
_TIMEOUT_S = 10


class Difference(NamedTuple):
    """A value that differs: key path and both values. None: the key is missing."""

    path: str
    first: Any
    second: Any


def fetch_config(session: BrokerSession, unit: str, enrolled: EnrolledUnits) -> dict[str, Any]:
    """Return the configuration of a unit. Raises `OpsError`: none, or it is not accepted."""
    session.subscribe(f"{unit}/{CONFIG}")
    session.subscribe(f"{unit}/{REPORTED}")
    is_checked = bool(enrolled.names())
    config, report, fault = b"", None, "no configuration published; check its section remote"
    end = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < end:
        for topic, payload in session.messages(0.2):
            if topic == f"{unit}/{CONFIG}":
                config = payload
            elif topic == f"{unit}/{REPORTED}" and payload and is_checked:
                try:
                    report = enrolled.read(unit, payload)
                except LocalError:
                    raise
                except OpsError as error:
                    fault = str(error)
        if config and (not is_checked or (report is not None and is_of_report(config, report))):
            try:
                return canonical.decode_config(config)
            except DecodeError as error:
                raise OpsError(f"{unit}: not a configuration: {error}") from None
        if config and report is not None:
            fault = "the published configuration is not that of its signed report"
    raise OpsError(f"{unit}: {fault}")


def is_of_report(config: bytes, report: UnitReport) -> bool:
    """Return whether an encoded configuration is that of a report. An unsigned one has no hash."""
    return not report.signed or canonical.hash_config(config).hex() == report.config


def holds_changes(config: bytes, changes: list[Change]) -> bool:
    """Return whether an encoded configuration has the values of `changes`.

    A counter alone does not name a change: the holder of another key can sign one with the same
    counter, and a unit takes the first that arrives. Secrets are not published, so not compared.
    """
    kept = [(key, value) for key, value in changes if value is not None]
    try:
        raw = canonical.decode_config(config)
        wanted = apply_changes(raw, kept)
        is_equal = canonical.encode_config(canonical.without_secrets(wanted)) == config
    except (DecodeError, EncodeError, Rejection):
        return False
    removed = [path_of(key) or "" for key, value in changes if value is None]
    return is_equal and not any(_has_path(raw, path.split(".")) for path in removed)


def _has_path(raw: Any, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(raw, dict) or key not in raw:
            return False
        raw = raw[key]
    return True


def collect_configs(
    session: BrokerSession, units: dict[str, UnitReport], seconds: float
) -> dict[str, dict[str, Any]]:
    """Return the configurations of `units` that are published; wait `seconds` for the last one.

    One with another hash than the signed report of its unit is left out, with a message.
    """
    session.subscribe(f"+/+/{CONFIG}" if len(units) > 1 else f"{next(iter(units))}/{CONFIG}")
    found: dict[str, dict[str, Any]] = {}
    other: set[str] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(found) < len(units):
        for topic, payload in session.messages(0.2):
            name = topic.removesuffix(f"/{CONFIG}")
            if name in units and name != topic:
                if not is_of_report(payload, units[name]):
                    other.add(name)
                    continue
                try:
                    found[name] = canonical.decode_config(payload)
                except DecodeError:
                    found[name] = {}
    for name in sorted(other - found.keys()):
        text = f"{name}: left out: its published configuration is not that of its signed report"
        print(printable(text), file=sys.stderr)
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
