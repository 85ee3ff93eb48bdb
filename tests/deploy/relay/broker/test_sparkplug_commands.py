# SPDX-License-Identifier: Apache-2.0
"""Sparkplug commands for units: signed messages down, the answers of the units up."""

import json
from pathlib import Path

import pytest

from deploy.relay.decode.row_format import Rows
from deploy.relay.sparkplug import payload as sparkplug_payload
from deploy.relay.sparkplug.edge import SparkplugEdge
from deploy.relay.sparkplug.payload import (
    BYTES,
    COMMAND_ANSWER,
    SIGNED_COMMAND,
    STRING,
    Metric,
    read_signed_commands,
)
from tests.deploy.relay.relay_rig import ALARM, UNIT, bulk, pack
from tests.deploy.relay.test_outputs import read_metrics
from tests.deploy.relay.test_relay import RelayThread, TopicListener, broker, wait_until

__all__ = ["broker"]
_MESSAGE = bytes(range(200))
_REPORT = {"results": ["7 acknowledge: done"], "accepted": 3, "hash": "ab" * 32}
_DCMD = "spBv1.0/fleet/DCMD/r1/s1.u1"


def command(value: str, datatype: int = STRING, name: str = SIGNED_COMMAND) -> bytes:
    return sparkplug_payload.encode_payload([Metric(value, datatype, 1, name)], 1, None)


def bytes_command(message: bytes) -> bytes:
    """Encode as a host does that has the data type Bytes."""
    field = sparkplug_payload._bytes_field
    metric = field(1, SIGNED_COMMAND.encode()) + b"\x20" + bytes([BYTES])
    return field(2, metric + field(16, message))


def test_a_signed_message_is_read_from_bytes_or_hex_digits() -> None:
    assert read_signed_commands(command(_MESSAGE.hex())) == [_MESSAGE]
    assert read_signed_commands(bytes_command(_MESSAGE)) == [_MESSAGE]
    assert read_signed_commands(command("x", name="Commands/Other")) == []
    for wrong in (command("not hex"), b"\xff" * 9, command(_MESSAGE.hex())[:-3]):
        with pytest.raises(ValueError, match=r"hex|cut off"):
            read_signed_commands(wrong)


def test_births_have_the_metrics_of_commands() -> None:
    edge = SparkplugEdge("g", "n", 0, lambda: 5000)
    assert edge.answer_messages(UNIT, "early") == []
    (_, birth, _, _), _ = edge.data_messages(Rows(UNIT, 7, 1, ("a",), [(1000, [1.5])]))
    _, (_, signed, answer) = read_metrics(birth)
    assert (signed[1], signed[4], signed[7]) == (SIGNED_COMMAND.encode(), BYTES, 1)
    assert (answer[1], answer[15]) == (COMMAND_ANSWER.encode(), b"early")
    assert edge.commanded_unit("spBv1.0/g/DCMD/n/s1.u1") == UNIT
    for other in ("spBv1.0/g/DCMD/n/s1.u2", "spBv1.0/g/DCMD/other/s1.u1", "spBv1.0/g/NCMD/n"):
        assert edge.commanded_unit(other) == ""
    assert edge.answer_messages(UNIT, "early") == [], "no news"
    ((topic, data, qos, _),) = edge.answer_messages(UNIT, "late")
    assert (topic, qos) == ("spBv1.0/g/DDATA/n/s1.u1", 0)
    assert read_metrics(data)[1][0][15] == b"late"


def test_commands_and_answers_through_a_real_broker(
    broker: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = TopicListener(broker, "spBv1.0/#", "coldloop/v1/+/+/cmd")
    running = RelayThread(broker, tmp_path)
    try:
        listener.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)))
        wait_until(lambda: bool(listener.payloads("DBIRTH")))
        for wrong in (b"\xff" * 20, command("zz"), command((b"x" * 5000).hex())):
            listener.publish(_DCMD, wrong)
        listener.publish("spBv1.0/fleet/DCMD/r1/s1.unknown", command("00"))
        listener.publish(_DCMD, command(_MESSAGE.hex()))
        listener.publish(_DCMD, bytes_command(_MESSAGE[::-1]))
        wait_until(lambda: len(listener.payloads("/cmd")) == 2)
        assert listener.payloads("/cmd") == [_MESSAGE, _MESSAGE[::-1]]
        for content in (json.dumps(_REPORT).encode(), b"[" * 60_000):
            before = len(listener.payloads("DDATA"))
            listener.publish(f"coldloop/v1/{UNIT}/cfg/reported", content)
            wait_until(lambda count=before: len(listener.payloads("DDATA")) > count)  # type: ignore[misc]
        answers = [read_metrics(data)[1][0].get(15) for data in listener.payloads("DDATA")[-2:]]
        assert [json.loads(text) for text in answers if isinstance(text, bytes)] == [
            {"results": ["7 acknowledge: done"], "accepted": 3},
            {"relay": "a report that cannot be read: a note with 60000 levels"},
        ]
    finally:
        running.close()
        listener.close()
    assert capsys.readouterr().err.count("a command for s1/u1") == 3
