# SPDX-License-Identifier: Apache-2.0
"""Audit reader: joined segments and the faults of the hash chain."""

import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.remote.storage.audit import SEGMENTS, AuditLog, key_of
from deploy.errors import OpsError
from deploy.ops.audit import syslog
from deploy.ops.audit.reader import join_segments
from tests.deploy.ops.test_config_command import config


def ring(count: int) -> tuple[dict[str, bytes], AuditLog]:
    log, records = AuditLog(), dict[str, bytes]()
    for i in range(count):
        op, key, payload = log.prepare(1_800_000_000 + i, [1], "x" * 60, i, "done")
        records[key] = records.get(key, b"") + payload if op == "append" else payload
        log.commit()
    return records, log


def test_a_complete_log_has_no_faults() -> None:
    records, log = ring(1000)
    result = join_segments(reversed(list(records.values())), (1000, log.head.hex()))
    assert result.faults == []
    assert len(records) == SEGMENTS
    assert [entry["number"] for entry in result.entries][-1] == 1000
    assert result.entries[-1]["when"] == "2027-01-15T08:16:39Z"


def test_a_truncated_log_is_detected() -> None:
    records, log = ring(30)
    shorter, older = ring(20)
    assert "truncated" in join_segments(shorter.values(), (30, log.head.hex())).faults[0]
    assert "another hash" in join_segments(records.values(), (30, older.head.hex())).faults[0]
    assert "truncated" in join_segments([], (1, log.head.hex())).faults[0]


def test_a_removed_or_changed_segment_is_detected() -> None:
    records, _ = ring(200)
    keys = [key_of(i) for i in range(4)]
    removed = [records[key] for key in keys if key != key_of(1)]
    assert "does not follow" in join_segments(removed).faults[0]
    changed = dict(records)
    changed[key_of(0)] = records[key_of(0)].replace(b"xxd", b"xyd", 1)
    assert changed[key_of(0)] == records[key_of(0)] or join_segments(changed.values()).faults
    bad = bytearray(records[key_of(0)])
    bad[60] ^= 1
    changed[key_of(0)] = bytes(bad)
    assert "does not follow" in join_segments(changed.values()).faults[0]


def test_a_repeated_append_is_one_entry() -> None:
    log = AuditLog()
    _, _, first = log.prepare(0, [], "a", 0, "")
    log.commit()
    _, _, second = log.prepare(0, [], "b", 0, "")
    log.abort()
    op, key, again = log.prepare(0, [], "b", 0, "")
    assert (op, key) == ("write", key_of(1))
    log.commit()
    result = join_segments([first + second, again], (2, log.head.hex()))
    assert ([entry["what"] for entry in result.entries], result.faults) == (["a", "b"], [])


def read_frames(data: bytes) -> list[str]:
    """Return the messages of a stream with octet counting (RFC 6587, 3.4.1)."""
    messages = []
    while data:
        size, _, rest = data.partition(b" ")
        messages.append(rest[: int(size)].decode())
        data = rest[int(size) :]
    return messages


SYSLOG = re.compile(
    r'<(\d+)>1 (\S+) (\S+) coldloop - (audit|fault) (\[audit@32473(?: \w+="(?:[^"\\\]]|\\.)*")*\]) '
    "\ufeff(.*)"
)
"""RFC 5424, 6, with the header of this program; written apart from the code."""


def test_the_entries_go_to_a_central_log(tmp_path: Path) -> None:
    records, _ = ring(200)
    for key, data in records.items():
        if key != key_of(1):
            (tmp_path / key).write_bytes(data)
    server = socket.create_server(("127.0.0.1", 0))
    received = bytearray()

    def serve() -> None:
        link = server.accept()[0]
        with link:
            while data := link.recv(65536):
                received.extend(data)

    thread = threading.Thread(target=serve)
    thread.start()
    address = f"tcp:127.0.0.1:{server.getsockname()[1]}"
    completed = config("history", "--store", str(tmp_path), "--syslog", address)
    thread.join(30)
    server.close()
    found = [SYSLOG.fullmatch(text) for text in read_frames(bytes(received))]
    assert all(found)
    rows = [match.groups() for match in found if match]
    entries = [row for row in rows if row[3] == "audit"]
    assert entries[0] == (
        "109", "2027-01-15T08:00:00Z", str(tmp_path).replace("/", "."), "audit",
        '[audit@32473 number="1" keys="1" counter="0"]', "x" * 60 + ": done",
    )  # fmt: skip
    assert [row[0] for row in rows if row[3] == "fault"] == ["105"]
    assert completed.returncode == 1
    assert len(completed.stdout.splitlines()) == len(rows)


@pytest.mark.parametrize("text", ['a"]\\', "\x1b[31m\n<109>1 ", "\u200e\u202e"])
def test_no_text_leaves_its_field(text: str) -> None:
    entry: dict[str, Any] = {
        "number": 1,
        "when": None,
        "keys": [],
        "what": text,
        "counter": text,
        "result": text,
    }
    message = syslog.format_entry(f"s/{text}", entry).decode()
    assert SYSLOG.fullmatch(message)
    assert message.isascii() or message.replace("\ufeff", "").isprintable()


def test_a_log_server_that_is_not_there_is_named() -> None:
    for address in ("tcp:127.0.0.1:9", "serial:/dev/null", "nonsense"):
        with pytest.raises(OpsError, match="syslog"):
            syslog.send_history(address, "s/u", join_segments([]))
