"""Datagrams of a unit's satellite carrier: the envelope opened, the content told apart.

Not a connection and not the envelope's format (protocols.datagram). What is inside is either a
parcel of the log, which then goes the way of every parcel, or a few bytes that have no record in
any log: alarms, or a row of all readings. Those become notes. A message that came before, with the
same number and the same content, is only confirmed.
"""

import json
from dataclasses import dataclass, field

from deploy.relay.database import Memory
from protocols import datagram
from protocols.errors import DecodeError
from protocols.telemetry import message as parcel

_FORMS = (datagram.WHOLE, datagram.FRAGMENT)
_LIFE = b"datagram"
"""Where the memory keeps fragments; a log's life has three bytes."""
_ALARM_HEAD, _ROW_HEAD = 5, 6


@dataclass(slots=True)
class Opened:
    """What a datagram gave: the message's number, a parcel or b"", notes as JSON.

    `number` is None while fragments are missing.
    """

    number: int | None
    parcel: bytes = b""
    notes: list[bytes] = field(default_factory=list)
    known: bool = False


def looks_like(message: bytes) -> bool:
    """Say whether a message is a datagram of a carrier, and no parcel."""
    return len(message) >= datagram.HEAD and message[0] & 0xF0 in _FORMS


def open_up(memory: Memory, unit: str, message: bytes) -> Opened:
    """Open one. Inside a transaction. Raises DecodeError; the pieces of a bad message are gone."""
    part = datagram.unpack(message)
    content = part.data
    if not part.whole:
        body = memory.piece(unit, _LIFE, part.number, part.index, part.last + 1, part.data)
        if body is None:
            return Opened(None)
        content = datagram.join([body])
    opened = Opened(part.number)
    if content[:1] in (bytes([parcel.PACK]), bytes([parcel.PIECE])):
        opened.parcel = content
    elif memory.heard(unit, part.number, content):
        opened.notes = [_text(note, part.number) for note in _notes(part.kind, content)]
    else:
        opened.known = True
    return opened


def _text(said: dict[str, object], number: int) -> bytes:
    return json.dumps({**said, "datagram": number}, separators=(",", ":")).encode()


def _notes(kind: int, content: bytes) -> list[dict[str, object]]:
    if kind == datagram.ALARM:
        return _alarms(content)
    if kind == datagram.LIVE and len(content) >= _ROW_HEAD:
        return [_row(content)]
    return [{"class": datagram.CLASSES[kind], "bytes": content.hex()}]


def _alarms(content: bytes) -> list[dict[str, object]]:
    """Read records of 1 b length, 1 b raised or cleared, 4 b UTC seconds, `code: text`."""
    found: list[dict[str, object]] = []
    while content:
        record, content = content[1 : 1 + content[0]], content[1 + content[0] :]
        if len(record) < _ALARM_HEAD:
            raise DecodeError("an alarm is cut off")
        code, _, text = record[_ALARM_HEAD:].decode("utf-8", "replace").partition(": ")
        seconds = int.from_bytes(record[1:_ALARM_HEAD], "big")
        found.append(
            {
                "alarm": "raised" if record[0] == 1 else "cleared",
                "code": code,
                "text": text,
                "utc_s": seconds or None,
            }
        )
    return found


def _row(content: bytes) -> dict[str, object]:
    """Read a row: 4 b UTC seconds, 2 b CRC of the points' names, then a varint a point."""
    values: list[int | None] = []
    value = shift = 0
    for byte in content[_ROW_HEAD:]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            zigzag = value - 1
            values.append(None if zigzag < 0 else zigzag >> 1 ^ -(zigzag & 1))
            value = shift = 0
    return {
        "utc_s": int.from_bytes(content[:4], "big") or None,
        "names_crc": content[4:_ROW_HEAD].hex(),
        "raw": values,
    }
