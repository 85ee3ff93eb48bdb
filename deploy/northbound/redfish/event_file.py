# SPDX-License-Identifier: Apache-2.0
"""The events of the log in a file, so that they last over a restart of the server.

Does not log; see `event_log`. The file is replaced as a whole, at most each 2 s, and only after a
change. A damaged file is left out: the log then begins empty. It also has the alarms of the last
record, so that a restart reports an alarm neither twice nor never. The ids that can be in use are
in a file of their own, which is written before the first of them is used.
"""

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.northbound.redfish.event_log import RING, EventLog, UnitEvent
from deploy.northbound.snapshot import AlarmFollower, AlarmItem
from deploy.ops.private_file import DAMAGED, load_state, replace_private

SAVE_S = 2.0
_VERSION = 1
_MAX_BYTES = 1 << 20
_MAX_ALARMS = 1000
_LONGEST = 1 << 62
"""Uptime in a file of an earlier version: what left the list since then was not acknowledged."""


class EventFile:
    """Loads and saves a log. `path`: a private file in the state folder."""

    def __init__(self, path: Path, log: EventLog) -> None:
        self._path, self._log = path, log
        self._ids = path.with_name("redfish-event-ids.json")
        self._saved = ""

    def load(self) -> None:
        """Add the events of the file to the empty log; go on after all ids that were in use."""
        self._load()
        number: int = load_state(self._ids, int, 0)
        self._log.reserve_ids(number if 0 < number < _LONGEST else 0, self._store_ids)

    def _store_ids(self, number: int) -> None:
        with contextlib.suppress(OSError):  # a full disk: a crash can then use ids again
            replace_private(self._ids, json.dumps(number))

    def _load(self) -> None:
        with contextlib.suppress(OSError, *DAMAGED):
            if self._path.stat().st_size > _MAX_BYTES:
                return
            data = json.loads(self._path.read_text(encoding="utf-8"))
            if data["version"] != _VERSION:
                return
            events = [_event(fields) for fields in data["events"][-RING:]]
            alarms = [_alarm(fields) for fields in data["alarms"][:_MAX_ALARMS]]
            number, state = int(data["next"]), str(data["state"])
            known = AlarmFollower({a.id: a for a in alarms}, int(data.get("uptime_us", _LONGEST)))
            if number > max((event.id for event in events), default=0):
                self._log.restore(events, known, state, number)

    def save(self) -> None:
        """Write the file if the log has changed. Without room it is tried again later."""
        content = _content(self._log)
        text = json.dumps(content, separators=(",", ":"))
        if text == self._saved:
            return
        content["uptime_us"] = self._log.known()[0].uptime_us  # alone it is no reason to write
        with contextlib.suppress(OSError):
            replace_private(self._path, json.dumps(content, separators=(",", ":")))
            self._saved = text


def _content(log: EventLog) -> dict[str, Any]:
    follower, state, number = log.known()
    return {
        "version": _VERSION,
        "next": number,
        "state": state,
        "events": [
            [
                e.id,
                e.key,
                e.args,
                e.severity,
                e.text,
                e.resolution,
                _text(e.created),
                _text(e.entered),
            ]
            for e in log.events
            if not e.test
        ],
        "alarms": [
            [a.number, a.code, a.name, a.priority, a.state, a.text, a.action, a.acknowledged]
            for a in follower.alarms.values()
        ],
    }


def _text(created: datetime | None) -> str:
    return "" if created is None else created.isoformat()


def _event(fields: list[Any]) -> UnitEvent:
    """Build an event of an earlier run. Raises ValueError, TypeError: it is damaged.

    A file of an earlier version has no time of entry.
    """
    number, key, args, severity, text, resolution, created, *entered = fields
    texts = tuple(str(arg) for arg in args)
    event = UnitEvent(int(number), str(key), texts, str(severity), str(text), str(resolution),
                      _utc(created), -1)  # fmt: skip
    event.entered = _utc(entered[0]) if entered else None
    return event


def _utc(text: str) -> datetime | None:
    """Return a time of the file; "": None. Raises ValueError."""
    found = datetime.fromisoformat(text) if text else None
    if found is not None and found.tzinfo is None:
        raise ValueError("no time zone")
    return found


def _alarm(fields: list[Any]) -> AlarmItem:
    number, code, name, priority, state, text, action, *acknowledged = fields
    return AlarmItem(
        int(number), str(code), str(name), int(priority), str(state), str(text), str(action),
        acknowledged=acknowledged == [True],
    )  # fmt: skip
