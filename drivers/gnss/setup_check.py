"""Whether an epoch shows what was wished: one function a step, True, False, or None (cannot tell).

Pure but for `Seen`, which carries what outlives an epoch and what a person is told was seen.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.gnss.epoch import Epoch
    from drivers.gnss.setup_step import Step

_DAY = 86_400 * SECOND
_JUDGED = ("BDS", "GPS", "GLO", "GAL")
_KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
_PAUSE = 3 * SECOND


class Seen:
    """What was seen since a step's commands were sent.

    `text` for people; `time_us`, `heard` of the epoch before; `disturbed`: the fix or the stream
    was interrupted, as a restart does.
    """

    def __init__(self) -> None:
        self.text = ""
        self.time_us: int | None = None
        self.heard: int | None = None
        self.disturbed = False


def _systems(step: "Step", epoch: "Epoch", seen: Seen, _now: int) -> "bool | None":
    """Every wished system is received, and no other."""
    sky = epoch.sky
    if not sky.has_view or not sky.complete:
        return None
    found = [s.gnss for s in sky.satellites if s.signals or s.used]
    systems = [name for name in _JUDGED if name in found]
    seen.text = " ".join(systems)
    return systems == [name for name in _JUDGED if name in step.value]


def _kinds(step: "Step", epoch: "Epoch", seen: Seen, _now: int) -> "bool | None":
    """Every wished kind is there, and no other of those that can be asked for."""
    found = [str(body[2:5], "ascii") for body in epoch.burst.bodies]
    kinds = [kind for kind in _KINDS if kind in found]
    seen.text = " ".join(kinds)
    return kinds == [kind for kind in _KINDS if kind in step.value]


def _rate(step: "Step", epoch: "Epoch", seen: Seen, _now: int) -> "bool | None":
    """The epochs' own times are so far apart."""
    before, seen.time_us = seen.time_us, epoch.time_us
    if before is None or epoch.time_us is None:
        return None
    apart = (epoch.time_us - before) % _DAY
    seen.text = "%d ms" % (apart // 1000)
    return apart == step.number() * 1000


def _baud(_step: "Step", epoch: "Epoch", seen: Seen, _now: int) -> "bool | None":
    """Sentences arrive whole."""
    seen.text = "sentences"
    return not epoch.burst.damaged


def _start(_step: "Step", epoch: "Epoch", seen: Seen, now: int) -> "bool | None":
    """The fix was lost or the stream paused, and a fix is back."""
    before, seen.heard = seen.heard, now
    if not epoch.valid or (before is not None and now - before > _PAUSE):
        seen.disturbed = True
    seen.text = "fix" if epoch.valid else "no fix"
    if not seen.disturbed:
        return None
    return epoch.valid


CHECKS: "dict[str, Callable[[Step, Epoch, Seen, int], bool | None]]" = {
    "constellations": _systems,
    "sentences": _kinds,
    "rate": _rate,
    "baud": _baud,
    "start": _start,
}
