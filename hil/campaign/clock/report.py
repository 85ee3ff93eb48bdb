# SPDX-License-Identifier: Apache-2.0
"""Counts of a campaign of the clock: days, beyonds, and the bound in a clean sky."""

from dataclasses import dataclass, field
from statistics import median

from hil.campaign.clock.draw import draw_day
from hil.campaign.clock.model import Day, DayResult
from hil.campaign.clock.world import run_day

_USB_US = 50.0
_CALIBRATED_MS = 3.0
"""The latency error that a calibration states; 10 ms is that of a latency from a data sheet."""


def run_seed(seed: int) -> tuple[Day, DayResult]:
    """Draw and run the day of a seed."""
    day = draw_day(seed)
    return day, run_day(day)


def kind_of(day: Day) -> str:
    """Return the kind of the best source of a day in a clean sky, or an empty text.

    Clean sky: a calibrated latency that stays within its stated error, no outage, no false pulse.
    """
    receiver = day.receiver
    if receiver.stated_ms is None or not day.raw_clock:
        return ""
    if day.pulses is None:
        slack_ms = receiver.spread_ms - abs(receiver.stated_ms - receiver.latency_ms)
        is_steady = all(abs(span.value) <= slack_ms + 1e-6 for span in receiver.latency)
        is_calibrated = receiver.spread_ms <= _CALIBRATED_MS
        return "sentences" if is_steady and is_calibrated and not receiver.silent else ""
    if day.pulses.wrong_ms or day.pulses.extra_ms:
        return ""
    return "usb" if day.pulses.late_us > _USB_US else "gpio"


@dataclass
class ClockTally:
    """The counts. `beyond`: seeds and their results whose true UTC was outside the bound."""

    runs: int = 0
    virtual_s: float = 0.0
    beyond: list[DayResult] = field(default_factory=list)
    medians_us: dict[str, list[float]] = field(default_factory=dict)

    def add(self, day: Day, result: DayResult) -> None:
        """Count a day."""
        self.runs += 1
        self.virtual_s += result.seconds
        if result.beyond_us > 0:
            self.beyond.append(result)
        kind = kind_of(day)
        if kind and result.bounds_us:
            self.medians_us.setdefault(kind, []).append(median(result.bounds_us))

    def record(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        return {
            "runs": self.runs,
            "days": round(self.virtual_s / 86_400, 1),
            "beyond": [
                {"seed": r.seed, "beyond_us": r.beyond_us, "first_s": r.first_s}
                for r in self.beyond
            ],
            "median_bound_us": {
                kind: round(median(values)) for kind, values in sorted(self.medians_us.items())
            },
        }
