"""From bytes to checked NMEA 0183 sentences, whatever lies between them.

A sentence is `$` or `!`, a body of printable ASCII, `*` and two hexadecimal digits: the xor of the
body (NMEA 0183 / IEC 61162-1). Line ends are not needed: a sentence is complete with its second
digit. A `$` inside a body means that the sentence before it was cut, so framing begins again there.
Nothing without a checksum comes out. What the fields mean is the next module's business.

One maker counts otherwise: Unicore's reply `$command,...` has a checksum that covers its `$`
too, so for that tag alone the digits may differ by just that byte. Binary frames (CASIC, UBX,
RTCM) are stepped over by length where their checksum is right; a sentence with a right checksum
is one even where a frame seemed to have begun, so noise that looks like a head hides nothing.

How it works: `find` jumps to the start mark and to the `*`; one `translate` tells whether the body
is printable and free of marks; folding the body as one big integer gives the checksum. There is a
loop over bytes only where a sentence has failed. The framer keeps at most `MAX_SENTENCE` bytes.
"""

from protocols.nmea.binary_frames import BinarySkipper, contains_sync, count_non_eol

MAX_SENTENCE = 256
"""The longest sentence taken, from its mark to its checksum. The standard says 82; ordinary ones
reach about 110, some makers' own more."""

_STAR_WITHIN = MAX_SENTENCE - 2
_MAX_FAILURES = 64
_DOLLAR = 36
_BANG = 33
_UNICORE_REPLY = b"command,"
_LINE_END_BYTES = (13, 10)
_LINE_ENDS = (b"\r\n", b"\n", b"")


def _build_nibbles() -> bytes:
    """Value of each byte as a hexadecimal digit, 255 where it is none.

    Two looked up digits make more than 127 if either is bad, and no xor of ASCII reaches 128.
    """
    values = bytearray(b"\xff" * 256)
    for digits in (b"0123456789ABCDEF", b"0123456789abcdef"):
        for value in range(16):
            values[digits[value]] = value
    return bytes(values)


_NIBBLES = _build_nibbles()
_PLAIN = bytes([code for code in range(32, 127) if code not in b"$*"])


def xor_by_folding(body: bytes) -> int:
    """The xor of at most 256 bytes: halves of one integer are laid on each other."""
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
    """The xor of any number of bytes, without an allocation."""
    total = 0
    for byte in body:
        total ^= byte
    return total


def is_plain_translate(body: bytes) -> bool:
    """Whether a body without `*` is printable ASCII and has no `$` in it."""
    return not body.translate(None, _PLAIN)


def is_plain_range(body: bytes) -> bool:
    """The same, where bytes have no `translate`."""
    return not body or (min(body) >= 32 and max(body) <= 126 and b"$" not in body)


# MicroPython allocates for each big integer and has no bytes.translate: there the loops are
# the faster ones (measured: 1.0 against 1.5 us a sentence; CPython 1.4 against 0.4 us).
if hasattr(b"", "translate"):
    _xor, _is_plain = xor_by_folding, is_plain_translate
else:
    _xor, _is_plain = xor_by_loop, is_plain_range


def _find_mark(buffer: bytes, at: int) -> int:
    """Index of the first `$` or `!` from `at` on, -1 when there is none."""
    dollar = buffer.find(b"$", at)
    bang = buffer.find(b"!", at)
    return bang if dollar < 0 or 0 <= bang < dollar else dollar


class Framer:
    """Cuts a stream of bytes into sentences. Counts only grow; they are read by anyone.

    sentences       came out
    bad_checksum    whole and printable, but the digits differ or are no digits
    no_checksum     a line that ended before any `*`
    spliced         another mark before the `*`: the first sentence had been cut
    unprintable     another byte out of 32 to 126 before the `*`
    overlong        no `*` in time
    skipped_bytes   bytes that were in no sentence and in no binary frame, line ends not counted
    broken          for each failure in the last chunk (of the first 64), how many sentences of
                    that chunk came before it
    binary          what was stepped over (`protocols.nmea.binary_frames.BinarySkipper`)

    Failures are not counted inside of what claims to be a binary frame.
    The counts, like the sentences, do not depend on how the stream is cut into chunks (what is
    still `pending_bytes` is counted later).
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
        """Bytes kept of a sentence that is not complete."""
        return len(self._partial_sentence)

    def feed(self, data: bytes) -> "list[tuple[int, bytes]]":
        """Take a chunk; return the sentences that it completes as (start, body).

        `start` is the index of the mark, counted from data[0]; it is negative when the sentence
        began in an earlier chunk. `body` is what stands between the mark and the `*`.
        """
        carry = self._partial_sentence
        base = -len(carry)
        buffer = carry + data if carry else data
        found: list[tuple[int, bytes]] = []
        start = accounted = at = 0  # everything before `accounted` is accounted for
        end = len(buffer)
        binary = self.binary
        self.failure_positions = []
        with_bang = b"!" in buffer
        while True:
            start = _find_mark(buffer, at) if with_bang else buffer.find(b"$", at)
            if start < 0:
                start = end
                break
            star = stop = buffer.find(b"*", start, start + _STAR_WITHIN)
            if star < 0:
                stop = start + _STAR_WITHIN
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
        """Account for what is before a sentence, which no frame can go on behind."""
        self._skip(gap)
        self.skipped_bytes += self.binary.drop_partial()

    def _skip(self, gap: bytes) -> None:
        """Account for bytes between sentences, in order."""
        if not self.binary.partial_frame:
            if gap in _LINE_ENDS:
                return
            if not contains_sync(gap):
                self.skipped_bytes += count_non_eol(gap)
                return
        self.skipped_bytes += self.binary.feed(gap)

    def _count_failure(self, buffer: bytes, start: int, stop: int, sentence_count: int) -> int:
        """Count what is wrong with the sentence at `start`; return where to look on.

        `stop` is where its `*` is or the room ends, -1 when only its checksum is bad;
        `sentence_count` is how many sentences the chunk has had.
        """
        if self.binary.partial_frame:
            return start + 1
        # a mark that is written twice, as one maker does in every RMC, breaks nothing
        doubled = buffer[start + 1] == _DOLLAR
        if not doubled and len(self.failure_positions) < _MAX_FAILURES:
            self.failure_positions.append(sentence_count)
        if stop < 0:
            self.bad_checksum += 1
            return start + 1  # the body has no `$`, but a `!` may begin the next one
        mark = buffer[start]
        for index in range(start + 1, stop):
            byte = buffer[index]
            if byte == _DOLLAR or byte == _BANG == mark:
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
