"""Datagrams of a unit's satellite carrier: the envelope opened, the content told apart.

Not a connection and not the envelope's format (protocols.datagram). What is inside is either a
parcel of the log, which then goes the way of every parcel, or a few bytes that have no record in
any log: alarms, or a row of all readings. Those become notes. A message that came before, with the
same number and the same content, is only confirmed.
"""

import json
from dataclasses import dataclass, field

from deploy.relay.database import RelayDatabase
from protocols import datagram
from protocols.errors import DecodeError
from protocols.telemetry import message as parcel

_FORMS = (datagram.SINGLE, datagram.FRAGMENT)
_GENERATION = b"datagram"
"""Where the memory keeps fragments; a log's life has three bytes."""
_ALARM_HEADER, _ROW_HEADER = 5, 6


@dataclass(slots=True)
class DecodedDatagram:
    """What a datagram gave: the message's number, a parcel or b"", notes as JSON.

    `number` is None while fragments are missing.
    """

    number: int | None
    telemetry: bytes = b""
    notes: list[bytes] = field(default_factory=list)
    is_duplicate: bool = False


def is_datagram(message: bytes) -> bool:
    """Say whether a message is a datagram of a carrier, and no parcel."""
    return len(message) >= datagram.HEADER_BYTES and message[0] & 0xF0 in _FORMS


def decode_datagram(database: RelayDatabase, unit: str, message: bytes) -> DecodedDatagram:
    """Open one. Inside a transaction. Raises DecodeError; the pieces of a bad message are gone."""
    fragment = datagram.unpack(message)
    content = fragment.data
    if not fragment.is_single:
        body = database.add_chunk(
            unit,
            _GENERATION,
            fragment.number,
            fragment.index,
            fragment.last_index + 1,
            fragment.data,
        )
        if body is None:
            return DecodedDatagram(None)
        content = datagram.reassemble([body])
    decoded = DecodedDatagram(fragment.number)
    if content[:1] in (bytes([parcel.PACK]), bytes([parcel.FRAGMENT])):
        decoded.telemetry = content
    elif database.datagram_seen(unit, fragment.number, content):
        decoded.notes = [
            _note_json(note, fragment.number) for note in _decode_notes(fragment.kind, content)
        ]
    else:
        decoded.is_duplicate = True
    return decoded


def _note_json(note: dict[str, object], number: int) -> bytes:
    return json.dumps({**note, "datagram": number}, separators=(",", ":")).encode()


def _decode_notes(kind: int, content: bytes) -> list[dict[str, object]]:
    if kind == datagram.ALARM:
        return _decode_alarms(content)
    if kind == datagram.LIVE and len(content) >= _ROW_HEADER:
        return [_decode_row(content)]
    return [{"class": datagram.CLASSES[kind], "bytes": content.hex()}]


def _decode_alarms(content: bytes) -> list[dict[str, object]]:
    """Read records of 1 b length, 1 b raised or cleared, 4 b UTC seconds, `code: text`."""
    alarms: list[dict[str, object]] = []
    while content:
        record, content = content[1 : 1 + content[0]], content[1 + content[0] :]
        if len(record) < _ALARM_HEADER:
            raise DecodeError("an alarm is cut off")
        code, _, text = record[_ALARM_HEADER:].decode("utf-8", "replace").partition(": ")
        seconds = int.from_bytes(record[1:_ALARM_HEADER], "big")
        alarms.append(
            {
                "alarm": "raised" if record[0] == 1 else "cleared",
                "code": code,
                "text": text,
                "utc_s": seconds or None,
            }
        )
    return alarms


def _decode_row(content: bytes) -> dict[str, object]:
    """Read a row: 4 b UTC seconds, 2 b CRC of the points' names, then a varint a point."""
    values: list[int | None] = []
    value = shift = 0
    for byte in content[_ROW_HEADER:]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            zigzag = value - 1
            values.append(None if zigzag < 0 else zigzag >> 1 ^ -(zigzag & 1))
            value = shift = 0
    return {
        "utc_s": int.from_bytes(content[:4], "big") or None,
        "names_crc": content[4:_ROW_HEADER].hex(),
        "raw": values,
    }
