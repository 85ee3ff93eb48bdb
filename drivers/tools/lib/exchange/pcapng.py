# SPDX-License-Identifier: Apache-2.0
"""A capture of Modbus RTU frames as a pcapng file, which Wireshark opens and decodes.

Does not read such files, but knows them by their first bytes. Format: draft-ietf-opsawg-pcapng,
little-endian blocks. The link type is 252 (LINKTYPE_WIRESHARK_UPPER_PDU). Each packet begins with
tags that name the dissector (mbrtu, or data for bytes that are no frame) and the port of the slave,
so that Wireshark distinguishes requests from replies without any setting. Times are microseconds of
UTC.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_SECTION_HEADER, _INTERFACE_DESCRIPTION, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 6
_LINK_TYPE = 252
_OPTION_END, _OPTION_COMMENT = 0, 1
_TAG_END, _TAG_DISSECTOR, _TAG_PORT_TYPE, _TAG_SOURCE, _TAG_DESTINATION = 0, 12, 24, 25, 26
_PORT_TYPE_TCP = 2
_SLAVE_PORT, _MASTER_PORT = 502, 50000  # 502 is the default port of the dissector


def _encode_block(type_code: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack("<II", type_code, size) + body + struct.pack("<I", size)


def _pad_to_4_bytes(payload: bytes) -> bytes:
    return payload + bytes(-len(payload) % 4)


def _encode_tag(type_code: int, payload: bytes) -> bytes:
    payload = _pad_to_4_bytes(payload)
    return struct.pack(">HH", type_code, len(payload)) + payload


def is_replaceable(path: "Path") -> bool:
    """Return whether a capture with this name replaces no file of another kind."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        head = file.read(4)
    return head in (b"", struct.pack("<I", _SECTION_HEADER))


class PcapngWriter:
    """Writes one capture to an open binary file."""

    def __init__(self, file: "BinaryIO", interface: str) -> None:
        """Write the head; `interface` is the name of the port."""
        self._file = file
        interface_name = interface.encode()
        options = (
            struct.pack("<HH", 2, len(interface_name))
            + _pad_to_4_bytes(interface_name)
            + struct.pack("<HH", 0, 0)
        )
        file.write(_encode_block(_SECTION_HEADER, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(
            _encode_block(_INTERFACE_DESCRIPTION, struct.pack("<HHI", _LINK_TYPE, 0, 0) + options)
        )
        file.flush()

    def write(
        self, payload: bytes, utc_us: int, from_master: bool, is_frame: bool, comment: str
    ) -> None:
        """Write one frame or other bytes; `comment` is its comment, empty for none."""
        source, destination = _SLAVE_PORT, _MASTER_PORT
        if from_master:
            source, destination = destination, source
        packet = _encode_tag(_TAG_DISSECTOR, b"mbrtu" if is_frame else b"data")
        packet += _encode_tag(_TAG_PORT_TYPE, struct.pack(">I", _PORT_TYPE_TCP))
        packet += _encode_tag(_TAG_SOURCE, struct.pack(">I", source))
        packet += _encode_tag(_TAG_DESTINATION, struct.pack(">I", destination))
        packet += struct.pack(">HH", _TAG_END, 0) + payload
        packet_header = struct.pack(
            "<IIIII", 0, utc_us >> 32, utc_us & 0xFFFFFFFF, len(packet), len(packet)
        )
        options = b""
        if comment:
            text = comment.encode()
            options = struct.pack("<HH", _OPTION_COMMENT, len(text)) + _pad_to_4_bytes(text)
            options += struct.pack("<HH", _OPTION_END, 0)
        self._file.write(
            _encode_block(_ENHANCED_PACKET, packet_header + _pad_to_4_bytes(packet) + options)
        )
        self._file.flush()
