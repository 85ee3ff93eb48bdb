# SPDX-License-Identifier: Apache-2.0
"""Shelved alarms: a file that says which alarms a person does not want to get, and until when.

Does not change the alarms of a unit: they stay active, and the unit acts on them. The file is JSON,
`{"SITE/UNIT": {"CODE": {"from_s": …, "until_s": …, "reason": …}}}`, times are UTC in s. A shelved
alarm returns by itself after at most `MAX_HOURS`. It also returns if the clock steps back before
`from_s`, or if the file cannot be read. An alarm of priority 1 is never shelved.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.alarms.catalogue import catalogue
from agent.core.errors import AgentError

MAX_HOURS = 8.0
FILE = "shelved.json"
"""Name of the file in the state folder of an agent."""


@dataclass(frozen=True, slots=True)
class ShelvedAlarm:
    """One shelved alarm. Times: UTC in s."""

    unit: str
    code: str
    from_s: float
    until_s: float
    reason: str


class Shelving:
    """The file at `path`. It is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._alarms: list[ShelvedAlarm] = []

    def alarms(self, now_s: float) -> list[ShelvedAlarm]:
        """Return the alarms that are shelved now."""
        self._read()
        return [
            alarm
            for alarm in self._alarms
            if alarm.from_s <= now_s < min(alarm.until_s, _latest(alarm.from_s))
        ]

    def codes(self, unit: str, now_s: float) -> set[str]:
        """Return the codes of a unit that are shelved now."""
        return {alarm.code for alarm in self.alarms(now_s) if alarm.unit == unit}

    def add(self, unit: str, code: str, hours: float, reason: str, now_s: float) -> None:
        """Shelve an alarm. Raises AgentError if that is not allowed."""
        entry = catalogue().find(code)
        if entry is None or code.isdecimal():
            raise AgentError(f"no alarm {code}; `coldloop alarms list` has all")
        if entry.priority == 1:
            raise AgentError(f"{code} has priority 1 and is never shelved")
        if not 0 < hours <= MAX_HOURS:
            raise AgentError(f"{hours:g} h: not above 0 and at most {MAX_HOURS:g}")
        if not reason.strip():
            raise AgentError("a shelved alarm needs a reason")
        shelved = ShelvedAlarm(unit, code, now_s, now_s + hours * 3600, reason)
        self._write([*self._others(unit, code, now_s), shelved])

    def remove(self, unit: str, code: str, now_s: float) -> bool:
        """End the shelving of an alarm; return whether it was there."""
        before, others = self.alarms(now_s), self._others(unit, code, now_s)
        self._write(others)
        return len(others) < len(before)

    def _others(self, unit: str, code: str, now_s: float) -> list[ShelvedAlarm]:
        return [a for a in self.alarms(now_s) if (a.unit, a.code) != (unit, code)]

    def _read(self) -> None:
        try:
            info = self._path.stat()
            stamp = (info.st_mtime_ns, info.st_size)
            if stamp != self._stamp:
                self._alarms = list(_parse(json.loads(self._path.read_text(encoding="utf-8"))))
                self._stamp = stamp
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self._alarms, self._stamp = [], None

    def _write(self, alarms: list[ShelvedAlarm]) -> None:
        """Replace the file. Raises AgentError."""
        units: dict[str, dict[str, object]] = {}
        for a in alarms:
            entry = {"from_s": a.from_s, "until_s": a.until_s, "reason": a.reason}
            units.setdefault(a.unit, {})[a.code] = entry
        new = self._path.with_name(self._path.name + ".new")
        try:
            new.write_text(json.dumps(units, indent=2) + "\n", encoding="utf-8")
            os.replace(new, self._path)
        except OSError as error:
            raise AgentError(f"{self._path}: {error.strerror}") from None


def _latest(from_s: float) -> float:
    return from_s + MAX_HOURS * 3600


def _parse(units: dict[str, dict[str, dict[str, object]]]) -> Iterator[ShelvedAlarm]:
    """Read the alarms of a file. An alarm of priority 1 has no effect."""
    for unit, codes in units.items():
        for code, entry in codes.items():
            if catalogue().priority(code) != 1:
                times = float(str(entry["from_s"])), float(str(entry["until_s"]))
                yield ShelvedAlarm(unit, code, *times, str(entry["reason"]))
