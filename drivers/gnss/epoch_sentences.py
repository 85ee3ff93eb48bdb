# SPDX-License-Identifier: Apache-2.0
"""The sentences of one epoch by kind; `drivers.gnss.epoch` reads them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.nmea.nav_sentences import Dtm, Gbs, Gll, Gns, Gst, Vtg
    from protocols.nmea.sentences import Gga, Rmc, Sentence, Zda
    from protocols.nmea.vendor_sentences import VendorSentence


class EpochSentences:
    """The sentences of an epoch by kind, the first of each."""

    def __init__(self) -> None:
        self.rmc: Rmc | None = None
        self.gga: Gga | None = None
        self.gns: Gns | None = None
        self.gll: Gll | None = None
        self.zda: Zda | None = None
        self.vtg: Vtg | None = None
        self.gst: Gst | None = None
        self.gbs: Gbs | None = None
        self.dtm: Dtm | None = None
        self.accuracy: VendorSentence | None = None
        self.malformed = 0

    def count_malformed(self) -> None:
        """Count a sentence with a bad field."""
        self.malformed += 1

    def add(self, sentence: "Sentence") -> None:
        """Keep the first sentence of a kind; one with a time replaces one without.

        A sentence without a time can be the rest of the epoch before, which had none.
        """
        name = _SENTENCE_FIELDS.get(sentence.kind)
        if name is None:
            return
        kept = getattr(self, name)
        if kept is None or (getattr(kept, "time_us", 0) is None and sentence.time_us is not None):  # type: ignore[union-attr]  # as `kept`, of the same kind
            setattr(self, name, sentence)


_SENTENCE_FIELDS = {
    b"RMC": "rmc",
    b"GGA": "gga",
    b"GNS": "gns",
    b"GLL": "gll",
    b"ZDA": "zda",
    b"VTG": "vtg",
    b"GST": "gst",
    b"GBS": "gbs",
    b"DTM": "dtm",
    b"PQTMEPE": "accuracy",
}
