# SPDX-License-Identifier: Apache-2.0
"""The audit log of the servers: chained entries, floods are counted, files are bounded."""

import json
import os
from pathlib import Path

import pytest

from deploy.northbound.access import audit
from deploy.northbound.access.audit import ServerAudit, missing_before, read_entries, verify
from deploy.northbound.command.audit import printable


class AuditClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def log_in(folder: Path, clock: AuditClock) -> ServerAudit:
    return ServerAudit(folder, "web", clock)


def write(log: ServerAudit, number: int, action: str = "login") -> None:
    log.record(f"user{number}", "10.0.0.1", "redfish", action, "", "accepted")


def test_entries_are_chained_over_restarts(tmp_path: Path) -> None:
    clock = AuditClock()
    for i in range(3):
        log = log_in(tmp_path, clock)
        write(log, i)
        clock.now += 100
    entries, faults = verify(tmp_path, "web")
    assert [(e["n"], e["user"]) for e in entries] == [(1, "user0"), (2, "user1"), (3, "user2")]
    assert faults == []


def test_two_processes_continue_one_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_MAX_BYTES", 2_000)
    clock = AuditClock()
    logs = [log_in(tmp_path, clock) for _ in range(2)]
    for i in range(20):
        write(logs[i % 2], i)
        clock.now += 11
    entries, faults = verify(tmp_path, "web")
    assert faults == []
    assert [e["n"] for e in entries][-1] == 20
    assert [log.failures for log in logs] == [0, 0]


def test_a_changed_or_missing_line_is_found(tmp_path: Path) -> None:
    log = log_in(tmp_path, AuditClock())
    for i in range(5):
        write(log, i)
    path = tmp_path / "web.log"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines).replace("user2", "user9"))
    assert verify(tmp_path, "web")[1] == ["entry 3: changed, or an entry before it is missing"]
    path.write_text("".join(lines[:2] + lines[3:]))
    assert verify(tmp_path, "web")[1] == ["entry 4: changed, or an entry before it is missing"]


def test_a_flood_is_counted(tmp_path: Path) -> None:
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    for _ in range(10_000):
        write(log, 1)
    clock.now += 11
    write(log, 2)
    entries, faults = verify(tmp_path, "web")
    assert [(e["user"], e.get("count")) for e in entries] == [
        ("user1", None),
        ("user1", 9_999),
        ("user2", None),
    ]
    assert faults == []


def test_a_flood_of_different_entries_is_bounded(tmp_path: Path) -> None:
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    for i in range(10_000):
        write(log, i)
    clock.now += 11
    log.flush()
    entries, faults = verify(tmp_path, "web")
    assert len(entries) <= 310
    assert sum(int(str(e.get("count", 1))) for e in entries) == 10_000
    assert faults == []


def test_files_are_bounded_and_the_chain_continues(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(audit, "_MAX_BYTES", 2_000)
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    for i in range(100):
        write(log, i)
        clock.now += 11
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "web.log", "web.log.1", "web.log.2", "web.log.3",
    ]  # fmt: skip
    entries, faults = verify(tmp_path, "web")
    assert entries[-1]["n"] == 100
    assert faults == []
    write(log_in(tmp_path, clock), 100)
    assert verify(tmp_path, "web")[0][-1]["n"] == 101


def test_hostile_texts_are_one_line(tmp_path: Path) -> None:
    log = log_in(tmp_path, AuditClock())
    log.record("a\nb", "\ud800", "x" * 100_000, '"', "{}", "\x1b[2J")
    lines = (tmp_path / "web.log").read_bytes().splitlines()
    assert len(lines) == 1
    assert b"\x1b" not in lines[0]
    assert len(json.loads(lines[0])["protocol"]) == 120


def test_a_full_disk_or_a_truncated_line_does_not_stop_the_server(tmp_path: Path) -> None:
    log = log_in(tmp_path / "none", AuditClock())
    write(log, 1)
    assert log.failures == 1
    log = log_in(tmp_path, AuditClock())
    write(log, 1)
    with (tmp_path / "web.log").open("a") as file:
        file.write('{"n": 2, "cut')
    write(log_in(tmp_path, AuditClock()), 3)
    assert [e["n"] for e in read_entries(tmp_path / "web.log")] == [1, 2]
    assert verify(tmp_path, "web")[1] == []


def test_a_full_disk_leaves_no_part_of_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_in(tmp_path, AuditClock())
    write(log, 1)
    whole = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: whole(file, data[:20]))
        write(log, 2)
    assert log.failures == 1
    write(log, 3)
    entries, faults = verify(tmp_path, "web")
    assert [(e["n"], e["user"]) for e in entries] == [(1, "user1"), (2, "user3")]
    assert faults == []


def test_refused_requests_hide_no_accepted_one(tmp_path: Path) -> None:
    """A flood without a right, from one address or from many; then a login and a write."""
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    refused = ("refused: the client has no right to write", "403", "locked for 60 s", "404")
    for i in range(20_000):
        user, target, result = f"user{i}", f"register {i}", refused[i % 4]
        log.record(user, f"10.0.{i % 7}.{i % 3}", "modbus", "write", target, result)
    log.record("olga", "10.9.9.9", "panel", "password", "", "set")
    log.record("olga", "10.9.9.9", "panel", "set", "supply_setpoint=33000", "sent 7")
    log.record("olga", "10.9.9.9", "redfish", "PATCH", "/redfish/v1/x", "204")
    entries, faults = verify(tmp_path, "web")
    assert [e["action"] for e in entries] == ["password", "set", "PATCH"]
    assert faults == []
    clock.now += 11
    log.flush()
    entries, faults = verify(tmp_path, "web-refused")
    assert len(entries) <= 240
    assert sum(int(str(e.get("count", 1))) for e in entries) == 20_000
    assert faults == []


