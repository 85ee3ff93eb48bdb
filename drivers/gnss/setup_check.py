# SPDX-License-Identifier: Apache-2.0
"""Checks whether an epoch shows a requested setting: one function per step.

A check returns True, False, or None (unknown). The functions are pure, except that they update a
`SetupObservation`.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.gnss.epoch import Epoch
    from drivers.gnss.setup_step import SetupStep

_DAY_US = 86_400 * SECOND
_CHECKED_SYSTEMS = ("BDS", "GPS", "GLO", "GAL")
_SENTENCES = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
_INTERRUPTION_US = 3 * SECOND


class SetupObservation:
    """The observed state since the commands of a step.

    `text` is for operators. `time_us` and `last_epoch_at` belong to the last epoch. `interrupted`:
    the fix or the stream was interrupted, as in a restart.
    """

    def __init__(self) -> None:
        self.text = ""
        self.time_us: int | None = None
        self.last_epoch_at: int | None = None
        self.interrupted = False


def _check_systems(
    step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """Every requested system is received, and no other."""
    view = epoch.satellite_view
    if not view.has_gsv or not view.complete:
        return None
    found = [satellite.gnss for satellite in view.satellites if satellite.signals or satellite.used]
    systems = [name for name in _CHECKED_SYSTEMS if name in found]
    observation.text = " ".join(systems)
    return systems == [name for name in _CHECKED_SYSTEMS if name in step.value]


def _check_sentences(
    step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """Every requested kind is received, and no other kind that can be requested."""
    found = [str(body[2:5], "ascii") for body in epoch.group.bodies]
    kinds = [kind for kind in _SENTENCES if kind in found]
    observation.text = " ".join(kinds)
    return kinds == [kind for kind in _SENTENCES if kind in step.value]


def _check_rate(
    step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """The times of two epochs differ by the requested rate."""
    previous, observation.time_us = observation.time_us, epoch.time_us
    if previous is None or epoch.time_us is None:
        return None
    interval_us = (epoch.time_us - previous) % _DAY_US
    observation.text = "%d ms" % (interval_us // 1000)
    return interval_us == step.int_value() * 1000


def _check_baud(
    _step: "SetupStep", epoch: "Epoch", observation: SetupObservation, _now: int
) -> "bool | None":
    """Sentences arrive without errors."""
    observation.text = "sentences"
    return not epoch.group.error_count


def _check_start(
    _step: "SetupStep", epoch: "Epoch", observation: SetupObservation, now: int
) -> "bool | None":
    """The fix was lost or the stream paused, and the fix is back."""
    previous, observation.last_epoch_at = observation.last_epoch_at, now
    if not epoch.valid or (previous is not None and now - previous > _INTERRUPTION_US):
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
