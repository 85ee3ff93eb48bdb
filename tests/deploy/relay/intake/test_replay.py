# SPDX-License-Identifier: Apache-2.0
"""A datagram that is sent again is a duplicate, however many others came between."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.relay.records import datagram_numbers
from deploy.relay.records.database import RelayDatabase
from protocols import datagram
from tests.deploy.relay.relay_rig import PipelineRig

UTC = 1_760_000_000
TOP = datagram.SEQUENCE_MODULUS - 1


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipelineRig]:
    monkeypatch.setattr(datagram_numbers, "MOST", 64)
    made = PipelineRig()
    yield made
    made.close()


def alarm(number: int, utc_s: int, text: str = "x") -> bytes:
    record = b"\x01" + utc_s.to_bytes(4, "big") + f"leak: {text}".encode()
    return datagram.split(datagram.ALARM, number, bytes([len(record)]) + record, 340)[0]


@pytest.mark.parametrize("first", [0, 5_000_000, TOP - 150])
def test_no_old_datagram_is_new(rig: PipelineRig, first: int) -> None:
    messages = [alarm((first + n) % (TOP + 1), UTC + 60 * n) for n in range(300)]
    rig.send(*messages)
    assert len(rig.notes()) == 300
    draw = random.Random(1)
    rig.send(*draw.sample(messages, 300))
    assert len(rig.notes()) == 300
    ((rows,),) = rig.database.query("SELECT COUNT(*) FROM datagram")
    assert rows <= 64
    ((ranges,),) = rig.database.query("SELECT COUNT(*) FROM received")
    assert ranges < 10


@pytest.mark.parametrize("stray", [5_000, 9_000_000, TOP])
def test_one_number_far_ahead_forgets_no_other(rig: PipelineRig, stray: int) -> None:
    messages = [alarm(n, UTC + n) for n in range(1, 200)]
    rig.send(*messages[:100], alarm(stray, UTC + 500), *messages[100:])
    rig.send(*messages, alarm(stray, UTC + 500))
    assert len(rig.notes()) == 200


def test_a_late_number_that_never_came_is_new(rig: PipelineRig) -> None:
    rig.send(*[alarm(n, UTC + n) for n in range(300) if n != 40])
    rig.send(alarm(40, UTC + 40), alarm(40, UTC + 40))
    assert len(rig.notes()) == 300


def test_a_modem_with_a_new_store_begins_again(rig: PipelineRig) -> None:
    old = [alarm(n, UTC + n, "old") for n in range(300)]
    new = [alarm(n, UTC + 1_000 + n, "new") for n in range(300)]
    rig.send(*old)
    rig.send(*new)
    rig.send(*[alarm(n, 0, "no time") for n in range(5)])
    assert len(rig.notes()) == 605
    rig.send(*old, *new)
    assert len(rig.notes()) == 605, "the old one of a number too"


def test_one_wrong_clock_hides_no_later_alarm(rig: PipelineRig) -> None:
    future = int(time.time()) + 10 * 365 * 86_400
    rig.send(*[alarm(n, future if n == 3 else UTC + n) for n in range(300)])
    rig.send(*[alarm(n, UTC + 1_000 + n, "new store") for n in range(10)])
    assert len(rig.notes()) == 310


def test_an_alarm_without_time_is_known_longer(rig: PipelineRig) -> None:
    rig.send(alarm(5, 0))
    rig.send(*[alarm(n, UTC + n) for n in range(6, 300)], alarm(5, 0))
    assert len(rig.notes()) == 295


def test_numbers_of_an_earlier_version_are_known(tmp_path: Path) -> None:
    """Their digests have no UTC."""
    database = RelayDatabase(tmp_path / "relay.db", "r")
    with database.transaction():
        assert database.is_new_datagram("s/u", 1, b"x", UTC)
        database.execute("UPDATE datagram SET digest=substr(digest, 1, 8)")
        assert not database.is_new_datagram("s/u", 1, b"x", UTC)
        assert database.is_new_datagram("s/u", 1, b"y", UTC)
    database.close()
