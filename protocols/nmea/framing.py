# SPDX-License-Identifier: Apache-2.0
"""NMEA 0183 framing: from a byte stream to sentences with a valid checksum.

A sentence is `$` or `!`, a body of printable ASCII, `*` and two hexadecimal digits: the xor of the
body (NMEA 0183 / IEC 61162-1). Line ends are not required: a sentence is complete with its second
digit. A `$` inside a body means that the sentence before it is truncated; framing restarts there.
The framer returns no sentence without a checksum. It does not read the fields; see
`protocols.nmea.sentences`.

Unicore replies `$command,...` have a checksum that includes the `$`. For this tag only, the digits
can differ by this byte. Binary frames (CASIC, UBX, RTCM) with a right checksum are skipped by
length. A sentence with a right checksum is valid also inside a supposed binary frame, so that noise
which looks like a header hides no sentence.

Implementation: `find` locates the start mark and the `*`. One `translate` checks that the body is
printable and free of marks. Folding the body as one big integer gives the checksum. A loop over
bytes runs only for a failed sentence. The framer keeps at most `MAX_SENTENCE` bytes.
"""

from protocols.nmea.binary_frames import BinarySkipper, contains_sync, count_non_eol

MAX_SENTENCE = 256
"""The longest accepted sentence, from its mark to its checksum, in bytes. The standard says 82.
Usual sentences reach about 110, sentences of some vendors more."""

_MAX_TO_STAR = MAX_SENTENCE - 2
_MAX_FAILURES = 64
_DOLLAR = 36
_EXCLAMATION = 33
_UNICORE_REPLY = b"command,"
_LINE_END_BYTES = (13, 10)
_LINE_ENDS = (b"\r\n", b"\n", b"")


def _build_nibbles() -> bytes:
    """Return the value of each byte as a hexadecimal digit, 255 if it is not one.

    Two digits combine to more than 127 if either is invalid. An xor of ASCII is below 128.
    """
    values = bytearray(b"\xff" * 256)
    for digits in (b"0123456789ABCDEF", b"0123456789abcdef"):
        for value in range(16):
            values[digits[value]] = value
    return bytes(values)


_NIBBLES = _build_nibbles()
_PLAIN = bytes([code for code in range(32, 127) if code not in b"$*"])


def xor_by_folding(body: bytes) -> int:
    """Return the xor of at most 256 bytes, by folding one integer in halves."""
    bits = int.from_bytes(body, "big")
    if len(body) > 128:
        bits ^= bits >> 1024
    bits ^= bits >> 512
    bits ^= bits >> 256
    bits ^= bits >> 128
    bits ^= bits >> 64
    bits ^= bits >> 32
    bits ^= bits >> 16
    return (bits ^ (bits >> 8)) & 0xFF


def xor_by_loop(body: bytes) -> int:
    """Return the xor of any number of bytes, without an allocation."""
    total = 0
    for byte in body:
        total ^= byte
    return total


def is_plain_translate(body: bytes) -> bool:
    """Return True if a body without `*` is printable ASCII without `$`."""
    return not body.translate(None, _PLAIN)


def is_plain_range(body: bytes) -> bool:
    """As `is_plain_translate`, for interpreters without `bytes.translate`."""
    return not body or (min(body) >= 32 and max(body) <= 126 and b"$" not in body)


# MicroPython allocates each big integer and has no bytes.translate. There the loops are faster
# (measured: 1.0 against 1.5 us a sentence; CPython 1.4 against 0.4 us).
if hasattr(b"", "translate"):
    _xor, _is_plain = xor_by_folding, is_plain_translate
else:
    _xor, _is_plain = xor_by_loop, is_plain_range


def _find_mark(buffer: bytes, at: int) -> int:
    """Return the index of the first `$` or `!` from `at` on, or -1."""
    dollar = buffer.find(b"$", at)
    exclamation = buffer.find(b"!", at)
    return exclamation if dollar < 0 or 0 <= exclamation < dollar else dollar


