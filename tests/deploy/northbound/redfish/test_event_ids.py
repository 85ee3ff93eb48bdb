# SPDX-License-Identifier: Apache-2.0
"""The id of an event is used once, also if the server is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.northbound.redfish.event_file import EventFile
from deploy.northbound.redfish.event_log import EventLog
from deploy.northbound.snapshot import Snapshot


def _start(path: Path) -> tuple[EventLog, EventFile, list[int]]:
    """Start a server; give its log, its file, and the ids that clients get."""
    log, ids = EventLog(), []
    file = EventFile(path, log)
    file.load()
    log.subscribe(lambda event: ids.append(event.id))
    return log, file, ids


@pytest.mark.parametrize("events", [1, 3, 255, 256, 257, 1000])
@pytest.mark.parametrize("is_saved", [False, True])
def test_no_id_returns_after_a_kill(tmp_path: Path, events: int, is_saved: bool) -> None:
    path = tmp_path / "events.json"
    known: list[int] = []
    for _ in range(4):
        log, file, ids = _start(path)
        log.send_test(Snapshot())
        if is_saved:
            file.save()
        for _ in range(events):
            log.send_test(Snapshot())
        assert min(ids) > max(known, default=0)
        assert ids == sorted(set(ids))
        known += ids


@pytest.mark.parametrize("text", ["", "x", "[]", "-4", "1e400", "true", "9" * 5000])
def test_a_damaged_file_of_ids_stops_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / "redfish-event-ids.json").write_text(text)
    log, _file, ids = _start(tmp_path / "events.json")
    log.send_test(Snapshot())
    assert ids == [1]
