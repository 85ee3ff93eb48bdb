# SPDX-License-Identifier: Apache-2.0
"""Limits of one unit: sizes, rates, numbers, depth of a note, scales of a schema.

Does not store or discard; `ingest` and `prepare` do. A unit over its rate is throttled alone: its
messages are discarded without a receipt, so it sends them again later.
"""

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.core.schema.rules import NAME_PATTERN
from protocols.errors import DecodeError
from protocols.telemetry import schema
from protocols.telemetry.message import MERGED_OFFSET
from protocols.telemetry.schema import Schema

MAX_NUMBER = MERGED_OFFSET
"""Limit of a record number. A unit with a record a millisecond needs 139 years for it."""
_MAX_SCALE = 1 << 53
_MAX_SCHEMA_BYTES = 65536
_MAX_NAME_CHARS = 120
_BURST_S = 60
_CPU_BURST_S = 20
_MOST_AHEAD_S = 120
"""Longest time for which a unit waits, whatever one record has needed."""
_MAX_UNITS = 100_000
_UNIT_NAME = re.compile(f"{NAME_PATTERN[1:-1]}/{NAME_PATTERN[1:-1]}")


@dataclass(frozen=True, slots=True)
class UnitLimits:
    """Limits of one unit.

    `message_bytes`: of a message. `values`: rows times columns of a block. `note_bytes`,
    `note_depth`: of an alarm or event. `bytes_per_s`, `messages_per_s`: of the reception, on
    average of a minute. `quarantine_bytes`: in the quarantine. `records`: of a message. `numbers`:
    that the records of a message count as. `cpu_share`: CPU time of its messages and records, in s
    a second, on average of 20 s; see `CpuBudget`.
    """

    message_bytes: int = 1 << 18
    values: int = 1 << 18
    note_bytes: int = 65536
    note_depth: int = 32
    bytes_per_s: float = 100_000
    messages_per_s: float = 200
    quarantine_bytes: int = 64 << 20
    records: int = 4096
    numbers: int = 16384
    cpu_share: float = 0.02


def is_unit_name(unit: str) -> bool:
    """Return whether SITE/UNIT can be that of a unit; others would be file names and keys."""
    return _UNIT_NAME.fullmatch(unit) is not None


def count_by_unit(counts: dict[str, int], unit: str) -> None:
    """Count for a unit; names without an end fill no memory."""
    if unit not in counts and len(counts) >= _MAX_UNITS:
        del counts[next(iter(counts))]
    counts[unit] = counts.get(unit, 0) + 1


class NewNameCounter:
    """Counts the new names of each unit, such as codes of alarms, in windows of `span_ms`."""

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._windows: dict[str, tuple[int, int]] = {}

    def count(self, unit: str, now_ms: int) -> int:
        """Return how many names of the present window were added."""
        return self._window(unit, now_ms)[1]

    def add(self, unit: str, now_ms: int) -> None:
        """Count a new name."""
        since, count = self._window(unit, now_ms)
        self._windows[unit] = (since, count + 1)

    def _window(self, unit: str, now_ms: int) -> tuple[int, int]:
        since, count = self._windows.get(unit, (now_ms, 0))
        return (since, count) if 0 <= now_ms - since < self._span_ms else (now_ms, 0)


class RateLimiter:
    """Token buckets of the units; `clock`: monotonic time in s."""

    def __init__(self, limits: UnitLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, tuple[float, float, float]] = {}

    def admit(self, unit: str, size: int) -> bool:
        """Return whether a message of `size` bytes is within the rate of the unit."""
        now, limits = self._clock(), self._limits
        most_bytes = limits.bytes_per_s * _BURST_S
        most_messages = limits.messages_per_s * _BURST_S
        at, data, messages = self._buckets.get(unit, (now, most_bytes, most_messages))
        data = min(most_bytes, data + (now - at) * limits.bytes_per_s)
        messages = min(most_messages, messages + (now - at) * limits.messages_per_s)
        is_admitted = data >= size and messages >= 1
        if is_admitted:
            data, messages = data - size, messages - 1
        if len(self._buckets) >= _MAX_UNITS:
            self._buckets.clear()
        self._buckets[unit] = (now, data, messages)
        return is_admitted


