# SPDX-License-Identifier: Apache-2.0
"""NMEA 0183 framing: from a byte stream to sentences with a valid checksum.

A sentence is `$` or `!`, a body of printable ASCII, `*` and two hexadecimal digits: the xor of the
body (NMEA 0183 / IEC 61162-1). Line ends are not required: a sentence is complete with its second
digit. A `$` inside a body means that the sentence before it is truncated; framing restarts there.
The framer returns no sentence without a checksum. It does not read the fields; see
`protocols.nmea.sentences`.

Unicore replies `$command,...` have a checksum that includes the `$`. For this tag only, the digits
can differ by this byte. Binary frames (CASIC, UBX, RTCM) with a right checksum are skipped by
length, with all that looks like a sentence in them. Therefore the bytes after a frame header wait
until the frame is complete. If its checksum is wrong, the header was noise, and the framer searches
the same bytes for sentences. Noise thus delays sentences, but hides none.

Implementation: whole lines without a fault are the usual case and have their own, shorter way
(`_take_lines`). For all others, and on MicroPython, `find` locates the start mark and the `*`.
Methods of `bytes` and `str` check that the body is printable and has no mark. Folding the body as
one big integer gives the checksum. A loop over bytes runs only for a failed sentence. The framer
keeps at most `MAX_PENDING` bytes.
"""

from protocols.nmea import binary_sync

MAX_SENTENCE = 256
"""The longest accepted sentence, from its mark to its checksum, in bytes. The standard says 82.
Usual sentences reach about 110, sentences of some vendors more."""

MAX_PENDING = binary_sync.MAX_FRAME
"""The most bytes that wait for the end of a sentence or of a binary frame."""

_MAX_TO_STAR = MAX_SENTENCE - 2
_MAX_FAILURES = 64
_RTCM, _LOG_MARK = 0xD3, b"#"
_MAX_KEPT_FRAME, _MAX_KEPT_FRAMES, _MAX_LOG = 128, 8, 400
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


_FOLDS = hasattr(b"", "isascii")
_PERMITTED = bytes([code for code in range(32, 127) if code != _DOLLAR]) if _FOLDS else b""
"""Printable ASCII without `$`, for `checksum_by_folding`."""


def checksum_by_folding(body: bytes) -> int:
    """Return the xor of at most 256 bytes without a `*`; -1 if not all are printable ASCII without
    `$`. It folds one integer in halves.
    """
    if body.translate(None, _PERMITTED):
        return -1
    bits = int.from_bytes(body, "big")
    if len(body) > 64:
        if len(body) > 128:
            bits ^= bits >> 1024
        bits ^= bits >> 512
    bits ^= bits >> 256
    bits ^= bits >> 128
    bits ^= bits >> 64
    bits ^= bits >> 32
    bits ^= bits >> 16
    return (bits ^ (bits >> 8)) & 0xFF


def checksum_by_loop(body: bytes) -> int:
    """As `checksum_by_folding`, for interpreters without `bytes.isascii`; no allocation."""
    if body and (min(body) < 32 or max(body) > 126 or b"$" in body):
        return -1
    total = 0
    for byte in body:
        total ^= byte
    return total


# MicroPython allocates each big integer and has no bytes.isascii. There the loops are faster
# (measured: 1.0 against 1.5 us a sentence; CPython 1.4 against 0.4 us).
_checksum = checksum_by_folding if _FOLDS else checksum_by_loop


def _find_mark(buffer: bytes, at: int, has_exclamation: bool) -> int:
    """Return the index of the first `$` or `!` from `at` on, or the length of the buffer."""
    dollar = buffer.find(b"$", at)
    exclamation = buffer.find(b"!", at) if has_exclamation else -1
    if dollar < 0 or 0 <= exclamation < dollar:
        dollar = exclamation
    return dollar if dollar >= 0 else len(buffer)


_HEX_VALUES = {b"%02X" % n: n for n in range(256)} if _FOLDS else {}
"""Checksums in upper case, as receivers send them, by their text."""
_MAX_KNOWN = 4000


