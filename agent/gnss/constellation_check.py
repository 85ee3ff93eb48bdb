"""Satellite systems that contradict each other: a spoofer rarely plays all of them.

One vote, "constellations", of two observations once an epoch:

balance  one system's strongest four became stronger or weaker against its own long mean than
         another's did, by 6 dB: what weakens or drowns one band only is no weather and no roof
outcast  a system whose satellites took part in the fix and still are strong takes part no more,
         while another's do: the receiver itself has found that they do not fit

A system has a say once it was seen with four signals for 60 epochs.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.gnss.detectors import Votes
    from protocols.nmea.satellite_view import Satellite

_FEW = 4
_LEARN = 60
_SCALE = 256
_APART = 6 * _SCALE
_STRONG_DBHZ = 35
_CAST_OUT = 10


class _System:
    """What is usual of one system: level of its strongest four (1/256 dBHz), used satellites."""

    def __init__(self) -> None:
        self.seen = 0
        self.level = 0
        self.used = 0
        self.cast_out = 0


class Systems:
    """See the module; call `epoch` once an epoch with a complete list of satellites."""

    def __init__(self, votes: "Votes") -> None:
        self._votes = votes
        self._systems: dict[str, _System] = {}

    def epoch(self, satellites: "list[Satellite]", now: int) -> None:
        """Take the satellites of an epoch."""
        shifts: list[int] = []
        outcasts = fitting = 0
        for gnss in sorted({s.gnss for s in satellites}):
            own = [s for s in satellites if s.gnss == gnss]
            cn0 = sorted([s.cn0 or 0 for s in own])
            used = len([s for s in own if s.used])
            fitting += used >= _FEW
            system = self._systems.setdefault(gnss, _System())
            strong = len([c for c in cn0 if c >= _STRONG_DBHZ])
            cast_out = strong > _FEW and not used and system.used >= _FEW * _SCALE
            system.cast_out = system.cast_out + 1 if cast_out else 0
            outcasts += system.cast_out >= _CAST_OUT
            if cn0 and len(cn0) >= _FEW and cn0[-_FEW]:
                self._weigh(system, sum(cn0[-_FEW:]) * _SCALE // _FEW, used, shifts)
        apart = max(shifts) - min(shifts) if shifts else 0
        present = apart >= _APART or (outcasts > 0 and fitting > 0)
        self._votes.vote("constellations", present, now, apart * 100 // _SCALE, 600)

    def _weigh(self, system: _System, level: int, used: int, shifts: "list[int]") -> None:
        """Compare with what is usual of the system, and learn unless it is unusual."""
        system.seen += 1
        if system.seen > _LEARN:
            shifts.append(level - system.level)
            if abs(level - system.level) >= _APART // 2 or system.cast_out:
                return
        pace = min(system.seen, 512)
        system.level += (level - system.level) // pace
        system.used += (used * _SCALE - system.used) // pace
