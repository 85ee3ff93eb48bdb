# SPDX-License-Identifier: Apache-2.0
"""Kafka output: for Kafka, Redpanda and other brokers with the Kafka protocol.

Does not create topics; a broker can do that. Topics of the option `SERVERS/PREFIX`: PREFIX.rows and
PREFIX.notes. The key is the unit, the value is JSON as of the output `json`. The headers `log` and
`record` identify the record, so that a consumer drops a repetition after a kill of the relay. The
producer waits for all replicas (`acks=all`) and repeats without doubles (idempotence).

`PREFIX?FILE` reads more properties of librdkafka from a file, `name=value` on each line (TLS,
SASL).
"""

import json
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Rows
from deploy.relay.outputs import row_text
from deploy.relay.outputs.base import Output, OutputContext, OutputError

_FLUSH_S = 30.0


class KafkaOutput(Output):
    """Produces to the servers of the option."""

    BATCH = 500

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        servers, _, rest = context.argument.partition("/")
        self._prefix, _, path = rest.partition("?")
        if not servers or not self._prefix:
            raise DeployError(f"--kafka {context.argument}: not SERVERS/PREFIX")
        self._properties = {
            "bootstrap.servers": servers,
            "client.id": f"coldloop-{context.name}",
            "acks": "all",
            "enable.idempotence": "true",
            "message.timeout.ms": str(int(_FLUSH_S * 1000)),
            **(_read_properties(Path(path)) if path else {}),
        }
        self._producer: Producer | None = None

    def deliver(self, items: list[Item]) -> None:
        """Produce the items; return after the reports of all of them."""
        messages = [self._message(item) for item in items]
        errors: list[KafkaError] = []

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            if self._producer is None:
                self._producer = Producer(self._properties)
            for message in messages:
                self._producer.produce(**message, on_delivery=report)
            left = self._producer.flush(_FLUSH_S)
        except (KafkaException, BufferError) as error:
            self._producer = None
            raise OutputError(f"Kafka: {error}") from None
        if left or errors:
            self._producer = None  # what it still has in memory must not be doubled
            raise OutputError(f"Kafka: {errors[0].str() if errors else 'no answer'}")

    def _message(self, item: Item) -> dict[str, Any]:
        is_rows = isinstance(item, Rows)
        value = row_text.rows_to_json(item) if is_rows else json.dumps(item.content).encode()  # type: ignore[arg-type,union-attr]
        return {
            "topic": f"{self._prefix}.{'rows' if is_rows else 'notes'}",
            "key": item.unit.encode(),
            "value": value,
            "headers": {"log": item.generation, "record": str(item.number)},
        }

    def close(self) -> None:
        """End the producer."""
        self._producer = None


def _read_properties(path: Path) -> dict[str, str]:
    properties = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise DeployError(f"{path}: {error}") from None
    for number, line in enumerate(lines, 1):
        name, equals, value = line.partition("=")
        if line.strip() and not line.startswith("#"):
            if not equals:
                raise DeployError(f"{path}:{number}: not name=value")
            properties[name.strip()] = value.strip()
    return properties
