"""The ground behind the emulated gateway: datagrams decoded, duplicates dropped, acknowledged.

Not the relay of a fleet (deploy): a small stand-in that shows what came, for judging. Alarms are
kept as (time, text); messages are counted by class.
"""

from hil.devices.satcom.gateway import MessageGateway, Upward
from protocols import datagram
from protocols.errors import DecodeError


class Ground:
    """Listens to `gateway`. `key` and `unit` as in the unit's configuration; no key: no answers.

    Faults: `silent` (acknowledges nothing), `forge` (acknowledges with a wrong key).
    """

    def __init__(self, gateway: MessageGateway, unit: str, key: bytes = b"") -> None:
        self.silent = False
        self.forge = False
        self.counts = dict.fromkeys(datagram.CLASSES, 0)
        self.duplicates = 0
        self.bad = 0
        self.alarms: list[tuple[int, str, bool]] = []
        self.last_ack = b""
        self._gateway = gateway
        self._unit = unit
        self._key = key
        self._seen: set[int] = set()
        self._parts: dict[int, dict[int, bytes]] = {}
        gateway.on_message = self.take

    @property
    def messages(self) -> int:
        """How many messages came, without duplicates."""
        return sum(self.counts.values())

    def take(self, upward: Upward) -> None:
        """Take one datagram."""
        try:
            part = datagram.unpack(upward.content)
            content = part.data if part.whole else self._joined(part)
        except DecodeError:
            self.bad += 1
            return
        if content is None:
            return
        if part.number in self._seen:
            self.duplicates += 1
        else:
            self._seen.add(part.number)
            self.counts[datagram.CLASSES[part.kind]] += 1
            if part.kind == datagram.ALARM:
                self._read_alarms(content, upward.at)
        self._acknowledge(part.number, upward.serial)

    def _joined(self, part: datagram.Part) -> bytes | None:
        parts = self._parts.setdefault(part.number, {})
        parts[part.index] = part.data
        if len(parts) <= part.last:
            return None
        return datagram.join([parts[i] for i in range(part.last + 1)])

    def _read_alarms(self, content: bytes, at: int) -> None:
        while content and content[0] >= 5:
            record, content = content[1 : 1 + content[0]], content[1 + content[0] :]
            self.alarms.append((at, record[5:].decode(errors="replace"), record[0] == 1))

    def _acknowledge(self, number: int, serial: str) -> None:
        if not self._key or self.silent:
            return
        key = bytes(32) if self.forge else self._key
        self.last_ack = datagram.acknowledge(key, self._unit, [(number, 0)])
        self._gateway.post(serial, self.last_ack)
