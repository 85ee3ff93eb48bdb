# SPDX-License-Identifier: Apache-2.0
"""Text outputs: JSON over MQTT, a file in InfluxDB's line protocol.

Does not write the texts; see `row_text`.
"""

import json
import os
from pathlib import Path

from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.alarm_output import catalogue_fields
from deploy.relay.outputs.base import Output, OutputContext, OutputError, check_topic
from deploy.relay.outputs.file_check import check_file
from deploy.relay.outputs.text import row_text

_MAX_FILE_BYTES = 64 << 20
_MAX_MESSAGE_BYTES = 60_000


class JsonOutput(Output):
    """Publishes `TOPIC/SITE/UNIT/rows` and `TOPIC/SITE/UNIT/notes`, QoS 1.

    An item is delivered when the broker has acknowledged it (PUBACK). The broker drops a message
    without a subscriber. So if receipts wait for this output, a subscriber is needed too. A
    block above 60 kB becomes several messages with some rows each: the broker that is shipped drops
    what is above 64 KiB.
    """

    USES_BROKER = True

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        check_topic("json", context.argument)

    def check(self) -> None:
        """Publish an empty message: a broker with MQTT 5 refuses it without a right."""
        self.context.publisher.publish(f"{self.context.argument}/_check", b"", 1, False)
        self.context.publisher.flush()

    def deliver(self, items: list[Item]) -> None:
        """Format all items, then publish them, then wait for the broker."""
        messages = [message for item in items for message in self._messages(item)]
        for topic, payload in messages:
            self.context.publisher.publish(topic, payload, 1, False)
        self.context.publisher.flush(needs_subscriber=self.context.is_required)

    def _messages(self, item: Item) -> list[tuple[str, bytes]]:
        topic = f"{self.context.argument}/{item.unit}"
        if isinstance(item, Rows):
            texts = row_text.rows_to_json_parts(item, _MAX_MESSAGE_BYTES)
            return [(f"{topic}/rows", text) for text in texts]
        return [(f"{topic}/notes", _note_text(item))]


def _note_text(note: Note) -> bytes:
    digest = row_text.identity(note).get("digest")
    content = {
        "unit": note.unit,
        "record": note.number,
        **({"log": note.generation} if note.generation else {}),
        **({"digest": digest} if digest else {}),
        **note.content,
        **catalogue_fields(note.content),
    }
    return json.dumps(content, separators=(",", ":")).encode()


class LinesOutput(Output):
    """Appends InfluxDB lines to a file, for a program that reads along.

    The file is on the disk before the items are acknowledged. Not a store: at 64 MiB the file
    becomes FILE.1, and the FILE.1 before it is deleted.
    """

    def check(self) -> None:
        """Open the file for writing, if there is one."""
        check_file(Path(self.context.argument))

    def deliver(self, items: list[Item]) -> None:
        """Append a line for each row. OutputError: the disk."""
        text = "".join(row_text.rows_to_lines(item) for item in items if isinstance(item, Rows))
        path = Path(self.context.argument)
        try:
            with open(path, "a", encoding="utf-8") as file:
                start = file.tell()
                try:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), start)  # no half of a line
                    raise
                is_full = file.tell() >= _MAX_FILE_BYTES
            if is_full:
                path.replace(path.with_name(path.name + ".1"))
        except OSError as error:
            raise OutputError(f"{path}: {error}") from None
