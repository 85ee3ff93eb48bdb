# SPDX-License-Identifier: Apache-2.0
"""Sparkplug B payloads: a Protocol Buffers encoder for the messages of an edge node.

Does not decode payloads, except commands. Values are doubles, booleans, int64, texts or bytes.
UInt32 is not used: a common decoder returns no value for it. SOURCE: Eclipse Sparkplug 3.0, 6.4
(payload and metric), and `sparkplug_b.proto` of Eclipse Tahu (field numbers).
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

INT64, DOUBLE, BOOLEAN, STRING, BYTES = 4, 10, 11, 12, 17
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_METRIC = 2  # field numbers
_NAME, _BOOLEAN_VALUE = 1, 14
_STRING_VALUE = 15
_BYTES_VALUE = 16
REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"
SIGNED_COMMAND = "Commands/Signed"
"""Metric of a device: a signed message for the unit, as bytes or as a text of hex digits."""
COMMAND_ANSWER = "Commands/Answer"
"""Metric of a device: results and rejections of its last messages, a JSON object."""

Value = float | bool | int | str | None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: a name (in births), an alias, or both; `at_ms` is the time of the value."""

    value: Value
    datatype: int
    at_ms: int
    name: str = ""
    alias: int | None = None
    historical: bool = False


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, kind: int, data: bytes) -> bytes:
    return _varint(number << 3 | kind) + data


def _bytes_field(number: int, data: bytes) -> bytes:
    return _field(number, _BYTES, _varint(len(data)) + data)


def _encode_metric(metric: Metric) -> bytes:
    out = bytearray()
    if metric.name:
        out += _bytes_field(1, metric.name.encode())
    if metric.alias is not None:
        out += _field(2, _VARINT, _varint(metric.alias))
    out += _field(3, _VARINT, _varint(metric.at_ms))
    out += _field(4, _VARINT, _varint(metric.datatype))
    if metric.historical:
        out += _field(5, _VARINT, b"\1")
    value = metric.value
    if value is None:
        return bytes(out + _field(7, _VARINT, b"\1"))
    if metric.datatype == INT64:
        out += _field(11, _VARINT, _varint(int(value)))
    elif metric.datatype == DOUBLE:
        out += _field(13, _FIXED64, struct.pack("<d", value))
    elif metric.datatype == BOOLEAN:
        out += _field(14, _VARINT, b"\1" if value else b"\0")
    else:
        out += _bytes_field(15, str(value).encode())
    return bytes(out)


def encode_payload(metrics: Iterable[Metric], at_ms: int, seq: int | None) -> bytes:
    """Encode a payload; an NDEATH has no `seq`."""
    out = bytearray(_field(1, _VARINT, _varint(at_ms)))
    for metric in metrics:
        out += _bytes_field(2, _encode_metric(metric))
    if seq is not None:
        out += _field(3, _VARINT, _varint(seq))
    return bytes(out)


def _read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Split a message: (field number, value). Raises ValueError."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("a payload that is cut off")
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(data):
        tag = number()
        kind = tag & 7
        if kind == _VARINT:
            yield tag >> 3, number()
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind) or (number() if kind == _BYTES else -1)
        if length < 0 or at + length > len(data):
            raise ValueError("a payload that is cut off")
        yield tag >> 3, data[at : at + length]
        at += length


def _read_metrics(data: bytes) -> Iterator[dict[int, int | bytes]]:
    """Return the fields of each metric of a payload. Raises ValueError."""
    for number, metric in _read_fields(data):
        if number == _METRIC and isinstance(metric, bytes):
            yield dict(_read_fields(metric))


def is_rebirth_request(data: bytes) -> bool:
    """Return whether the payload of an NCMD requests the birth messages."""
    try:
        metrics = list(_read_metrics(data))
    except ValueError:
        return False
    return any(
        fields.get(_NAME) == REBIRTH.encode() and fields.get(_BOOLEAN_VALUE) == 1
        for fields in metrics
    )


def read_signed_commands(data: bytes) -> list[bytes]:
    """Return the signed messages of the payload of a DCMD. Raises ValueError."""
    messages = []
    for fields in _read_metrics(data):
        if fields.get(_NAME) != SIGNED_COMMAND.encode():
            continue
        content, text = fields.get(_BYTES_VALUE), fields.get(_STRING_VALUE)
        if isinstance(content, bytes):
            messages.append(content)
        elif isinstance(text, bytes):
            messages.append(bytes.fromhex(text.decode()))
    return messages
