# SPDX-License-Identifier: Apache-2.0
"""Check the gain of the receiver's amplifier (AGC): a strong signal in the band makes it fall.

Does not reject fixes; it reports to the detector "gain" (see `agent.gnss.detectors`). Only u-blox
states that its gain falls with interference. The gain of other vendors is in the status, and is not
checked.

How it works. The first `_LEARN_EPOCHS` values give the usual gain; later values change it slowly. A
gain below three quarters of it is reported. Jamming makes gain and C/N0 fall, and then two
detectors are active. A spoofer with more power makes only the gain fall (Spens et al., NAVIGATION
69(3), 2022).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.gnss.detectors import DetectorSet

_LEARN_EPOCHS = 30
_VENDORS = ("ublox",)
_SCALE = 256


class GainCheck:
    """The check; `gain`: the last value, in the unit of the vendor."""

    def __init__(self, detectors: "DetectorSet") -> None:
        self._detectors = detectors
        self.gain: int | None = None
        self._usual = self._epochs = 0

    def add_epoch(self, gain: "int | None", vendor: "str | None", now: int) -> None:
        """Add the gain of an epoch; None: not reported."""
        self.gain = gain
        if gain is None or vendor not in _VENDORS:
            return
        self._epochs += 1
        if self._epochs <= _LEARN_EPOCHS:
            self._usual += (gain * _SCALE - self._usual) // self._epochs
            return
        limit = self._usual * 3 // (4 * _SCALE)
        present = gain < limit
        self._detectors.report("gain", present, now, gain, limit)
        if not present:
            self._usual += (gain * _SCALE - self._usual) // 256
