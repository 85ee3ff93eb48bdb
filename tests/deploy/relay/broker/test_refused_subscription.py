# SPDX-License-Identifier: Apache-2.0
"""A subscription that a broker refuses is tried again: its rights can change meanwhile."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from deploy.relay.mqtt import later_call
from deploy.relay.mqtt.later_call import LaterCall
from tests.deploy.relay.broker.test_sessions import Worker
from tests.deploy.relay.test_relay import wait_until
from tests.support.programs import running_mosquitto

_REFUSED = ReasonCode(PacketTypes.SUBACK, identifier=0x87)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(later_call, "retry_delays", lambda: iter([0.1] * 9))
    words = ("--receipts", "--sparkplug", "G")
    with running_mosquitto(tmp_path / "mosquitto.conf") as port:
        each = Worker(port, tmp_path, "k", "relay", "relay", *words)
        yield each
        each.close()


def test_the_topics_of_the_units(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    relay = worker.relay
    relay._is_connected.clear()
    relay._on_subscribed(None, None, 1, [_REFUSED, _REFUSED])
    assert relay.problem == "the broker rejects the subscription of the units' topics"
    wait_until(relay._is_connected.is_set)
    assert relay.problem == ""
    assert "connected again" in capsys.readouterr().err


def test_the_topics_of_the_outputs(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = worker.relay._output_connection
    wait_until(connection.is_connected)
    found = threading.Event()
    subscribe = connection._client.subscribe

    def notice(*words: object) -> object:
        found.set()
        return subscribe(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(connection._client, "subscribe", notice)
    on_subscribe = connection._client.on_subscribe
    assert on_subscribe is not None
    on_subscribe(connection._client, None, 1, [_REFUSED], None)  # type: ignore[arg-type,call-arg]
    wait_until(found.is_set)


def test_a_reset_drops_the_call() -> None:
    calls: list[int] = []
    later = LaterCall(lambda: calls.append(1))
    later.start()
    later.reset()
    later.reset()
    assert later._timer is None
    assert calls == []
