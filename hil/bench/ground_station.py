# SPDX-License-Identifier: Apache-2.0
"""The ground side of the MQTT link in virtual time: stores log records and sends receipts.

Does not replace the ground relay; see `deploy.relay`. It does the part of a relay that scenarios
need to judge the log. It also checks the flash of the unit. If the unit deletes a segment, `lost`
counts each record of it that the ground does not have.

Faults are plain attributes:

silent     the ground sends no receipts
forging    the ground sends forged receipts after each true one
delay_us   delay of the receipts, µs
"""

from typing import NamedTuple, Protocol

from agent.log import segment
from hil.devices.base import FaultTarget
from hil.devices.mqtt.broker import Broker
from hil.devices.mqtt.session import QueuedPublish
from hil.io.store_endpoint import StoreEndpoint
from hil.kernel.world import World
from protocols.errors import DecodeError
from protocols.telemetry import merged_block, receipt
from protocols.telemetry.message import MERGED, ROWS, parse_message


class RecordId(NamedTuple):
    """Identifies a record: generation of the log, and number in it."""

    generation: bytes
    number: int


class GroundRecord(NamedTuple):
    """A record as the ground received it."""

    kind: int
    payload: bytes


_RECEIPT_DELAY_US = 50_000


class GroundHost(Protocol):
    """The attributes of a testbed that the ground uses."""

    world: World
    broker: Broker
    stores: dict[str, StoreEndpoint]

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Let the broker publish a message."""


class MqttGround(FaultTarget):
    """The records of the unit `unit_path` ("SITE/UNIT") that the ground received.

    `key` authenticates the receipts; b"": without authentication. `records`, `arrival_order` and
    `arrival_us` describe the records. `duplicates` counts records that came again, and `conflicts`
    those of them with other content.
    """

    FAULTS = frozenset(("silent", "forging"))

    def __init__(self, testbed: GroundHost, unit_path: str, key: bytes = b"") -> None:
        self.records: dict[RecordId, GroundRecord] = {}
        self.arrival_order: list[RecordId] = []
        self.arrival_us: dict[RecordId, int] = {}
        self.duplicates = 0
        self.conflicts = 0
        self.lost = 0
        self.payload_bytes = 0
        """Bytes of the received records, as coded."""
        self.silent = False
        self.forging = False
        self.delay_us = _RECEIPT_DELAY_US
        self._testbed = testbed
        self._unit_path = unit_path
        self._key = key
        self._tele_topic = f"coldloop/v1/{unit_path}/tele"
        testbed.broker.observe_messages(self._on_message)
        self.watch_store(testbed.stores["log"])

    def watch_store(self, store: StoreEndpoint) -> None:
        """Check the flash of a controller of the unit, too."""
        store.observe_deletes(self._on_deleted)

    def _on_message(self, message: QueuedPublish) -> None:
        if message.topic != self._tele_topic:
            return
        try:
            generation, records, _ = parse_message(message.payload)
        except DecodeError:
            return  # telemetry as JSON, from a unit without a log
        ranges = []
        for number, kind, payload in records:
            self.payload_bytes += len(payload)
            if kind == MERGED:
                for index, block in enumerate(merged_block.split_blocks(payload)):
                    ranges.append(self._store_record(generation, number + 4 * index, ROWS, block))
            else:
                ranges.append(self._store_record(generation, number, kind, payload))
        if not self.silent:
            world = self._testbed.world
            world.schedule(world.now + self.delay_us, self._send_receipts, generation, ranges)

    def _store_record(
        self, generation: bytes, number: int, kind: int, payload: bytes
    ) -> tuple[int, int, int]:
        key = RecordId(generation, number)
        if key in self.records:
            self.duplicates += 1
            self.conflicts += self.records[key] != (kind, payload)
        else:
            self.records[key] = GroundRecord(kind, payload)
            self.arrival_order.append(key)
            self.arrival_us[key] = self._testbed.world.now
        return number & 3, number >> 2, number >> 2

    def _send_receipts(self, generation: bytes, ranges: list[tuple[int, int, int]]) -> None:
        topic = f"coldloop/v1/{self._unit_path}/ack"
        for index in range(0, len(ranges), receipt.MAX_RANGES):
            message = receipt.Receipt(generation, 0, ranges[index : index + receipt.MAX_RANGES])
            data = receipt.build_receipt(message, self._unit_path, self._key)
            self._testbed.publish(topic, data, False)
            if self.forging:
                self._testbed.publish(topic, data[:-1] + bytes([data[-1] ^ 1]), False)
                self._testbed.publish(topic, data, False)
                future_receipt = receipt.Receipt(
                    generation, 0, [(group, 1, 1 << 30) for group in range(4)]
                )
                self._testbed.publish(
                    topic, receipt.build_receipt(future_receipt, self._unit_path, self._key), False
                )

    def _on_deleted(self, key: str, content: bytes) -> None:
        parsed_name = segment.parse_name(key)
        if parsed_name is None:
            return
        generation, group, _ = parsed_name
        for record in segment.scan(content, generation, group).records:
            for record_number in range(record.ident, record.last_ident + 1):
                record_id = RecordId(generation, record_number * 4 + group)
                self.lost += record_id not in self.records
