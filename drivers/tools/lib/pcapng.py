# SPDX-License-Identifier: Apache-2.0
"""A capture of Modbus RTU frames as a pcapng file, which Wireshark opens and decodes.

Does not read such files. Format: draft-ietf-opsawg-pcapng, little-endian blocks. The link type is
252 (LINKTYPE_WIRESHARK_UPPER_PDU). Each packet begins with tags that name the dissector (mbrtu, or
data for bytes that are no frame) and the port of the slave, so that Wireshark distinguishes
requests from replies without any setting. Times are microseconds of UTC.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_LINK_TYPE = 252
_OPTION_END, _OPTION_COMMENT = 0, 1
_TAG_END, _TAG_DISSECTOR, _TAG_PORT_TYPE, _TAG_SOURCE, _TAG_DESTINATION = 0, 12, 24, 25, 26
_PORT_TYPE_TCP = 2
_SLAVE_PORT, _MASTER_PORT = 502, 50000  # 502 is the default port of the dissector


def _block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _tag(kind: int, data: bytes) -> bytes:
    data = _padded(data)
    return struct.pack(">HH", kind, len(data)) + data


class PcapngWriter:
    """Writes one capture to an open binary file."""

    def __init__(self, file: "BinaryIO", interface: str) -> None:
        """Write the head; `interface` is the name of the port."""
        self._file = file
        name = interface.encode()
        options = struct.pack("<HH", 2, len(name)) + _padded(name) + struct.pack("<HH", 0, 0)
        file.write(_block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(_block(_INTERFACE, struct.pack("<HHI", _LINK_TYPE, 0, 0) + options))

    def write(self, data: bytes, utc_us: int, from_master: bool, is_frame: bool, note: str) -> None:
        """Write one frame or other bytes; `note` is a comment, empty for none."""
        source, destination = _SLAVE_PORT, _MASTER_PORT
        if from_master:
            source, destination = destination, source
        packet = _tag(_TAG_DISSECTOR, b"mbrtu" if is_frame else b"data")
        packet += _tag(_TAG_PORT_TYPE, struct.pack(">I", _PORT_TYPE_TCP))
        packet += _tag(_TAG_SOURCE, struct.pack(">I", source))
        packet += _tag(_TAG_DESTINATION, struct.pack(">I", destination))
        packet += struct.pack(">HH", _TAG_END, 0) + data
        head = struct.pack("<IIIII", 0, utc_us >> 32, utc_us & 0xFFFFFFFF, len(packet), len(packet))
        options = b""
        if note:
            text = note.encode()
            options = struct.pack("<HH", _OPTION_COMMENT, len(text)) + _padded(text)
            options += struct.pack("<HH", _OPTION_END, 0)
        self._file.write(_block(_PACKET, head + _padded(packet) + options))
        self._file.flush()
