"""Whether an epoch shows what was wished: one function a step, True, False, or None (cannot tell).

Pure but for `SetupObservation`, which carries what outlives an epoch and what a person is told was
seen.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.gnss.epoch import Epoch
    from drivers.gnss.setup_step import SetupStep

_DAY = 86_400 * SECOND
_CHECKED_SYSTEMS = ("BDS", "GPS", "GLO", "GAL")
_SENTENCES = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
_INTERRUPTION = 3 * SECOND


class SetupObservation:
    """What was seen since a step's commands were sent.

    `text` for people; `time_us`, `last_epoch_at` of the epoch before; `interrupted`: the fix or the
    stream was interrupted, as a restart does.
    """

    def __init__(self) -> None:
        self.text = ""
        self.time_us: int | None = None
        self.last_epoch_at: int | None = None
        self.interrupted = False


def _check_systems(
    step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """Every wished system is received, and no other."""
    view = epoch.satellite_view
    if not view.has_gsv or not view.complete:
        return None
    found = [s.gnss for s in view.satellites if s.signals or s.used]
    systems = [name for name in _CHECKED_SYSTEMS if name in found]
    observation.text = " ".join(systems)
    return systems == [name for name in _CHECKED_SYSTEMS if name in step.value]


def _check_sentences(
    step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """Every wished kind is there, and no other of those that can be asked for."""
    found = [str(body[2:5], "ascii") for body in epoch.group.bodies]
    kinds = [kind for kind in _SENTENCES if kind in found]
    observation.text = " ".join(kinds)
    return kinds == [kind for kind in _SENTENCES if kind in step.value]


def _check_rate(
    step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """The epochs' own times are so far apart."""
    previous, observation.time_us = observation.time_us, epoch.time_us
    if previous is None or epoch.time_us is None:
        return None
    interval_us = (epoch.time_us - previous) % _DAY
    observation.text = "%d ms" % (interval_us // 1000)
    return interval_us == step.int_value() * 1000


def _check_baud(
    _step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """Sentences arrive whole."""
    observation.text = "sentences"
    return not epoch.group.error_count


def _check_start(
    _step: "SetupStep", epoch: "Epoch", observation: SetupObservation, now: int
) -> "bool | None":
    """The fix was lost or the stream paused, and a fix is back."""
    previous, observation.last_epoch_at = observation.last_epoch_at, now
    if not epoch.valid or (previous is not None and now - previous > _INTERRUPTION):
        observation.interrupted = True
    observation.text = "fix" if epoch.valid else "no fix"
    if not observation.interrupted:
        return None
    return epoch.valid


CHECKS: "dict[str, Callable[[SetupStep, Epoch, SetupObservation, int], bool | None]]" = {
    "constellations": _check_systems,
    "sentences": _check_sentences,
    "rate": _check_rate,
    "baud": _check_baud,
    "start": _check_start,
}
