# SPDX-License-Identifier: Apache-2.0
"""Compare the satellite constellations: a spoofer seldom simulates all of them.

Does not reject fixes; it reports to the detector "constellations" (see `agent.gnss.detectors`).

It makes two comparisons in each epoch:

balance   the four strongest signals of one constellation changed by 6 dB against their own mean,
          compared with another constellation. Weather or obstructions do not affect one band only
exclusion   the receiver does not use the satellites of one constellation any more, although they
          are strong and it uses another one. The receiver found that they are not consistent

A constellation takes part after 60 epochs with four or more signals.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.gnss.detectors import DetectorSet
    from protocols.nmea.satellite_view import SatelliteInView

_MIN_SIGNALS = 4
_LEARN_EPOCHS = 60
_SCALE = 256
_MAX_SHIFT = 6 * _SCALE
_STRONG_DBHZ = 35
_EXCLUDED_EPOCHS = 10


class _Constellation:
    """Usual values of a constellation: level of the strongest four (1/256 dBHz), satellites."""

    def __init__(self) -> None:
        self.epochs = 0
        self.level = 0
        self.used = 0
        self.excluded_epochs = 0


class ConstellationCheck:
    """The check; see the module. Call `add_epoch` for each epoch with a complete GSV set."""

    def __init__(self, detectors: "DetectorSet") -> None:
        self._detectors = detectors
        self._constellations: dict[str, _Constellation] = {}

    def add_epoch(self, satellites: "list[SatelliteInView]", now: int) -> None:
        """Add the satellites of an epoch."""
        shifts: list[int] = []
        excluded_count = used_count = 0
        for gnss in sorted({satellite.gnss for satellite in satellites}):
            members = [satellite for satellite in satellites if satellite.gnss == gnss]
            cn0 = sorted([member.cn0 or 0 for member in members])
            used = len([member for member in members if member.used])
            used_count += used >= _MIN_SIGNALS
            constellation = self._constellations.setdefault(gnss, _Constellation())
            strong = len([c for c in cn0 if c >= _STRONG_DBHZ])
            excluded = (
                strong > _MIN_SIGNALS and not used and constellation.used >= _MIN_SIGNALS * _SCALE
            )
            constellation.excluded_epochs = constellation.excluded_epochs + 1 if excluded else 0
            excluded_count += constellation.excluded_epochs >= _EXCLUDED_EPOCHS
            if cn0 and len(cn0) >= _MIN_SIGNALS and cn0[-_MIN_SIGNALS]:
                self._compare(
                    constellation, sum(cn0[-_MIN_SIGNALS:]) * _SCALE // _MIN_SIGNALS, used, shifts
                )
        disagreement = max(shifts) - min(shifts) if shifts else 0
        present = disagreement >= _MAX_SHIFT or (excluded_count > 0 and used_count > 0)
        self._detectors.report("constellations", present, now, disagreement * 100 // _SCALE, 600)

    def _compare(
        self, constellation: _Constellation, level: int, used: int, shifts: "list[int]"
    ) -> None:
        """Compare with the usual values. Update them unless the epoch is unusual."""
        constellation.epochs += 1
        if constellation.epochs > _LEARN_EPOCHS:
            shifts.append(level - constellation.level)
            if abs(level - constellation.level) >= _MAX_SHIFT // 2 or constellation.excluded_epochs:
                return
        divisor = min(constellation.epochs, 512)
        constellation.level += (level - constellation.level) // divisor
        constellation.used += (used * _SCALE - constellation.used) // divisor
