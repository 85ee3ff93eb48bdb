# SPDX-License-Identifier: Apache-2.0
"""What a receiver has stated about itself: the last value of each statement.

Does not judge them; see `agent.gnss.component`. The statements come in TXT and vendor sentences, in
UBX and CASIC frames and in Unicore logs (`protocols.nmea`). A module of a vendor is loaded with its
first frame.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.nmea.vendor_sentences import VendorSentence

_UBX, _CASIC = 0xB5, 0xBA
NAMES = ("antenna", "jamming", "spoofing", "leap_s", "gain", "cw_level", "authenticated", "pulse")


class Statements:
    """The last statements; `frames`: binary frames and logs that are not read yet.

    `ubx_replies`: number of UBX-ACK-ACK and of UBX-ACK-NAK.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ubx_replies = (0, 0)
        self._values: dict[str, str | int | bool | tuple[int, int] | None] = {}

    def add(self, sentence: "VendorSentence") -> None:
        """Add the statements of a sentence or frame; what it does not state stays."""
        values = self._values
        for name in NAMES:
            value = getattr(sentence, name)
            if value is not None:
                values[name] = value
        if sentence.leap_s is not None and not sentence.leap_known:
            values["leap_s"] = None

    def read_frames(self) -> "str | None":
        """Read the frames; return the vendor that they show, None: there was no frame."""
        vendor = None
        for frame in self.frames:
            notice = _parse_frame(frame)
            if notice is None:
                continue
            self.add(notice)
            vendor = notice.vendor
            if notice.reply is not None:
                accepted, rejected = self.ubx_replies
                done = notice.reply[1]
                self.ubx_replies = (accepted + int(done), rejected + int(not done))
        self.frames.clear()
        return vendor

    def copy_to(self, epoch: object) -> None:
        """Set the attributes of a `drivers.gnss.epoch.Epoch`."""
        values = self._values
        for name in values:
            setattr(epoch, name, values[name])


def _parse_frame(frame: bytes) -> "VendorSentence | None":
    """Parse a frame or a log by its first byte."""
    if frame[0] == _UBX:
        from protocols.nmea import ubx_status  # noqa: PLC0415 - few receivers send them

        return ubx_status.parse_frame(frame)
    if frame[0] == _CASIC:
        from protocols.nmea import casic_status  # noqa: PLC0415 - as above

        return casic_status.parse_frame(frame)
    from protocols.nmea import unicore_log  # noqa: PLC0415 - as above

    return unicore_log.parse_log(frame)
