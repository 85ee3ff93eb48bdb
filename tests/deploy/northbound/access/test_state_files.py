# SPDX-License-Identifier: Apache-2.0
"""A state file that is damaged in any way stops no server; the next write makes it whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.decisions import Decisions
from deploy.northbound.access.owners import ValueOwners
from deploy.northbound.access.types import FakeAudit
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.metrics import load_token, metrics_text
from deploy.northbound.modbus.restore_file import RestoreFile
from deploy.northbound.process.notifications import read_counts
from deploy.northbound.redfish.event_file import EventFile
from deploy.northbound.redfish.event_log import EventLog
from deploy.northbound.redfish.event_push import EventPush
from deploy.northbound.redfish.resource import ResourceTree
from deploy.northbound.redfish.resources.events import EventResources
from deploy.northbound.redfish.resources.subscription_file import SubscriptionFile
from deploy.northbound.redfish.sensors import SensorModel
from deploy.northbound.snapshot import Snapshot
from deploy.northbound.snmp.informs import AlarmChanges, KnownFile

KEY = "supply_setpoint"
_LOG = '{"version": 1, "events": [], "alarms": [%s], "next": %s, "state": "normal"}'
DAMAGED = [
    "", "{", "[]", "{}", "null", "0", "1e999", "NaN", '"x"', "\0" * 50,
    "[" * 100_000, '{"a":' * 50_000,
    f'{{"{KEY}": null}}', f'{{"{KEY}": [1e999, 2]}}', f'{{"{KEY}": [NaN]}}',
    f'{{"{KEY}": {{"1e3": ["a"]}}}}', f'{{"{KEY}": [1e999, 1, false, "x", "kept"]}}',
    f'{{"{KEY}": {"[" * 5000}{"]" * 5000}}}', f'{{"claims": {{"{KEY}": [["a", 1e999, ""]]}}}}',
    _LOG % ("", "1e999"), _LOG % ('[1e999, "a", "b", 1, "x", "t", "a"]', "5"),
    '[[[1e999], 1, "a", "b", 1, "t", "x"]]', '[[[1], 1e999, "a", "b", 1, "t", "x"]]',
    '[{"protocol": "snmp", "receiver": null, "waiting": 1}]',
    '[{"protocol": "snmp", "receiver": "a", "waiting": 1, "confirmed": "x"}]',
    '[{"user": "a", "role": "Operator", "hash": "x", "changes": 1e999}]',
]  # fmt: skip


def _decisions(path: Path) -> None:
    found = Decisions(path, [KEY])
    found.decide(KEY, 3300, 3200, "c")
    assert Decisions(path, [KEY]).counts(KEY) == 3300


def _restore(path: Path) -> None:
    RestoreFile(path).keep(KEY, 1, 2)
    assert KEY in RestoreFile(path).values


def _owners(path: Path) -> None:
    ValueOwners(path.parent).keep(KEY, 1, "panel adam")
    assert ValueOwners(path.parent).has_other(KEY, 1, "modbus")


def _events(path: Path) -> None:
    log = EventLog()
    file = EventFile(path.with_name("redfish-events.json"), log)
    file.load()
    log.send_test(Snapshot())
    file.save()


def _subscriptions(path: Path) -> None:
    push, sensors = EventPush(["127.0.0.0/8"]), SensorModel(FakeSource(1))
    events = EventResources(ResourceTree(), sensors, EventLog(), push, lambda _session: True)
    SubscriptionFile(path, events, lambda _user: "Operator").load()
    assert events.subscriptions == {}


def _known(path: Path) -> None:
    KnownFile(path).save(AlarmChanges(KnownFile(path).load()).known())


def _counts(path: Path) -> None:
    metrics_text(Snapshot(), open_metrics=True, counts=read_counts(path.parent))


def _accounts(path: Path) -> None:
    assert Accounts(path.parent, FakeAudit()).find("otto") is None


def _token(path: Path) -> None:
    token = load_token(path)
    assert len(token) == 32
    assert load_token(path) == token


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("metrics_token", _token),
        ("modbus-decisions.json", _decisions),
        ("modbus-restore.json", _restore),
        ("owners.json", _owners),
        ("redfish-events.json", _events),
        ("redfish-event-ids.json", _events),
        ("redfish-subscriptions.json", _subscriptions),
        ("known.json", _known),
        ("notifications-snmp.json", _counts),
        ("accounts.json", _accounts),
    ],
)
def test_a_damaged_file_stops_no_server(
    tmp_path: Path, name: str, use: Callable[[Path], None]
) -> None:
    for number, text in enumerate(DAMAGED):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_text(text)
        use(folder / name)


def test_a_damaged_token_is_made_again_and_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "metrics_token"
    token = load_token(path)
    assert capfd.readouterr().err == ""
    assert path.stat().st_mode & 0o777 == 0o600
    for content in (b"", b"\xff\xfe", b"\0" * 33, token.encode()[:5], b"two words of one line"):
        path.write_bytes(content)
        assert load_token(path) != token
        assert "was damaged" in capfd.readouterr().err
    path.write_text("a token of the site".replace(" ", "-"))
    assert load_token(path) == "a-token-of-the-site"


def test_without_room_no_token_is_valid(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics_token"
    path.mkdir()
    assert load_token(path) == ""
    assert "no token is valid" in capfd.readouterr().err