class Framer:
    """Splits a byte stream into sentences. The counters are monotonic and public.

    sentences          returned sentences
    bad_checksum       complete and printable, but the digits differ or are not hexadecimal
    no_checksum        a line end before any `*`
    spliced            another mark before the `*`: the first sentence is truncated
    unprintable        another byte out of 32 to 126 before the `*`
    overlong           no `*` within the maximum length
    skipped_bytes      bytes outside of sentences and binary frames, without line ends
    failure_positions  for each failure in the last chunk (the first 64), the number of sentences
                       before it in this chunk
    binary             the skipped frames (`protocols.nmea.binary_frames.BinarySkipper`)

    The framer counts no failures inside a supposed binary frame.
    Counters and sentences do not depend on the chunk limits of the stream (the framer counts
    `pending_bytes` later).
    """

    __slots__ = (
        "_partial_sentence",
        "bad_checksum",
        "binary",
        "failure_positions",
        "no_checksum",
        "overlong",
        "sentences",
        "skipped_bytes",
        "spliced",
        "unprintable",
    )

    def __init__(self) -> None:
        self.sentences = 0
        self.bad_checksum = 0
        self.no_checksum = 0
        self.spliced = 0
        self.unprintable = 0
        self.overlong = 0
        self.skipped_bytes = 0
        self.failure_positions: list[int] = []
        self.binary = BinarySkipper()
        self._partial_sentence = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes of the incomplete sentence in the buffer."""
        return len(self._partial_sentence)

    def feed(self, data: bytes) -> "list[tuple[int, bytes]]":
        """Add a chunk; return the sentences that it completes as (start, body).

        `start` is the index of the mark, counted from data[0]. It is negative if the sentence
        started in an earlier chunk. `body` is the text between the mark and the `*`.
        """
        carry = self._partial_sentence
        base = -len(carry)
        buffer = carry + data if carry else data
        found: list[tuple[int, bytes]] = []
        start = accounted = at = 0  # all bytes before `accounted` are counted
        end = len(buffer)
        binary = self.binary
        self.failure_positions = []
        has_exclamation = b"!" in buffer
        while True:
            start = _find_mark(buffer, at) if has_exclamation else buffer.find(b"$", at)
            if start < 0:
                start = end
                break
            star = stop = buffer.find(b"*", start, start + _MAX_TO_STAR)
            if star < 0:
                stop = start + _MAX_TO_STAR
                if stop > end:
                    break
            else:
                body = buffer[start + 1 : star]
                if _is_plain(body):
                    if star + 3 > end:
                        break
                    digits = _NIBBLES[buffer[star + 1]] * 16 + _NIBBLES[buffer[star + 2]]
                    difference = digits ^ _xor(body)
                    if not difference or (
                        difference == _DOLLAR and body.startswith(_UNICORE_REPLY)
                    ):
                        gap = buffer[accounted:start]
                        if binary.partial_frame or gap not in _LINE_ENDS:
                            self._skip_before(gap)
                        found.append((base + start, body))
                        accounted = at = star + 3
                        continue
                    stop = -1
            self._skip(buffer[accounted:start])
            accounted = start
            at = self._count_failure(buffer, start, stop, len(found))
        self.sentences += len(found)
        self._skip(buffer[accounted:start])
        self._partial_sentence = buffer[start:]
        return found

    def _skip_before(self, gap: bytes) -> None:
        """Count the bytes before a sentence; a sentence ends a partial frame."""
        self._skip(gap)
        self.skipped_bytes += self.binary.drop_partial()

    def _skip(self, gap: bytes) -> None:
        """Count bytes between sentences, in order."""
        if not self.binary.partial_frame:
            if gap in _LINE_ENDS:
                return
            if not contains_sync(gap):
                self.skipped_bytes += count_non_eol(gap)
                return
        self.skipped_bytes += self.binary.feed(gap)

    def _count_failure(self, buffer: bytes, start: int, stop: int, sentence_count: int) -> int:
        """Count the failure of the sentence at `start`; return the index to continue at.

        `stop` is the index of its `*` or of the maximum length, or -1 if only its checksum is
        wrong. `sentence_count` is the number of sentences of the chunk so far.
        """
        if self.binary.partial_frame:
            return start + 1
        # a doubled mark is not an error: one vendor writes it in every RMC
        doubled = buffer[start + 1] == _DOLLAR
        if not doubled and len(self.failure_positions) < _MAX_FAILURES:
            self.failure_positions.append(sentence_count)
        if stop < 0:
            self.bad_checksum += 1
            return start + 1  # the body has no `$`, but a `!` in it can start the next sentence
        mark = buffer[start]
        for index in range(start + 1, stop):
            byte = buffer[index]
            if byte == _DOLLAR or byte == _EXCLAMATION == mark:
                self.spliced += 1
                return index
            if byte < 32 or byte > 126:
                if byte in _LINE_END_BYTES:
                    self.no_checksum += 1
                else:
                    self.unprintable += 1
                return start + 1
        self.overlong += 1
        return start + 1