def test_one_address_hides_no_refusal_of_another(tmp_path: Path) -> None:
    log = log_in(tmp_path, AuditClock())
    for i in range(5_000):
        log.record(f"u{i}", "10.0.0.1", "modbus", "write", f"register {i}", "refused: no right")
    log.record("eve", "10.0.0.2", "redfish", "login", "", "refused")
    entries, _ = verify(tmp_path, "web-refused")
    assert entries[-1]["user"] == "eve"


def test_refused_requests_push_no_accepted_one_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(audit, "_MAX_BYTES", 2_000)
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    write(log, 1)
    for i in range(1_000):
        log.record("", f"10.0.0.{i % 200}", "modbus", "write", str(i), "refused: no right")
        clock.now += 1
    assert [e["user"] for e in verify(tmp_path, "web")[0]] == ["user1"]


def test_one_user_hides_no_other_user(tmp_path: Path) -> None:
    log = log_in(tmp_path, AuditClock())
    for i in range(5_000):
        log.record("reader", f"10.0.0.{i}", "redfish", "login", "", "accepted")
    write(log, 7)
    assert verify(tmp_path, "web")[0][-1]["user"] == "user7"


def test_logins_and_readers_push_no_write_out(tmp_path: Path, monkeypatch) -> None:
    """A reader logs in and out for ever; each end of a session has another target."""
    monkeypatch.setattr(audit, "_MAX_BYTES", 4_000)
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    log.record("olga", "10.9.9.9", "panel", "set", "supply_setpoint=33000", "sent 7")
    for i in range(1_000):
        log.record_session("rita", "10.0.0.1", "redfish", "login", "", "accepted")
        log.record_session("rita", "10.0.0.1", "redfish", "DELETE", f"Sessions/{i}", "204")
        log.record_session("rita", "10.0.0.1", "redfish", "login", "", "refused")
        clock.now += 1
    assert [e["user"] for e in verify(tmp_path, "web")[0]] == ["olga"]
    entries, faults = verify(tmp_path, "web-sessions")
    assert faults == []
    assert {e["action"] for e in entries} == {"login", "DELETE"}
    assert {e["result"] for e in verify(tmp_path, "web-refused")[0]} == {"refused"}


def test_a_missing_beginning_is_named(tmp_path: Path) -> None:
    log = log_in(tmp_path, AuditClock())
    for i in range(5):
        write(log, i)
    path = tmp_path / "web.log"
    assert missing_before(verify(tmp_path, "web")[0]) == ""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[2:]))
    entries, faults = verify(tmp_path, "web")
    assert faults == []
    assert missing_before(entries) == (
        "the log begins with entry 3; the 2 entries before it are gone"
    )
    assert missing_before([]) == ""


@pytest.mark.parametrize("addresses", [4, 60])
def test_a_flood_from_some_addresses_hides_no_refusal_of_another(
    tmp_path: Path, addresses: int
) -> None:
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    for i in range(20_000):
        address = f"10.0.0.{i % addresses}"
        log.record("", address, "modbus", "write", f"register {i}", "refused: no right")
    for user in ("olga", "admin", "otto"):
        log.record(user, "10.9.9.9", "redfish", "login", "", "refused")
    entries, _ = verify(tmp_path, "web-refused")
    assert [e["user"] for e in entries if e["address"] == "10.9.9.9"] == ["olga", "admin", "otto"]
    clock.now += 11
    log.flush()
    entries, faults = verify(tmp_path, "web-refused")
    assert faults == []
    assert len(entries) <= 700
    others = {e["address"] for e in entries if e["action"] == "other"}
    assert others == {f"10.0.0.{i}" for i in range(addresses)}, "counted for each address"
    assert sum(int(str(e.get("count", 1))) for e in entries) == 20_003


def test_a_flood_from_many_addresses_is_bounded(tmp_path: Path) -> None:
    clock = AuditClock()
    log = log_in(tmp_path, clock)
    for i in range(50_000):
        address = f"10.0.{i % 250}.{i % 199}"
        log.record("", address, "bacnet", "write", f"object {i}", "refused: no right")
    clock.now += 11
    log.flush()
    entries, faults = verify(tmp_path, "web-refused")
    assert len(entries) <= 700
    assert sum(int(str(e.get("count", 1))) for e in entries) == 50_000
    assert faults == []


def test_texts_of_clients_cannot_change_what_a_terminal_shows() -> None:
    hostile = "\x1b[1A\x1b[2K\nweb: \x9b2K \u202e \x7f \u2028 \r"
    assert printable(hostile) == (r"\x1b[1A\x1b[2K\nweb: \x9b2K \u202e \x7f \u2028 \r")
    assert printable("Zoë 冷却 33 °C") == "Zoë 冷却 33 °C"
