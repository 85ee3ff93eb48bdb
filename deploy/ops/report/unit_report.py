# SPDX-License-Identifier: Apache-2.0
"""Report of a unit (topic `cfg/reported`), parsed.

Does not verify its signature; see `deploy.ops.report.enrolled`. A unit or the holder of its
certificate can send anything, so each field is checked.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from deploy.errors import OpsError
from protocols.signed_message import KINDS

_MAX_COUNTER = (1 << 40) - 1
_MAX_VERSION = (1 << 32) - 1
_HASH_BYTES = 32
_NOT_A_REPORT = "not a report of this version"


class LastChange(NamedTuple):
    """The last change that ended: its counter, its result and the reason."""

    counter: int
    result: str
    reason: str


@dataclass(frozen=True)
class UnitReport:
    """Content of the retained topic `cfg/reported` of a unit."""

    version: int
    config_hash: bytes
    """Of the confirmed configuration: the base of the next change."""
    counters: tuple[int, ...]
    trial: int | None
    phase: str | None
    last: LastChange
    last_refusal: tuple[str, str]
    """Reason and text."""
    refused_count: int
    audit: tuple[int, str] = (0, "")
    results: tuple[str, ...] = ()
    update: list[Any] | None = None
    decommissioned: bool = False
    scheduled: int | None = None
    refused_message: tuple[int, int] | None = None
    """Kind and counter of the last rejected message; None: an older unit."""
    config: str = ""
    """Hash of the published configuration, hexadecimal; only in a signed report."""
    signed: bool = False
    """The signature of the enrolled key is valid; see `deploy.ops.report.enrolled`."""

    def on_trial(self) -> int | None:
        """Return the counter of the change or of the update on trial."""
        if self.trial is not None or not self.update:
            return self.trial
        return int(self.update[1]) if self.update[4] in ("health", "confirm") else None


def parse_report(payload: bytes, signed: bool = False) -> UnitReport:
    """Parse a report. `signed`: its signature was verified. Raises `OpsError`."""
    try:
        raw = json.loads(payload)
    except (ValueError, RecursionError):
        raise OpsError(f"{_NOT_A_REPORT}: not JSON") from None
    if not isinstance(raw, dict):
        raise OpsError(f"{_NOT_A_REPORT}: not a JSON object")

    def read(name: str, parse: Callable[[Any], Any]) -> Any:
        return _read_field(raw, name, parse)

    return UnitReport(
        read("version", lambda value: _integer(value, _MAX_VERSION)),
        read("hash", _hash),
        read("counters", _counters),
        read("trial", _optional),
        read("phase", lambda value: None if value is None else str(value)),
        read("last", lambda value: LastChange(_integer(value[0]), str(value[1]), str(value[2]))),
        read("refusal", lambda value: (str(value[0]), str(value[1]))),
        read("refused", _integer),
        read("audit", lambda value: (_integer(value[0]), str(value[1]))),
        read("results", lambda value: tuple(str(result) for result in value)),
        read("update", _update),
        bool(raw.get("decommissioned")),
        _read_field({"scheduled": None, **raw}, "scheduled", _optional),
        _read_field({"refused_message": None, **raw}, "refused_message", _message_number),
        str(raw.get("config", "")) if signed else "",
        signed,
    )


def _read_field(raw: dict[str, Any], name: str, parse: Callable[[Any], Any]) -> Any:
    """Parse a field. The error names the field; it does not repeat what the unit sent."""
    if name not in raw:
        raise OpsError(f"{_NOT_A_REPORT}: {name} is missing")
    try:
        return parse(raw[name])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise OpsError(f"{_NOT_A_REPORT}: {name} is not valid") from None


def _hash(value: Any) -> bytes:
    digest = bytes.fromhex(value)
    if len(digest) != _HASH_BYTES:
        raise ValueError(value)
    return digest


def _counters(value: Any) -> tuple[int, ...]:
    counters = tuple(_integer(counter) for counter in value)
    if len(counters) != len(KINDS):
        raise ValueError(value)
    return counters


def _message_number(value: Any) -> tuple[int, int] | None:
    return None if value is None else (_integer(value[0]), _integer(value[1]))


def _integer(value: Any, largest: int = _MAX_COUNTER) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise ValueError(f"{value!r:.40} is not from 0 to {largest}")
    return value


def _optional(value: Any) -> int | None:
    return None if value is None else _integer(value)


def _update(value: Any) -> list[Any] | None:
    """Check the state of an update: see `SoftwareUpdate.status` of the agent."""
    if value is None:
        return None
    fields = list(value)
    for i in (0, 1, 2, 3):
        _integer(fields[i])
    str(fields[4])
    return fields
