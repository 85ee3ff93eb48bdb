# SPDX-License-Identifier: Apache-2.0
"""The framer: its sentences and counters, independent of chunk limits."""

from protocols.nmea import framing
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import xor_of

RMC = b"$GNRMC,013014.000,A,1343.91201,N,10038.68414,E,0.00,225.79,130626,,,A,V*0D\r\n"
TXT = b"$GPTXT,01,01,01,ANTENNA OK*35\r\n"
_AIS_BODY = b"AIVDM,1,1,,A,15N4cJ`005Jrek0H@9n`DW5608EP,0"
AIS = b"!" + _AIS_BODY + b"*%02X\r\n" % xor_of(_AIS_BODY)

COUNTS = (
    "sentences",
    "bad_checksum",
    "no_checksum",
    "spliced",
    "unprintable",
    "overlong",
    "skipped_bytes",
)


def body_of(sentence: bytes) -> bytes:
    return sentence[1 : sentence.find(b"*")]


def counts(framer: framing.Framer) -> "dict[str, int]":
    return {name: getattr(framer, name) for name in COUNTS if getattr(framer, name)}


def run_framer(
    stream: bytes, step: int = 0
) -> "tuple[list[tuple[int, bytes]], dict[str, int], bytes]":
    """Feed chunks of `step` bytes; return positions from the start of the stream, counters, pending
    bytes.
    """
    framer = framing.Framer()
    found = []
    for at in range(0, len(stream), step or len(stream)):
        chunk = stream[at : at + (step or len(stream))]
        found += [(at + start, body) for start, body in framer.feed(chunk)]
        assert framer.pending_bytes <= framing.MAX_PENDING
    return found, counts(framer), framer._pending


def check_stream(stream: bytes, bodies: "list[bytes]", want: "dict[str, int]") -> None:
    found, got, _ = run_framer(stream)
    eq([body for _, body in found], bodies)
    for start, body in found:
        eq(stream[start + 1 : start + 1 + len(body)], body)
        assert stream[start : start + 1] in (b"$", b"!")
    if bodies:
        want["sentences"] = len(bodies)
    eq(got, want)


def test_plain_lines() -> None:
    check_stream(RMC + TXT, [body_of(RMC), body_of(TXT)], {})
    check_stream(RMC + AIS + TXT, [body_of(RMC), body_of(AIS), body_of(TXT)], {})


def test_positions_of_earlier_chunks_are_negative() -> None:
    framer = framing.Framer()
    eq(framer.feed(b"xx" + RMC[:10]), [])
    eq(framer.pending_bytes, 10)
    eq(framer.feed(RMC[10:]), [(-10, body_of(RMC))])
    eq(framer.pending_bytes, 0)
    eq(framer.skipped_bytes, 2)


def test_no_line_end_needed() -> None:
    check_stream(RMC.strip() + TXT.strip() + RMC.strip(), [body_of(s) for s in (RMC, TXT, RMC)], {})


def test_lower_case_checksum() -> None:
    check_stream(b"$GPRMC,205150.00,V,,,,,,,,,,,V*4a\r\n", [b"GPRMC,205150.00,V,,,,,,,,,,,V"], {})


def test_restart_on_inner_mark() -> None:
    check_stream(b"$" + RMC, [body_of(RMC)], {"spliced": 1, "skipped_bytes": 1})
    check_stream(RMC[:30] + TXT, [body_of(TXT)], {"spliced": 1, "skipped_bytes": 30})
    check_stream(RMC[:30] + RMC[:5] + TXT, [body_of(TXT)], {"spliced": 2, "skipped_bytes": 35})
    check_stream(RMC[:30] + AIS, [body_of(AIS)], {"bad_checksum": 1, "skipped_bytes": 30})


def test_text_can_contain_exclamation_mark() -> None:
    body = b"GPTXT,01,01,01,LOW VOLTAGE!"
    stream = b"$" + body + b"*%02X" % xor_of(body)
    check_stream(stream, [body], {})


def test_binary_between_sentences() -> None:
    casic = b"\xba\xce\x1c\x00\x01\x01\x05U\x01\x11$\xab$v*4F!\xa9?"
    check_stream(RMC + casic + TXT, [body_of(RMC), body_of(TXT)], {
        "bad_checksum": 1,
        "unprintable": 2,
        "skipped_bytes": len(casic),
    })  # fmt: skip
    check_stream(RMC + casic[2:] + TXT, [body_of(RMC), body_of(TXT)], {
        "bad_checksum": 1,
        "unprintable": 2,
        "skipped_bytes": len(casic) - 2,
    })  # fmt: skip


def test_nuls() -> None:
    check_stream(b"\0\0" + RMC + b"\0" + TXT + b"\0\0\0", [body_of(RMC), body_of(TXT)], {
        "skipped_bytes": 6
    })  # fmt: skip
    check_stream(TXT[:8] + b"\0" + TXT[8:] + RMC, [body_of(RMC)], {
        "unprintable": 1,
        "skipped_bytes": len(TXT) - 1,
    })  # fmt: skip


def test_bad_and_missing_checksums() -> None:
    check_stream(TXT.replace(b"*35", b"*36") + RMC, [body_of(RMC)], {
        "bad_checksum": 1,
        "skipped_bytes": len(TXT) - 2,
    })  # fmt: skip
    for digits in (b"3", b"3G", b"G5", b" 5", b"+5", b"5_", b"\xff5", b"\r\n"):
        stream = TXT[:-5] + b"*" + digits + b"\r\n" + RMC
        found, got, _ = run_framer(stream)
        eq([body for _, body in found], [body_of(RMC)])
        eq(got["bad_checksum"], 1)
    check_stream(TXT[:-5] + b"\r\n" + RMC, [body_of(RMC)], {
        "no_checksum": 1,
        "skipped_bytes": len(TXT) - 5,
    })  # fmt: skip
    check_stream(TXT.replace(b"OK", b"OJ") + RMC, [body_of(RMC)], {
        "bad_checksum": 1,
        "skipped_bytes": len(TXT) - 2,
    })  # fmt: skip


