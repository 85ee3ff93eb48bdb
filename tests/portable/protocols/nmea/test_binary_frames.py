# SPDX-License-Identifier: Apache-2.0
"""Binary frames between sentences: a verified one is skipped with all that it contains.

An incomplete or damaged frame hides no sentence, but the sentences in it are late.
"""

from protocols.nmea import binary_frames
from protocols.nmea.framing import MAX_PENDING, Framer
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
    total = binary_frames.ubx_checksum(content)
    return b"\xb5\x62" + content + bytes([total & 255, total >> 8])


def casic(payload: bytes) -> bytes:
    content = bytes([len(payload) & 255, len(payload) >> 8]) + b"\x01\x01" + payload
    return b"\xba\xce" + content + binary_frames.casic_checksum(content).to_bytes(4, "little")


def rtcm(payload: bytes) -> bytes:
    content = b"\xd3" + bytes([len(payload) >> 8, len(payload) & 255]) + payload
    return content + binary_frames.crc24q(content).to_bytes(3, "big")


FRAMES = (ubx(b"$GP*$x!"), casic(b"\0\1$,*00!\xff"), RTCM, ubx(b""), casic(b""))


def test_published_checksums() -> None:
    eq(binary_frames.crc24q(RTCM[:-3]), 0x360B98)
    # u-blox poll of CFG-PRT for UART 1: B5 62 06 00 01 00 01 08 22
    eq(binary_frames.ubx_checksum(b"\x06\x00\x01\x00\x01"), 0x08 | 0x22 << 8)
    # CASIC's own example: cold start, BA CE 04 00 06 02 00 00 02 00 04 00 08 02
    content = b"\x04\x00\x06\x02\x00\x00\x02\x00"
    eq(binary_frames.casic_checksum(content).to_bytes(4, "little"), b"\x04\x00\x08\x02")


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
            eq(framer.pending_bytes, 0)


def feed_all(framer: Framer, stream: bytes, step: int) -> "list[tuple[int, bytes]]":
    """Feed chunks; return the sentences with their positions in the stream."""
    found = []
    for at in range(0, len(stream), step):
        found += [(at + start, body) for start, body in framer.feed(stream[at : at + step])]
    return found


def test_sentence_in_verified_frame_is_no_sentence() -> None:
    for payload in (TXT, TXT * 4, b"\0" + TXT.strip(), TXT + b"\xff$GP", b"$" + TXT):
        padded = payload + b"\0" * (-len(payload) % 4)
        for frame in (ubx(payload), casic(padded), rtcm(payload)):
            stream = TXT + frame + TXT
            for step in (1, 2, 5, 33, len(stream)):
                framer = Framer()
                found = feed_all(framer, stream, step)
                eq([body for _, body in found], [TEXT] * 2)
                eq([start for start, _ in found], [0, len(TXT + frame)])
                eq(framer.binary.frame_bytes, len(frame))
                eq((framer.skipped_bytes, framer.bad_checksum, framer.spliced), (0, 0, 0))


def test_frame_in_verified_frame_is_no_frame() -> None:
    framer = Framer()
    eq([body for _, body in framer.feed(ubx(RTCM + TXT + ubx(b"")) + TXT)], [TEXT])
    eq((framer.binary.ubx, framer.binary.rtcm), (1, 0))


def test_sentences_wait_for_the_end_of_a_supposed_frame() -> None:
    framer = Framer()
    eq(framer.feed(TXT + b"\xb5\x62\x01\x07\x40\x00" + TXT), [(0, TEXT)])
    eq(framer.pending_bytes, 6 + len(TXT))
    found = framer.feed(TXT + TXT)  # 72 bytes of the supposed frame have come: it is none
    eq([body for _, body in found], [TEXT] * 3)
    eq([start for start, _ in found], [-len(TXT), 0, len(TXT)])


def test_frame_is_incomplete_at_the_end_of_the_stream() -> None:
    framer = Framer()
    eq(framer.feed(b"\xb5\x62\x01\x07\x00\x02" + TXT + TXT[:9]), [])
    eq([body for _, body in framer.feed(b"", True)], [TEXT])
    eq(framer.pending_bytes, 9)


def test_truncated_frame_hides_no_sentence() -> None:
    for frame in FRAMES:
        for cut in range(1, len(frame)):
            for step in (1, 7, 5000):
                framer = Framer()
                # the RTCM sample has an inner header of a frame of 520 bytes
                found = feed_all(framer, frame[:cut] + TXT * 2 + frame + TXT + b"\0" * 520, step)
                eq([body for _, body in found], [TEXT] * 3)
                eq(framer.binary.frame_bytes, len(frame))
                noise = frame[:cut].replace(b"\r", b"").replace(b"\n", b"")
                eq(framer.skipped_bytes, len(noise) + 520)


def test_damaged_frame_is_noise() -> None:
    for frame in FRAMES:
        for at in range(len(frame)):
            bad = bytearray(frame)
            bad[at] ^= 0x41
            framer = Framer()
            found = framer.feed(bytes(bad) + TXT)
            found += framer.feed(b"\0" * 4200)  # a damaged length can ask for as many bytes
            eq([body for _, body in found], [TEXT])
            eq(framer.binary.frame_bytes, 0)


def test_overlong_frame_is_rejected() -> None:
    for head in (b"\xb5\x62\x01\x07\xff\xff", b"\xba\xce\xff\xff\x01\x01", b"\xd3\x04\x00"):
        framer = Framer()
        framer.feed(head)
        eq(framer.pending_bytes, 0)


def test_partial_frame_is_bounded() -> None:
    framer = Framer()
    framer.feed(b"\xb5\x62\x01\x07\x00\x10")
    for _ in range(200):
        framer.feed(b"\xb5" * 100)
        assert framer.pending_bytes <= MAX_PENDING


def test_chunks_do_not_matter_for_damaged_streams() -> None:
    seed = 5
    stream = bytearray((TXT + ubx(TXT) + rtcm(b"$GP*00" + TXT) + casic(TXT + b"\0") + TXT) * 4)
    for turn in range(60):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        stream[(seed >> 8) % len(stream)] ^= 1 << (turn & 7)
        whole, parts = Framer(), Framer()
        found = whole.feed(bytes(stream))
        eq(feed_all(parts, bytes(stream), 1 + turn), found)
        for name in ("skipped_bytes", "bad_checksum", "spliced", "unprintable", "pending_bytes"):
            eq(getattr(parts, name), getattr(whole, name))


def test_both_ways_of_the_ubx_checksum_agree() -> None:
    if binary_frames.ubx_checksum is binary_frames.ubx_checksum_by_loop:
        return  # a board has one way
    for size in (0, 1, 5, 300, 4100):
        content = bytes([(7 * n + size) & 255 for n in range(size)])
        eq(binary_frames.ubx_checksum_by_sums(content), binary_frames.ubx_checksum_by_loop(content))
