# SPDX-License-Identifier: Apache-2.0
"""Counts of a campaign of the clock: days, beyonds, and the bound in a clean sky."""

from dataclasses import dataclass, field
from statistics import median

from hil.campaign.clock.draw import draw_day
from hil.campaign.clock.model import Day, DayResult
from hil.campaign.clock.world import run_day

_USB_US = 50.0


def run_seed(seed: int) -> tuple[Day, DayResult]:
    """Draw and run the day of a seed."""
    day = draw_day(seed)
    return day, run_day(day)


def kind_of(day: Day) -> str:
    """Return the kind of the best source of a day with a stated latency, or an empty text."""
    if day.receiver.stated_ms is None or not day.raw_clock:
        return ""
    if day.pulses is None:
        return "sentences"
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
