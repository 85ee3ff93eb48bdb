# SPDX-License-Identifier: Apache-2.0
"""The epochs of a file: as `ReceiverDriver`, without the fixes for the clock.

`ReceiverDriver` parses the sentences with a time for the fix, and its decoder parses them again for
the epoch, because a board has no memory to keep them. Here each text is parsed once. What a
receiver repeats is kept: most of its GSV and GSA come again in the next second.
"""

from drivers.gnss.epoch import Epoch, EpochDecoder
from drivers.gnss.sentence_group import SentenceGrouper
from drivers.tools.capture.kept_sentences import MAX_KEPT, KeptSentences
from drivers.tools.capture.sky_entry import SkyTable
from drivers.tools.capture.sky_text import SkyText
from protocols.nmea.framing import Framer
from protocols.nmea.sentences import Gga, Rmc, Zda

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.epoch_sentences import EpochSentences

_MAX_EPOCHS = 4096  # more epochs than one chunk can close
_FIX_KINDS = (b"RMC,", b"GGA,", b"ZDA,")


class CaptureDecoder(EpochDecoder):
    """As `EpochDecoder`, with `SkyText` as the satellites of an epoch."""

    def __init__(self, vendor: "str | None", sentences: KeptSentences) -> None:
        EpochDecoder.__init__(self, vendor)
        self.use_parser(sentences.parse)
        self._sentences = sentences
        self._table = SkyTable(vendor)

    def _add_sentence(self, body: bytes, sentences: "EpochSentences", epoch: Epoch) -> None:
        kept = self._sentences.satellites.get(body)
        if kept is not None:
            self.decoded += 1
            epoch.satellite_sentences.append(kept)
            return
        super()._add_sentence(body, sentences, epoch)

    def decode_satellites(self, epoch: Epoch) -> SkyText:
        """Decode the satellites of an epoch, as `EpochDecoder.decode_satellites`."""
        self._table.forget(MAX_KEPT)
        if self._table.vendor != self.vendor:
            self._table = SkyTable(self.vendor)
        context = self._view_context(epoch)
        view = SkyText(epoch.satellite_sentences, self._table, *context)
        self._keep_view(epoch, view)
        return view


class CaptureReader:
    """Bytes of a file in, epochs out."""

    def __init__(self, vendor: "str | None") -> None:
        self.framer = Framer()
        self.framer.keep_lines()
        self._sentences = KeptSentences()
        self.decoder = CaptureDecoder(vendor, self._sentences)
        self.framer.keep_frames(self.decoder.statements.frames)
        self._grouper = SentenceGrouper(_MAX_EPOCHS)

    def read(self, data: bytes) -> "list[Epoch]":
        """Return the epochs that a chunk completes."""
        self._sentences.timed.clear()
        self._take_sentences(self.framer.feed(data))
        return [self.decoder.decode(group) for group in self._grouper.take_groups()]

    def finish(self) -> "list[Epoch]":
        """Return the last epochs at the end of the file."""
        self._take_sentences(self.framer.feed(b"", True))
        self._grouper.close()
        return [self.decoder.decode(group) for group in self._grouper.take_groups()]

    def _take_sentences(self, found: "list[tuple[int, bytes]]") -> None:
        grouper = self._grouper
        if self.framer.failure_positions:
            found = self._insert_errors(found)
        for _, body in found:
            kind = body[2:6]
            if kind == b"GSV,":
                # the parts after the first have no data for the fix and start no group
                if body[8:10] == b"1," or body[7:8] != b",":
                    grouper.check_gsv_set(body, 0)
                grouper.add(body, 0)
            elif kind == b"GSA,":
                grouper.add(body, 0)
            elif kind in _FIX_KINDS:
                sentence = self._sentences.parse_timed(body)[0]
                if isinstance(sentence, (Rmc, Gga, Zda)):
                    grouper.add_timed(body, sentence.time_us, 0)
                else:
                    grouper.add_other(body, 0)
            elif body:
                grouper.add_other(body, 0)
            else:
                grouper.count_error()

    def _insert_errors(self, found: "list[tuple[int, bytes]]") -> "list[tuple[int, bytes]]":
        """Return the sentences of a chunk, with an empty one in place of each lost one."""
        merged: list[tuple[int, bytes]] = []
        at = 0
        for position in self.framer.failure_positions:
            merged += found[at:position]
            merged.append((0, b""))
            at = position
        return merged + found[at:]
