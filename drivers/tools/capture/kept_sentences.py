# SPDX-License-Identifier: Apache-2.0
"""Sentences of a file, each text parsed once.

A receiver repeats most of its GSV and GSA in the next second. The agent does not keep them: a board
has no memory for it.
"""

from protocols.nmea.satellite_sentences import Gsa, GsaDetail, Gsv
from protocols.nmea.sentences import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from protocols.nmea.sentences import Sentence

    Parsed = tuple[Sentence | None, str]
    Kept = TypeVar("Kept")

MAX_KEPT = 2000
"""More are slower: they do not fit into the cache of a processor."""


class KeptGsa(Gsa):
    """A GSA that keeps its decoded fields."""

    __slots__ = ("_detail",)

    def __init__(self, body: bytes) -> None:
        Gsa.__init__(self, body)
        self._detail: GsaDetail | None = None

    def decode(self) -> GsaDetail:
        """Return as `Gsa.decode`."""
        if self._detail is None:
            self._detail = Gsa.decode(self)
        return self._detail


class KeptSentences:
    """Parses as `protocols.nmea.sentences.parse`, each text once.

    timed       those with a time of this chunk: a second later they differ
    satellites  GSV and GSA
    """

    def __init__(self) -> None:
        self.timed: dict[bytes, Parsed] = {}
        self.satellites: dict[bytes, Gsv | Gsa] = {}
        self._kept: dict[bytes, Parsed] = {}

    def parse_timed(self, body: bytes) -> "Parsed":
        """Parse a sentence of a chunk, and keep it for the decoder."""
        found = self.timed[body] = parse(body)
        return found

    def parse(self, body: bytes) -> "Parsed":
        """Return (sentence, "") or (None, reason), as `protocols.nmea.sentences.parse`."""
        found = self.timed.get(body) or self._kept.get(body)
        if found is not None:
            return found
        kept = self.satellites.get(body)
        if kept is not None:
            return kept, ""
        found = parse(body)
        sentence = KeptGsa(body) if type(found[0]) is Gsa else found[0]
        if not isinstance(sentence, (Gsv, Gsa)):
            _keep(self._kept, body, found)
            return found
        _keep(self.satellites, body, sentence)
        return sentence, ""


def _keep(kept: "dict[bytes, Kept]", body: bytes, value: "Kept") -> None:
    """Keep what a text means; a capture of many hours must not fill the memory."""
    if len(kept) >= MAX_KEPT:
        kept.clear()
    kept[body] = value
