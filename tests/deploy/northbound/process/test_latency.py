# SPDX-License-Identifier: Apache-2.0
"""Time from a new record of the agent to a COV notification, an inform, and a Redfish event.

The agent writes a record each second. So 1 s here is at most 2 s after a reading or an alarm.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from deploy.northbound.fake_source import FakeSource
from deploy.northbound.snapshot import AlarmItem
from deploy.northbound.snmp import tree
from tests.deploy.northbound.bacnet.wire import confirmed, object_id
from tests.deploy.northbound.process.test_launcher import ForkedServers
from tests.deploy.northbound.process.test_load import open_session
from tests.deploy.northbound.record_writer import write_record
from tests.deploy.northbound.snmp.test_snmp_process import inform_receiver

_LIMIT_S = 1.0
_ROUNDS = 5
_ROOT = "." + ".".join(map(str, tree.ROOT)) + ".0."


class ChangedRecords:
    """Writes a record twice a second, as an agent; `change` writes a new one immediately."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._source = folder, FakeSource(1)
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._source.replace(alarms=())

    def _write(self) -> None:
        with self._lock:
            write_record(self._folder, self._source.snapshot)

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            self._write()

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def change(self, supply: int, *, alarm: bool) -> float:
        """Write a record with a supply temperature and an alarm; return the time of it."""
        item = AlarmItem(202, "supply_high", "", 1, "active_unacknowledged", "too hot", "Act.")
        self._source.set_point("supply_temperature", supply)
        self._source.replace(alarms=(item,) if alarm else (), age_ms=0)
        began = time.monotonic()
        self._write()
        return began


def await_notification(client: socket.socket, began: float) -> float:
    """Return how long the next unconfirmed notification took, s."""
    while True:
        data = client.recv(2000)
        if data[6] >> 4 == 1:
            return time.monotonic() - began


class EventStream:
    """The server-sent events of Redfish; `count`: events with data so far."""

    def __init__(self, port: int, state: Path) -> None:
        base = f"https://127.0.0.1:{port}"
        headers = open_session(base, (state / "initial_password").read_text().strip())
        time.sleep(1)  # a changed account ends its streams up to 0.25 s later
        self._link = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=20, context=ssl._create_unverified_context()
        )
        self._link.request("GET", "/redfish/v1/EventService/SSE", headers=headers)
        self._answer = self._link.getresponse()
        assert self._answer.status == 200
        self.count = 0
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while line := self._answer.readline():
                self.count += line.startswith(b"data:") and b"supply_high" in line.lower()

    def close(self) -> None:
        """Close the stream, after the end of the server."""
        self._thread.join(20)
        self._answer.close()
        self._link.close()


@pytest.mark.realtime
def test_a_change_and_an_alarm_arrive_in_time(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        port, log = stack.enter_context(inform_receiver(tmp_path))
        servers = ForkedServers(tmp_path, (f"127.0.0.1:{port}",))
        events = EventStream(servers.ports[0], tmp_path / "state")
        stack.callback(events.close)
        stack.callback(servers.stop)
        records = stack.enter_context(ChangedRecords(tmp_path))
        client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.settimeout(10)
        client.connect(("127.0.0.1", servers.ports[2]))
        time.sleep(1)
        data = b"\x09\x01" + object_id(0, 1, 1) + b"\x29\x00\x3a\x0e\x10"
        client.send(confirmed(5, data, 1))
        await_notification(client, 0)  # the value at the subscription
        changes, informs, streamed = [], [], []
        for number in range(_ROUNDS):
            known, seen = log.read_text().count(_ROOT), events.count
            began = records.change(25_000 + 2_000 * number, alarm=number % 2 == 0)
            changes.append(await_notification(client, began))
            while events.count == seen:
                assert time.monotonic() - began < 10
                time.sleep(0.01)
            streamed.append(time.monotonic() - began)
            while log.read_text().count(_ROOT) == known:
                assert time.monotonic() - began < 10
                time.sleep(0.01)
            informs.append(time.monotonic() - began)
    print(
        f"COV at most {max(changes):.2f} s, inform at most {max(informs):.2f} s, "
        f"event at most {max(streamed):.2f} s"
    )
    assert max(streamed) <= _LIMIT_S
    assert max(changes) <= _LIMIT_S
    assert max(informs) <= _LIMIT_S