class CpuBudget:
    """CPU time of the units; `clock`: monotonic time in s.

    Each unit has `cpu_share` of a core and can use that of 20 s in one burst. A unit over its
    budget waits alone: its records are held and released at this rate (`defer`). From twice the
    burst on, its messages are discarded (`is_exhausted`).
    """

    def __init__(self, limits: UnitLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = limits.cpu_share
        self._clock = clock
        self._paid_at: dict[str, float] = {}
        self._free_at: dict[str, float] = {}

    def charge(self, unit: str, cpu_s: float) -> None:
        """A unit has used this CPU time, s."""
        now = self._clock()
        if len(self._paid_at) >= _MAX_UNITS:
            over_at = now + _CPU_BURST_S
            self._paid_at = {name: at for name, at in self._paid_at.items() if at > over_at}
            self._free_at = {name: at for name, at in self._free_at.items() if at > over_at}
            if len(self._paid_at) > _MAX_UNITS // 2:  # names without an end: none is that of a unit
                self._paid_at.clear()
                self._free_at.clear()
        paid_at = max(self._paid_at.get(unit, now), now) + cpu_s / self._share
        self._paid_at[unit] = min(paid_at, now + _MOST_AHEAD_S)

    def is_over(self, unit: str) -> bool:
        """Return whether a unit has used its burst."""
        return self._ahead_s(unit) > _CPU_BURST_S

    def is_exhausted(self, unit: str) -> bool:
        """Return whether a unit has used twice its burst."""
        return self._ahead_s(unit) > 2 * _CPU_BURST_S

    def _ahead_s(self, unit: str) -> float:
        return self._paid_at.get(unit, 0.0) - self._clock()

    def defer(self, unit: str, cpu_s: float) -> float:
        """Return in how many s a record of this CPU time is in turn, after those before it."""
        now = self._clock()
        start = max(self._free_at.get(unit, now), now + self._ahead_s(unit) - _CPU_BURST_S)
        self._free_at[unit] = start + cpu_s / self._share
        return self._free_at[unit] - now


def parse_note(payload: bytes, limits: UnitLimits) -> dict[str, Any]:
    """Parse an alarm or an event. Raises DecodeError beyond a limit."""
    if len(payload) > limits.note_bytes:
        raise DecodeError(f"a note of {len(payload)} bytes")
    depth = deepest = 0
    for byte in payload:  # brackets in texts count too: a bound needs no exact figure
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > limits.note_depth:
        raise DecodeError(f"a note with {deepest} levels")
    try:
        content = json.loads(payload, parse_constant=_reject_constant, parse_float=_parse_float)
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
        raise DecodeError(f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DecodeError("a note that is no object")
    return content


def _reject_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is out of range")
    return value


def parse_schema(text: bytes) -> Schema:
    """Parse a schema whose scales a float can hold. Raises DecodeError."""
    if len(text) > _MAX_SCHEMA_BYTES:
        raise DecodeError(f"a schema of {len(text)} bytes")
    parsed = schema.parse_schema(text)
    names = parsed.column_names()
    if len(set(names)) != len(names):
        raise DecodeError("a schema with a name twice")
    for name, unit, numerator, denominator in parsed.entries:
        if not (name + unit).isprintable() or len(name) > _MAX_NAME_CHARS or len(unit) > 32:
            raise DecodeError(f"the name {name[:40]!r} of a column")
        if not -_MAX_SCALE < numerator < _MAX_SCALE or denominator >= _MAX_SCALE:
            raise DecodeError(f"the scale of {name[:40]} is out of range")
    if parsed.text != text:
        raise DecodeError("a schema that is not in its canonical form")
    return parsed