def test_line_end_in_checksum_is_rejected() -> None:
    body = b"GPTXT,01\r\n,01"
    check_stream(b"$" + body + b"*%02X" % xor_of(body), [], {
        "no_checksum": 1,
        "skipped_bytes": 15,
    })  # fmt: skip


def test_overlong() -> None:
    longest = b"GPTXT," + b"x" * (framing.MAX_SENTENCE - 10)
    for extra, bodies in ((b"", 1), (b"y", 0)):
        body = longest + extra
        stream = b"$" + body + b"*%02X\r\n" % xor_of(body)
        found, got, _ = run_framer(stream + TXT)
        eq(len(found), bodies + 1)
        eq(got.get("overlong", 0), 1 - bodies)


def test_exclamation_mark_restarts_ais_sentence() -> None:
    _, got, _ = run_framer(b"!" * 600)
    assert got["spliced"] > 100
    assert "overlong" not in got


def test_empty_input() -> None:
    framer = framing.Framer()
    eq(framer.feed(b""), [])
    eq(framer.feed(b"$"), [])
    eq(framer.feed(b""), [])
    eq(framer.feed(b"*00"), [(-1, b"")])


def test_truncated_sentence_hides_no_next() -> None:
    for cut in range(1, len(TXT) - 2):
        found, _, _ = run_framer(TXT[:cut] + RMC)
        eq([body for _, body in found], [body_of(RMC)])


def test_chunking_does_not_matter() -> None:
    stream = (
        b"\xba\xce$\x01" + RMC + b"$" + TXT + b"\0" + AIS + RMC[:20] + TXT + TXT[:-5] + b"\r\n"
        b"!!" + RMC.replace(b"*0D", b"*0E") + b"$" + b"z" * 300 + RMC + b"$GPRMC,1"
    )
    whole = run_framer(stream)
    eq(len(whole[0]), 5)
    for step in range(1, 140):
        eq(run_framer(stream, step), whole)
    for cut in range(1, len(stream)):
        framer = framing.Framer()
        found = framer.feed(stream[:cut])
        found = found + [(cut + start, body) for start, body in framer.feed(stream[cut:])]
        eq((found, counts(framer), framer._pending), whole)


def test_whole_lines_are_as_single_bytes() -> None:
    """Whole lines have a way of their own; single bytes never take it."""
    streams = [
        b"$G\rX\n*5A\r\n",
        b"$G\rX\n*%02X" % xor_of(b"G\rX\n"),
        RMC + b"$G\rX\n*%02X\r\n" % xor_of(b"G\rX\n") + TXT,
        RMC + b"x" + TXT,
        RMC[:-2] + TXT + RMC,
        RMC + TXT[:-3] + b"\n" + RMC,
        TXT + RMC[:-4] + b"0d\r\n" + TXT,
        TXT + b"$G*P*17\r\n" + TXT,
        TXT + b"$*00\r\n$\r\n$*0\r\n" + RMC,
        RMC + b"$" + b"A" * 252 + b"*00\r\n" + b"$" + b"A" * 254 + b"*00\r\n" + TXT,
        RMC + TXT + RMC[:20],
        RMC + b"\r\n" + TXT + b"#LOG\r\n" + RMC,
    ]
    seed = 7
    for _ in range(60):
        stream = bytearray(RMC + TXT + RMC + TXT)
        for _ in range(3):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            stream[(seed >> 16) % len(stream)] = b"$*!\r\n0A,\xb5\x00#"[(seed >> 8) % 11]
        streams.append(bytes(stream))
    for stream in streams:
        eq(run_framer(stream)[:2], run_framer(stream, 1)[:2])


def test_noise_never_raises_and_never_grows() -> None:
    seed = 7
    framer = framing.Framer()
    alphabet = b"$!*0123456789ABCDEF,.GPRMC\r\n\0\xff"
    for turn in range(1500):
        chunk = bytearray()
        for _ in range(1 + turn % 40):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            value = seed >> 16
            chunk.append(alphabet[value % len(alphabet)] if turn & 1 else value & 0xFF)
        for _, body in framer.feed(bytes(chunk)):
            assert len(body) < framing.MAX_SENTENCE
        assert framer.pending_bytes <= framing.MAX_PENDING
    for mark in (b"$", b"!", b"*", b"$*", b"!*", b"A", b"$A\n"):
        before = framer.skipped_bytes
        framer.feed(mark * 5000)
        assert framer.skipped_bytes - before > 5000 - framing.MAX_SENTENCE - 8
        assert framer.pending_bytes <= framing.MAX_SENTENCE
    framer.feed(b"\r\n")
    eq(framer.feed(RMC)[-1][1], body_of(RMC))


def test_checksum_variants_agree() -> None:
    seed = 3
    variants = [framing.checksum_by_loop]
    if hasattr(b"", "isascii"):
        variants.append(framing.checksum_by_folding)
    for size in range(framing.MAX_SENTENCE):
        body = bytearray()
        for _ in range(size):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            body.append(32 + (seed >> 16) % 95)
        data = bytes(body).replace(b"$", b"_")
        for checksum in variants:
            eq(checksum(data), xor_of(data))
            for not_plain in (b"$", b"\r", b"\x7f", b"\x80", b"\xc3", b"\x1f", b"\0"):
                eq(checksum(data + not_plain), -1)
                eq(checksum(not_plain + data), -1)
