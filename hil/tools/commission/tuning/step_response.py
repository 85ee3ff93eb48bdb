# SPDX-License-Identifier: Apache-2.0
"""A loop's process from its step response, and the gains of a PI controller for it.

Does not move an output; see `hil.tools.commission.tuning.step_test`.

The process is a first-order lag with a delay. Gain: change of the value for each percent of the
output. Lag and delay: from the times of 28.3 % and 63.2 % of the change, lag = 1.5 (t63 - t28),
delay = t63 - lag (Smith, "Digital Computer Process Control", 1972, section 6.5).

The gains follow the SIMC rule (Skogestad, Journal of Process Control 13, 2003): gain = lag /
(process gain * (closed + delay)), integral time = min(lag, 4 (closed + delay)). The delay includes
one cycle of the controller, and the refresh period of a slow sensor. `closed`, the wanted time
constant, is twice the delay, and at least half of the lag: slower than the rule proposes, because a
pump curve is not linear.
"""

import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

CYCLE_S = 1.0
"""Cycle of the basic loops of the agent, s."""
_SHARES = 0.283, 0.632
_LAG_FACTOR = 1.5
_CLOSED_DELAYS, _CLOSED_LAGS = 2.0, 0.5
_SETTLED_SHARE, _NOISES = 0.08, 3.0
_LARGEST_RATIO = 2.0
_JUMP_SHARE, _LEAST_REFRESH_S = 0.1, 0.7

Sample = tuple[float, float]
"""Time since the step, s, and value."""


class TuningError(Exception):
    """The response gives no gains. The text says why."""


class DisturbanceError(TuningError):
    """Something else has changed the value, such as the heat load. A later test can succeed."""


class Process(NamedTuple):
    """First-order lag with delay, s. `gain`: change of the value for each percent."""

    gain: float
    lag_s: float
    delay_s: float


class Gains(NamedTuple):
    """Of a PI controller: `gain`, percent for each unit of the value (positive), `integral_s`."""

    gain: float
    integral_s: float


def is_settled(start: float, samples: Sequence[Sample], noise: float) -> bool:
    """Return whether the second half of the response has changed little: about four lags."""
    end_s = samples[-1][0]
    tail = [value for at_s, value in samples if at_s >= end_s / 2.0]
    part = max(1, len(tail) // 4)
    moved = abs(statistics.fmean(tail[-part:]) - statistics.fmean(tail[:part]))
    total = abs(statistics.fmean(tail[-part:]) - start)
    return moved <= max(_SETTLED_SHARE * total, noise)


def fit_process(
    start: float, samples: Sequence[Sample], step_pct: float, least_change: float, noise: float
) -> Process:
    """Return the process of one settled response.

    `start`: value before the step. Raises `TuningError` if the value has changed by less than
    `least_change`, or by less than three times its noise.
    """
    tail = samples[-max(3, len(samples) // 5) :]
    change = statistics.fmean(value for _, value in tail) - start
    least = max(least_change, _NOISES * noise)
    if abs(change) < least:
        raise TuningError(f"the value changed by {abs(change):.2f}, and {least:.2f} is needed")
    early, late = (_time_of(start, samples, share * change) for share in _SHARES)
    lag_s = max(0.0, _LAG_FACTOR * (late - early))
    delay_s = max(0.0, late - lag_s) + find_refresh_s(samples, change)
    return Process(change / step_pct, lag_s, delay_s)


def find_refresh_s(samples: Sequence[Sample], change: float) -> float:
    """Return the period in which a slow sensor refreshes its value, s; 0.0 for a quick one.

    It is the longest time of equal samples between two changes, of which the second one is a large
    part of the response. The time before the first change is a delay of the process.
    """
    longest_s, changed_at_s = 0.0, -1.0
    for (_, before), (at_s, value) in itertools.pairwise(samples):
        if value == before:
            continue
        if changed_at_s >= 0.0 and abs(value - before) >= _JUMP_SHARE * abs(change):
            longest_s = max(longest_s, at_s - changed_at_s)
        changed_at_s = at_s
    return longest_s if longest_s >= _LEAST_REFRESH_S else 0.0


def _time_of(start: float, samples: Sequence[Sample], change: float) -> float:
    """Return the first time at which the value has changed by `change`, between two samples."""
    before_s, before = 0.0, start
    for at_s, value in samples:
        if (value - start) / change >= 1.0:
            share = (start + change - before) / (value - before) if value != before else 1.0
            return before_s + min(max(share, 0.0), 1.0) * (at_s - before_s)
        before_s, before = at_s, value
    return samples[-1][0]


def mean_process(there: Process, back: Process) -> Process:
    """Return the mean of step and step back. Raises `DisturbanceError` if they differ."""
    ratio = there.gain / back.gain
    if not 1.0 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO:
        raise DisturbanceError(
            f"the way back differs ({there.gain:.2f} and {back.gain:.2f} for each percent): "
            "something else has changed the value"
        )
    pairs = zip(there, back, strict=True)
    return Process(*(statistics.fmean(pair) for pair in pairs))


def check_direction(process: Process, sign: int) -> None:
    """Raise `TuningError` if the value does not move to the side `sign` when the output rises."""
    if process.gain * sign <= 0.0:
        raise TuningError(
            f"the value changed by {process.gain:+.2f} for each percent, which is the wrong "
            "direction: the actuator or its register is reversed"
        )


def find_gains(process: Process, cycle_s: float = CYCLE_S) -> Gains:
    """Return the gains of a PI controller with the cycle `cycle_s`."""
    lag_s = max(process.lag_s, cycle_s)
    delay_s = process.delay_s + cycle_s
    closed_s = max(_CLOSED_DELAYS * delay_s, _CLOSED_LAGS * lag_s)
    gain = lag_s / (abs(process.gain) * (closed_s + delay_s))
    return Gains(gain, min(lag_s, 4.0 * (closed_s + delay_s)))
