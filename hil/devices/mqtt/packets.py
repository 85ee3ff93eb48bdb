# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 packets described with construct, for the emulated broker.

It is independent of the agent's codec. Source: OASIS MQTT 3.1.1, sections 2 and 3. A body is the
part after the fixed header. `split_packets` takes whole packets from a buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from struct import error as StructError  # noqa: N812 - beside the other exceptions

from construct import (
    BitsInteger,
    BitStruct,
    ConstructError,
    Flag,
    GreedyBytes,
    GreedyRange,
    If,
    Int8ub,
    Int16ub,
    PascalString,
    Prefixed,
    Struct,
    Terminated,
    VarInt,
    this,
)

MALFORMED = (ConstructError, UnicodeDecodeError, StructError)
"""Exceptions of parsing an invalid body; the last one is of a compiled parser."""


class PacketType(IntEnum):
    """Packet types, the upper half of the first byte."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class TooLongError(ValueError):
    """A packet is longer than the broker's limit, or its length field is invalid."""


_TEXT = PascalString(Int16ub, "utf8")
_BYTES = Prefixed(Int16ub, GreedyBytes)

CONNECT = Struct(
    "protocol" / _TEXT,
    "level" / Int8ub,
    "flags"
    / BitStruct(
        "username" / Flag,
        "password" / Flag,
        "will_retain" / Flag,
        "will_qos" / BitsInteger(2),
        "will" / Flag,
        "clean" / Flag,
        "reserved" / Flag,
    ),
    "keepalive_s" / Int16ub,
    "client_id" / _TEXT,
    "will_topic" / If(this.flags.will, _TEXT),
    "will_payload" / If(this.flags.will, _BYTES),
    "username" / If(this.flags.username, _TEXT),
    "password" / If(this.flags.password, _BYTES),
    Terminated,
)
PUBLISH = Struct("topic" / _TEXT, "payload" / GreedyBytes)
PUBLISH_WITH_ID = Struct("topic" / _TEXT, "id" / Int16ub, "payload" / GreedyBytes).compile()
"""Compiled by construct: one arrives each second."""
PACKET_ID = Int16ub.compile()
ID_ONLY = Struct("id" / Int16ub, Terminated)
SUBSCRIBE = Struct(
    "id" / Int16ub,
    "wanted" / GreedyRange(Struct("filter" / _TEXT, "qos" / Int8ub)),
    Terminated,
)
UNSUBSCRIBE = Struct("id" / Int16ub, "filters" / GreedyRange(_TEXT), Terminated)
SUBACK = Struct("id" / Int16ub, "codes" / GreedyRange(Int8ub))

_LENGTH_BYTES = 4


def build_packet(packet_type: PacketType, body: bytes = b"", flags: int = 0) -> bytes:
    """Build a whole packet: fixed header and body."""
    return bytes((packet_type << 4 | flags,)) + _build_length(len(body)) + bytes(body)


@lru_cache(256)
def _build_length(length: int) -> bytes:
    return bytes(VarInt.build(length))


def split_packets(buffer: bytes, max_length: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield whole packets as (first byte, body, end position); raises `TooLongError`.

    Bytes after the last whole packet are an incomplete packet.
    """
    start, end = 0, len(buffer)
    while end - start >= 2:
        length = shift = 0
        at = start + 1
        while True:
            if at == end:
                return
            byte = buffer[at]
            length |= (byte & 0x7F) << shift
            at += 1
            shift += 7
            if byte < 0x80:
                break
            if at - start > _LENGTH_BYTES:
                raise TooLongError("remaining length: more than four bytes")
        if length > max_length:
            raise TooLongError(f"packet length {length}: above the limit")
        if at + length > end:
            return
        yield buffer[start], buffer[at : at + length], at + length
        start = at + length