def _take_lines(
    buffer: bytes, base: int, found: "list[tuple[int, bytes]]", known: "dict[bytes, bytes] | None"
) -> int:
    """Take the sentences at the begin of a buffer that are whole lines without any fault.

    Add them to `found` and return the index after the last one. What is left of the bytes that a
    body can have shows all faults of marks and line ends together. The buffer has no `!` and no
    binary frame. The general way of `Framer.feed` does the rest, and gives the same. `known` has
    the bodies of earlier lines.
    """
    if not _FOLDS:
        return 0
    marks = buffer.translate(None, _PERMITTED)
    line_end = b"\r\n" if marks[1:2] == b"\r" else b"\n"
    mark = b"$" + line_end
    count = len(marks) // len(mark)
    lines = buffer.split(line_end, count)
    if marks[: count * len(mark)] != mark * count or len(lines) <= count:
        return 0
    if known is None:
        known = {}
    elif len(known) > _MAX_KNOWN:
        known.clear()
    at = 0
    length = len(line_end)
    for line in lines[:count]:
        body = known.get(line)
        if body is None:
            star = len(line) - 3
            if star >= _MAX_TO_STAR or line[0] != _DOLLAR or line.find(b"*") != star:
                break
            body = line[1:star]
            bits = int.from_bytes(body, "big")
            if star > 65:
                if star > 129:
                    bits ^= bits >> 1024
                bits ^= bits >> 512
            bits ^= bits >> 256
            bits ^= bits >> 128
            bits ^= bits >> 64
            bits ^= bits >> 32
            bits ^= bits >> 16
            if (bits ^ (bits >> 8)) & 0xFF != _HEX_VALUES.get(line[star + 1 :]):
                break
            known[line] = body
        found.append((base + at, body))
        at += len(line) + length
    return at


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
    frames             the last short UBX and CASIC frames, and Unicore logs (`#…`), for a caller
                       that clears the list; None: not kept
    binary             the skipped frames (`protocols.nmea.binary_sync.BinaryCounters`)

    Nothing inside a verified binary frame is a failure.
    Counters and sentences do not depend on the chunk limits of the stream (the framer counts
    `pending_bytes` later).
    """

    __slots__ = (
        "_known",
        "_log",
        "_pending",
        "bad_checksum",
        "binary",
        "failure_positions",
        "frames",
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
        self.binary = binary_sync.BinaryCounters()
        self.frames: list[bytes] | None = None
        self._known: dict[bytes, bytes] | None = None
        self._pending = b""
        self._log = b""

    def keep_lines(self) -> None:
        """Check each text of a line once from now on. A file has the memory, a board has not."""
        self._known = {}

    def keep_frames(self, frames: "list[bytes]") -> None:
        """Add the last short frames and logs to a list from now on; the caller clears it."""
        self.frames = frames

    @property
    def pending_bytes(self) -> int:
        """Bytes of the incomplete sentence or binary frame in the buffer."""
        return len(self._pending)

    def feed(self, data: bytes, is_last: bool = False) -> "list[tuple[int, bytes]]":
        """Add a chunk; return the sentences that it completes as (start, body).

        With `is_last`, no further bytes follow: an incomplete binary frame is noise.

        `start` is the index of the mark, counted from data[0]. It is negative if the sentence
        started in an earlier chunk. `body` is the text between the mark and the `*`.
        """
        base = -len(self._pending)
        buffer = self._pending + data if base else data
        found: list[tuple[int, bytes]] = []
        end = len(buffer)
        self.failure_positions = []
        has_exclamation = b"!" in buffer
        has_sync = binary_sync.contains_sync(buffer)
        is_other = has_exclamation or has_sync or self._log
        at = accounted = 0 if is_other else _take_lines(buffer, base, found, self._known)
        start = -1
        while True:
            # after a binary frame, the mark that was found before can still be ahead
            start = start if start >= at else _find_mark(buffer, at, has_exclamation)
            if has_sync:
                sync = binary_sync.find_sync(buffer, at, start)
                if sync >= 0:
                    at = self._take_frame(buffer, sync, is_last)
                    if at < 0:
                        start = sync
                        break
                    if at > sync + 1:
                        self._skip(buffer[accounted:sync])
                        accounted = at
                    continue
            star = stop = buffer.find(b"*", start, start + _MAX_TO_STAR)
            if star < 0:
                stop = start + _MAX_TO_STAR
                if stop > end:
                    break
            else:
                body = buffer[start + 1 : star]
                difference = _checksum(body)
                if difference >= 0:
                    if star + 3 > end:
                        break
                    difference ^= _NIBBLES[buffer[star + 1]] << 4 | _NIBBLES[buffer[star + 2]]
                    if not difference or (
                        difference == _DOLLAR and body.startswith(_UNICORE_REPLY)
                    ):
                        if buffer[accounted:start] != b"\r\n" or self._log:
                            self._skip(buffer[accounted:start])
                        found.append((base + start, body))
                        accounted = at = star + 3
                        continue
                    stop = -1
            self._skip(buffer[accounted:start])
            accounted = start
            at = self._count_failure(buffer, start, stop, len(found))
        self.sentences += len(found)
        self._skip(buffer[accounted:start])
        self._pending = buffer[start:]
        return found

    def _take_frame(self, buffer: bytes, at: int, is_last: bool) -> int:
        """Count the frame at `at`, if there is one; return the index after it.

        The next index if it is no frame; -1 if it is incomplete and more bytes follow.
        """
        from protocols.nmea import binary_frames  # noqa: PLC0415 - few receivers send them

        size = binary_frames.frame_length(buffer, at)
        if size < 0 or at + size > len(buffer):
            return at + 1 if is_last else -1
        if not size or not binary_frames.is_checksum_valid(buffer[at : at + size]):
            return at + 1
        self.binary.add(buffer[at], size)
        if buffer[at] != _RTCM and size <= _MAX_KEPT_FRAME:
            self._keep(buffer[at : at + size])
        return at + size

    def _keep(self, frame: bytes) -> None:
        frames = self.frames
        if frames is not None:
            frames.append(frame)
            if len(frames) > _MAX_KEPT_FRAMES:
                frames.pop(0)

    def _collect_log(self, gap: bytes) -> None:
        """Collect the text from `#` to its line end; it can come in several chunks."""
        log = self._log + gap if self._log else gap[gap.find(_LOG_MARK) :]
        end = log.find(b"\n")
        while end >= 0:
            self._keep(log[:end])
            at = log.find(_LOG_MARK, end)
            log = log[at:] if at >= 0 else b""
            end = log.find(b"\n")
        self._log = log if len(log) <= _MAX_LOG else b""

    def _skip(self, gap: bytes) -> None:
        """Count bytes outside of sentences and frames."""
        if self.frames is not None and (self._log or _LOG_MARK in gap):
            self._collect_log(gap)
        if gap not in _LINE_ENDS:
            self.skipped_bytes += binary_sync.count_non_eol(gap)

    def _count_failure(self, buffer: bytes, start: int, stop: int, sentence_count: int) -> int:
        """Count the failure of the sentence at `start`; return the index to continue at.

        `stop` is the index of its `*` or of the maximum length, or -1 if only its checksum is
        wrong. `sentence_count` is the number of sentences of the chunk so far.
        """
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
