# SPDX-License-Identifier: Apache-2.0
"""Satcom envelope: decodes the datagrams of a satellite carrier.

Does not connect to a gateway and does not define the format; see `protocols.datagram`. A datagram
holds a telemetry message of the log, or alarms, or a row of all readings. Alarms and rows have no
record in a log; they become notes. A datagram with the same number and the same content as an
earlier one is acknowledged and discarded; see `records.datagram_numbers`.
"""

import json
from dataclasses import dataclass, field

from deploy.relay.records.database import RelayDatabase
from protocols import datagram
from protocols.errors import DecodeError
from protocols.telemetry import message as telemetry_message

_FORMS = (datagram.SINGLE, datagram.FRAGMENT)
_GENERATION = b"datagram"
"""Key of the fragments in the database. A log generation has three bytes, so it cannot be equal."""
_ALARM_HEADER, _ROW_HEADER = 5, 6
_MAX_ALARMS, _MAX_SHIFT = 1000, 63


@dataclass(slots=True)
class DecodedDatagram:
    """Content of a datagram: number, telemetry message or b"", notes as JSON.

    `number` is None while fragments are missing.
    """

    number: int | None
    telemetry: bytes = b""
    notes: list[bytes] = field(default_factory=list)
    is_duplicate: bool = False


def is_datagram(message: bytes) -> bool:
    """Return whether a message is a datagram and not a telemetry message."""
    return len(message) >= datagram.HEADER_BYTES and message[0] & 0xF0 in _FORMS


def decode_datagram(database: RelayDatabase, unit: str, message: bytes) -> DecodedDatagram:
    """Decode a datagram. Needs a transaction. DecodeError: the fragments are deleted."""
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
    if content[:1] in (bytes([telemetry_message.PACK]), bytes([telemetry_message.FRAGMENT])):
        decoded.telemetry = content
        return decoded
    notes = _decode_notes(fragment.kind, content)
    if database.is_new_datagram(unit, fragment.number, content, _latest_utc(notes)):
        decoded.notes = [_note_json(note, fragment.number) for note in notes]
    else:
        decoded.is_duplicate = True
    return decoded


def _latest_utc(notes: list[dict[str, object]]) -> int:
    """Return the latest UTC of notes, s; 0: none has one."""
    times = [note.get("utc_s") for note in notes]
    return max([seconds for seconds in times if isinstance(seconds, int)], default=0)


def _note_json(note: dict[str, object], number: int) -> bytes:
    return json.dumps({**note, "datagram": number}, separators=(",", ":")).encode()


def _decode_notes(kind: int, content: bytes) -> list[dict[str, object]]:
    if kind == datagram.ALARM:
        return _decode_alarms(content)
    if kind == datagram.LIVE and len(content) >= _ROW_HEADER:
        return [_decode_row(content)]
    return [{"class": datagram.CLASSES[kind], "bytes": content.hex()}]


def _decode_alarms(content: bytes) -> list[dict[str, object]]:
    """Decode records: 1 byte length, 1 byte raised/cleared, 4 bytes UTC in s, `code: text`."""
    alarms: list[dict[str, object]] = []
    at = 0
    while at < len(content):
        record, at = content[at + 1 : at + 1 + content[at]], at + 1 + content[at]
        if len(alarms) >= _MAX_ALARMS:
            raise DecodeError(f"more than {_MAX_ALARMS} alarms")
        if len(record) < _ALARM_HEADER:
            raise DecodeError("an alarm record is truncated")
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
    """Decode a row: 4 bytes UTC in s, 2 bytes CRC of the point names, a varint for each point."""
    values: list[int | None] = []
    value = shift = 0
    for byte in content[_ROW_HEADER:]:
        if shift > _MAX_SHIFT:
            raise DecodeError("a value of more than 70 bits")
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
