# SPDX-License-Identifier: Apache-2.0
"""The ground behind the emulated message gateway: decodes and acknowledges datagrams.

Does not replace the ground relay; see `deploy.relay`. It keeps the data for the measures: alarms
with their times, and the number of messages of each class.
"""

from typing import NamedTuple

from hil.devices.base import FaultTarget
from hil.devices.satcom.gateway import MessageGateway, UplinkDatagram
from protocols import datagram
from protocols.errors import DecodeError


class ReceivedAlarm(NamedTuple):
    """A received alarm: time in µs, text, raised (True) or cleared (False)."""

    at_us: int
    text: str
    is_raised: bool


class SatcomGround(FaultTarget):
    """Receives the datagrams of `gateway`.

    `key` and `unit` are those of the unit's configuration; no key: the ground sends no answers.
    Faults are plain attributes:

    silent    the ground does not acknowledge
    forging   the ground acknowledges with a wrong key
    """

    FAULTS = frozenset(("silent", "forging"))

    def __init__(self, gateway: MessageGateway, unit: str, key: bytes = b"") -> None:
        self.silent = False
        self.forging = False
        self.counts = dict.fromkeys(datagram.CLASSES, 0)
        self.duplicates = 0
        self.undecodable = 0
        self.alarms: list[ReceivedAlarm] = []
        self.last_ack = b""
        self._gateway = gateway
        self._unit = unit
        self._key = key
        self._received_numbers: set[int] = set()
        self._fragments: dict[int, dict[int, bytes]] = {}
        gateway.observe_messages(self.receive)

    @property
    def messages(self) -> int:
        """Number of received messages without duplicates."""
        return sum(self.counts.values())

    def receive(self, uplink: UplinkDatagram) -> None:
        """Process one datagram."""
        try:
            fragment = datagram.unpack(uplink.content)
            content = fragment.data if fragment.is_single else self._join_fragments(fragment)
        except DecodeError:
            self.undecodable += 1
            return
        if content is None:
            return
        if fragment.number in self._received_numbers:
            self.duplicates += 1
        else:
            self._received_numbers.add(fragment.number)
            self.counts[datagram.CLASSES[fragment.kind]] += 1
            if fragment.kind == datagram.ALARM:
                self._read_alarms(content, uplink.at_us)
        self._acknowledge(fragment.number, uplink.serial)

    def _join_fragments(self, fragment: datagram.Fragment) -> bytes | None:
        fragments = self._fragments.setdefault(fragment.number, {})
        fragments[fragment.index] = fragment.data
        if len(fragments) <= fragment.last_index:
            return None
        return datagram.reassemble([fragments[i] for i in range(fragment.last_index + 1)])

    def _read_alarms(self, content: bytes, at_us: int) -> None:
        while content and content[0] >= 5:
            record, content = content[1 : 1 + content[0]], content[1 + content[0] :]
            text = record[5:].decode(errors="replace")
            self.alarms.append(ReceivedAlarm(at_us, text, record[0] == 1))

    def _acknowledge(self, number: int, serial: str) -> None:
        if not self._key or self.silent:
            return
        key = bytes(32) if self.forging else self._key
        self.last_ack = datagram.pack_ack(key, self._unit, [(number, 0)])
        self._gateway.queue_downlink(serial, self.last_ack)
