# SPDX-License-Identifier: Apache-2.0
"""Sparkplug data of a unit that come after the end of its connection: it is dead after them."""

import pytest

from deploy.relay.decode.dating import MAX_AHEAD_MS
from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.base import OutputContext
from deploy.relay.sparkplug.output import SparkplugOutput
from tests.deploy.relay.relay_rig import START_MS, UNIT

_OFFLINE = b'{"online":false}'


class _KindRecorder:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def is_connected(self) -> bool:
        return True

    def publish(self, topic: str, *_: object) -> None:
        self.sent.append(topic.split("/")[2])

    def flush(self, needs_subscriber: bool = False) -> None:
        """All is delivered."""

    def most_bytes(self) -> int:
        return 60_000


class _LateDataRig:
    def __init__(self, primary: str = "") -> None:
        self.publisher = _KindRecorder()
        context = OutputContext(
            "g", "n", primary, self.publisher, lambda: 1, lambda: START_MS, dict
        )
        self.output = SparkplugOutput(context)
        self.output.on_connecting()
        self.output.on_connected()
        self.output.process()

    def state(self, is_online: bool) -> None:
        """Give the output a state, as the relay does."""
        self.output.on_unit_state(UNIT, b"{}" if is_online else _OFFLINE)
        if not is_online:
            self.output.on_unit_offline(UNIT)

    def deliver(self, *items: Item) -> list[str]:
        self.publisher.sent.clear()
        self.output.process()
        self.output.deliver(list(items))
        return self.publisher.sent[:-1]


def _rows(at_ms: int) -> Rows:
    return Rows(UNIT, 7, 1, ("a",), [(at_ms, [1.0])])


def _alarm(at_ms: int, record: int = 4) -> Note:
    content = {"alarm": "raised", "code": "leak"}
    return Note(UNIT, record, content, "010203" if record else "", at_ms)


def test_late_rows_do_not_revive_a_unit() -> None:
    rig = _LateDataRig()
    assert rig.deliver(_rows(START_MS - 9000)) == ["DBIRTH", "DDATA"]
    rig.state(is_online=False)
    assert rig.deliver(_rows(START_MS - 20_000)) == ["DDEATH", "DBIRTH", "DDATA", "DDEATH"]
    assert rig.deliver(_rows(START_MS + MAX_AHEAD_MS)) == ["DBIRTH", "DDATA", "DDEATH"]
    rig.state(is_online=True)
    assert rig.deliver(_rows(START_MS)) == ["DBIRTH", "DDATA"]


def test_rows_that_waited_for_the_host() -> None:
    rig = _LateDataRig("scada")
    rig.state(is_online=False)
    rig.output.on_message("spBv1.0/STATE/scada", b'{"online":true,"timestamp":5}')
    assert rig.deliver(_rows(START_MS), _alarm(START_MS)) == [
        *("NBIRTH", "DBIRTH", "DDATA", "DBIRTH", "DDATA", "DDEATH"),
    ]


@pytest.mark.parametrize(
    "item",
    [
        _rows(START_MS + MAX_AHEAD_MS + 1),
        _alarm(START_MS + 1, record=0),
        _alarm(0, record=0),
    ],
)
def test_data_by_satellite_revive_a_unit(item: Item) -> None:
    rig = _LateDataRig()
    rig.state(is_online=False)
    assert rig.deliver(item) == ["DBIRTH", "DDATA"]
    rig.deliver(_rows(START_MS - 20_000))
    assert "DDEATH" not in rig.publisher.sent
    rig.state(is_online=False)
    assert rig.deliver(_rows(START_MS - 20_000))[-1] == "DDEATH"
