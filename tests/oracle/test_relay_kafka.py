# SPDX-License-Identifier: Apache-2.0
"""The relay's Kafka output, read by kafka-python, which has its own code of the protocol.

The broker is the mock of librdkafka; it keeps the batches as they were sent. No real broker is in
the registries of the tests. So this shows that the bytes on the wire are right for others, and not
what a real cluster does in a failure.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.relay.outputs.kafka_output import KafkaOutput
from tests.deploy.relay.stores.test_stores import ITEMS, UNIT, context, rows

_PEER_PACKAGE = "kafka-python==3.0.12"
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


@pytest.mark.soak
def test_kafka_python_reads_the_messages(tmp_path: Path) -> None:
    packages = str(tmp_path / "packages")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", packages]
    subprocess.run([*pip, _PEER_PACKAGE], check=True, timeout=300)
    properties = tmp_path / "properties"
    properties.write_text("test.mock.num.brokers=1\nlog_level=0\n")
    output = KafkaOutput(context(f"127.0.0.1:1/fleet?{properties}"))
    output.deliver(ITEMS)
    output.deliver([rows(number) for number in range(10, 20)])
    assert output._producer is not None
    broker = next(iter(output._producer.list_topics(timeout=10).brokers.values()))
    read = subprocess.run(
        [sys.executable, "-c", _READER, f"{broker.host}:{broker.port}"],
        env={"PYTHONPATH": packages},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    messages = [json.loads(line) for line in read.stdout.splitlines()]
    assert len(messages) == len(ITEMS) + 10
    notes = [message for message in messages if message[0] == "fleet.notes"]
    assert [(n[1], n[3], n[4]["text"]) for n in notes] == [
        (UNIT, {"log": "010203", "record": "4"}, "wet 💧")
    ]
    of_unit = [message for message in messages if message[0] == "fleet.rows" and message[1] == UNIT]
    assert len({message[2] for message in of_unit}) == 1, "a unit has one partition"
    expected = [7, 15, *[4 * number + 3 for number in range(10, 20)]]
    assert [message[4]["record"] for message in of_unit] == expected, "in order"
    assert all(message[3]["record"] == str(message[4]["record"]) for message in of_unit)
    output.close()
