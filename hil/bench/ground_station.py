"""The ground in virtual time: takes a unit's parcels from the broker, keeps count, gives receipts.

Not the relay (that is `deploy/relay`, on real brokers): only as much of one as a scenario needs to
judge the log. It knows the truth about the unit's flash, too: a segment that is deleted although
the ground has not all of its records is counted, record by record (`lost`).

Faults, plain attributes: `mute` (no receipts), `forge` (each true receipt is followed by forged
ones), `delay_us` (of receipts). `key` signs the receipts.
"""

from agent.log import segment
from hil.bench.testbed import Row
from hil.devices.mqtt.session import Message
from protocols.errors import DecodeError
from protocols.telemetry import merged_block, receipt
from protocols.telemetry import message as parcel

Number = tuple[bytes, int]
"""Life of the log, number of the record."""

_DELAY_US = 50_000


class Ground:
    """What is kept on the ground of the unit `where` ("SITE/UNIT") of `row`."""

    def __init__(self, row: Row, where: str, key: bytes = b"") -> None:
        self.kept: dict[Number, tuple[int, bytes]] = {}
        self.order: list[Number] = []
        self.arrived: dict[Number, int] = {}
        self.twice = 0
        self.differing = 0
        self.lost = 0
        self.payload = 0
        """Bytes of the records as they came."""
        self.mute = False
        self.forge = False
        self.delay_us = _DELAY_US
        self._row = row
        self._where = where
        self._key = key
        self._tele = f"coldloop/v1/{where}/tele"
        self._before = row.broker.on_message
        row.broker.on_message = self._heard
        row.stores["log"].on_delete = self._deleted

    def _heard(self, message: Message) -> None:
        if self._before is not None:
            self._before(message)
        if message.topic != self._tele:
            return
        try:
            life, records, _ = parcel.read(message.payload)
        except DecodeError:
            return  # a row as JSON, of a unit without a log
        ranges = []
        for number, kind, payload in records:
            self.payload += len(payload)
            if kind == parcel.MERGED:
                for at, block in enumerate(merged_block.split(payload)):
                    ranges.append(self._take(life, number + 4 * at, parcel.ROWS, block))
            else:
                ranges.append(self._take(life, number, kind, payload))
        if not self.mute:
            world = self._row.world
            world.at(world.now + self.delay_us, self._say, life, ranges)

    def _take(self, life: bytes, number: int, kind: int, payload: bytes) -> tuple[int, int, int]:
        key = (life, number)
        if key in self.kept:
            self.twice += 1
            self.differing += self.kept[key] != (kind, payload)
        else:
            self.kept[key] = (kind, payload)
            self.order.append(key)
            self.arrived[key] = self._row.world.now
        return number & 3, number >> 2, number >> 2

    def _say(self, life: bytes, ranges: list[tuple[int, int, int]]) -> None:
        topic = f"coldloop/v1/{self._where}/ack"
        for at in range(0, len(ranges), receipt.MOST_RANGES):
            said = receipt.Receipt(life, 0, ranges[at : at + receipt.MOST_RANGES])
            data = receipt.write(said, self._where, self._key)
            self._row.publish(topic, data, False)
            if self.forge:
                self._row.publish(topic, data[:-1] + bytes([data[-1] ^ 1]), False)
                self._row.publish(topic, data, False)
                far = receipt.Receipt(life, 0, [(group, 1, 1 << 30) for group in range(4)])
                self._row.publish(topic, receipt.write(far, self._where, self._key), False)

    def _deleted(self, key: str, content: bytes) -> None:
        name = segment.parse_name(key)
        if name is None:
            return
        life, group, _ = name
        for record in segment.scan(content, life, group).records:
            for ident in range(record.ident, record.last + 1):
                self.lost += (life, ident * 4 + group) not in self.kept
