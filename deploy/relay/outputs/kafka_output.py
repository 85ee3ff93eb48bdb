# SPDX-License-Identifier: Apache-2.0
"""Kafka output: for Kafka, Redpanda and other brokers with the Kafka protocol.

Does not create topics; a broker can do that. Topics of the option `SERVERS/PREFIX`: PREFIX.rows and
PREFIX.notes. The key is the unit, the value is JSON as of the output `json`. The headers `log`,
`record` and `rows` identify a block, so that a consumer drops a repetition after a kill of the
relay. `rows` is the count of its rows: a unit can send a block again, merged with later ones. A
note of a datagram is no record of a log: its `log` is empty, its `record` 0, and the header
`digest` identifies it. The producer waits for all replicas (`acks=all`) and repeats without doubles
(idempotence). A block whose JSON is above 500 kB becomes several messages with fewer rows each. The
header `part` counts them from 0.
A message that the broker finds too large is a refusal. Each other error is one of the broker.

`PREFIX?FILE` reads more properties of librdkafka from a file, `name=value` on each line (TLS,
SASL). The properties behind the acknowledgement cannot be changed there.
"""

import json
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Rows
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.outputs.text import row_text
from deploy.relay.outputs.tls.kafka_tls import KafkaTls

_FLUSH_S = 30.0
_CHECK_S = 10.0
_MAX_BYTES = 500_000
"""Half of the limit that brokers and librdkafka have by default (message.max.bytes)."""
_FIXED = {"acks": "all", "enable.idempotence": "true"}
_OTHER_NAMES = {"request.required.acks": "acks"}
"""SOURCE: CONFIGURATION.md of librdkafka."""
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - the library has no other name
"""It has no reason; the errors before it have one."""
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)


class KafkaOutput(Output):
    """Produces to the servers of the option."""

    BATCH = 500

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        servers, _, rest = context.argument.partition("/")
        self._prefix, _, path = rest.partition("?")
        if not servers or not self._prefix:
            raise DeployError(f"--kafka {context.argument}: not SERVERS/PREFIX")
        self._properties: dict[str, Any] = {
            "bootstrap.servers": servers,
            "client.id": f"coldloop-{context.name}",
            **_FIXED,
            "message.timeout.ms": str(int(_FLUSH_S * 1000)),
            "log_level": "0",  # else some lines a second while the servers are away
            "error_cb": self._on_error,
            **(_read_properties(Path(path)) if path else {}),
        }
        self._tls = KafkaTls(self._properties)
        self._producer: Producer | None = None
        self._fault = ""
        """What the library has reported last, for example a server that refuses connections."""

    def _on_error(self, error: KafkaError) -> None:
        if error.code() != _ALL_DOWN or not self._fault:
            self._fault = f"; {error.str()}"

    def _error(self, text: str) -> OutputError:
        """Return an error with its reason, as far as it is known."""
        problem = self._tls.problem()
        return OutputError(f"Kafka: {text}" + (f"; {problem}" if problem else self._fault))

    def check(self) -> None:
        """Ask the servers for their topics. Raises OutputError."""
        self._fault = ""
        producer: Producer | None = None
        try:
            producer = Producer(self._properties)
            producer.list_topics(timeout=_CHECK_S)
        except KafkaException as error:
            if producer is not None:
                producer.poll(0)  # the reports of the library
            raise self._error(error.args[0].str()) from None

    def deliver(self, items: list[Item]) -> None:
        """Produce the items; return after the reports of all of them."""
        messages = [message for item in items for message in self._messages(item)]
        errors: list[KafkaError] = []

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            if self._producer is None or self._tls.has_changed():
                self._producer = Producer(self._properties)
            for message in messages:
                self._producer.produce(**message, on_delivery=report)
            left = self._producer.flush(_FLUSH_S)
        except KafkaException as error:
            self._end_producer()
            if _is_too_large(error.args[0]):
                raise RefusedError(f"Kafka: {error}") from None
            raise self._error(error.args[0].str()) from None
        except BufferError as error:
            self._end_producer()
            raise OutputError(f"Kafka: {error}") from None
        if left or errors:
            self._end_producer()
            if errors and _is_too_large(errors[0]):
                raise RefusedError(f"Kafka: {errors[0].str()}")
            text = errors[0].str() if errors else "no answer"
            raise self._error(text)
        self._fault = ""

    def _end_producer(self) -> None:
        """Drop what the producer still has in memory: it comes again, and must not be doubled."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _messages(self, item: Item) -> list[dict[str, Any]]:
        is_rows = isinstance(item, Rows)
        if isinstance(item, Rows):
            texts = row_text.rows_to_json_parts(item, _MAX_BYTES)
        else:
            texts = [json.dumps(item.content).encode()]
        headers = row_text.identity(item)
        return [
            {
                "topic": f"{self._prefix}.{'rows' if is_rows else 'notes'}",
                "key": item.unit.encode(),
                "value": text,
                "headers": headers if len(texts) == 1 else {**headers, "part": str(part)},
            }
            for part, text in enumerate(texts)
        ]

    def close(self) -> None:
        """End the producer."""
        self._producer = None


def _is_too_large(error: object) -> bool:
    return isinstance(error, KafkaError) and error.code() in _TOO_LARGE


def _read_properties(path: Path) -> dict[str, str]:
    properties = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise DeployError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise DeployError(f"{path}: not a text") from None
    for number, line in enumerate(lines, 1):
        name, equals, value = line.partition("=")
        if line.strip() and not line.startswith("#"):
            if not equals:
                raise DeployError(f"{path}:{number}: not name=value")
            properties[name.strip()] = value.strip()
    for name, text in properties.items():
        fixed = _FIXED.get(_OTHER_NAMES.get(name, name), text)
        if text.lower() not in (fixed, "-1" if fixed == "all" else fixed):
            raise DeployError(f"{path}: {name}={text}: a receipt needs {fixed}")
    return properties
