# SPDX-License-Identifier: Apache-2.0
"""Binary frames between sentences: complete ones are skipped, incomplete ones hide no sentence."""

from protocols.nmea import binary_format
from protocols.nmea.framing import Framer
from tests.portable.support.check import eq

TXT = b"$GPTXT,01,01,01,ANTENNA OK*35\r\n"
TEXT = b"GPTXT,01,01,01,ANTENNA OK"
# The sample of message 1005 in RTCM 10403.
RTCM = (
    b"\xd3\x00\x13\x3e\xd7\xd3\x02\x02\x98\x0e\xde\xef\x34\xb4\xbd\x62\xac\x09\x41\x98\x6f\x33"
    b"\x36\x0b\x98"
)


def ubx(payload: bytes) -> bytes:
    content = b"\x01\x07" + bytes([len(payload) & 255, len(payload) >> 8]) + payload
    total = binary_format.ubx_checksum(content)
    return b"\xb5\x62" + content + bytes([total & 255, total >> 8])


def casic(payload: bytes) -> bytes:
    content = bytes([len(payload) & 255, len(payload) >> 8]) + b"\x01\x01" + payload
    return b"\xba\xce" + content + binary_format.casic_checksum(content).to_bytes(4, "little")


FRAMES = (ubx(b"$GP*$x!"), casic(b"\0\1$,*00!\xff"), RTCM, ubx(b""), casic(b""))


def test_published_checksums() -> None:
    eq(binary_format.crc24q(RTCM[:-3]), 0x360B98)
    # u-blox poll of CFG-PRT for UART 1: B5 62 06 00 01 00 01 08 22
    eq(binary_format.ubx_checksum(b"\x06\x00\x01\x00\x01"), 0x08 | 0x22 << 8)
    # CASIC's own example: cold start, BA CE 04 00 06 02 00 00 02 00 04 00 08 02
    content = b"\x04\x00\x06\x02\x00\x00\x02\x00"
    eq(binary_format.casic_checksum(content).to_bytes(4, "little"), b"\x04\x00\x08\x02")


def test_frames_are_counted_and_skipped() -> None:
    for frame in FRAMES:
        stream = TXT + frame + TXT + frame * 2 + TXT
        for step in (1, 2, 3, 7, 100, len(stream)):
            framer = Framer()
            found = []
            for at in range(0, len(stream), step):
                found += framer.feed(stream[at : at + step])
            eq([body for _, body in found], [TEXT] * 3)
            box = framer.binary
            eq((box.ubx + box.casic + box.rtcm, box.frame_bytes), (3, 3 * len(frame)))
            eq((framer.skipped_bytes, framer.bad_checksum, framer.unprintable), (0, 0, 0))
            eq(box.partial_frame, b"")


def test_truncated_frame_hides_no_sentence() -> None:
    for frame in FRAMES:
        for cut in range(1, len(frame)):
            framer = Framer()
            eq([body for _, body in framer.feed(frame[:cut] + TXT)], [TEXT])
            eq(framer.binary.frame_bytes, 0)
            eq([body for _, body in framer.feed(TXT + frame + TXT)], [TEXT] * 2)
            eq(framer.binary.frame_bytes, len(frame))
            eq(framer.skipped_bytes, cut - frame[:cut].count(b"\r") - frame[:cut].count(b"\n"))


def test_damaged_frame_is_noise() -> None:
    for frame in FRAMES:
        for at in range(len(frame)):
            bad = bytearray(frame)
            bad[at] ^= 0x41
            framer = Framer()
            eq([body for _, body in framer.feed(bytes(bad) + TXT)], [TEXT])
            eq(framer.binary.frame_bytes, 0)


def test_overlong_frame_is_rejected() -> None:
    for head in (b"\xb5\x62\x01\x07\xff\xff", b"\xba\xce\xff\xff\x01\x01", b"\xd3\x04\x00"):
        framer = Framer()
        framer.feed(head)
        eq(framer.binary.partial_frame, b"")


def test_partial_frame_is_bounded() -> None:
    framer = Framer()
    framer.feed(b"\xb5\x62\x01\x07\x00\x10")
    for _ in range(200):
        framer.feed(b"\xb5" * 100)
        assert len(framer.binary.partial_frame) <= 4104
