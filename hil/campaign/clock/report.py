# SPDX-License-Identifier: Apache-2.0
"""Counts of a campaign of the clock: cases, bound violations, and the bound in fault-free cases."""

from dataclasses import dataclass, field
from statistics import median

from hil.campaign.clock.case_generator import generate_case
from hil.campaign.clock.model import ClockCase, ClockResult
from hil.campaign.clock.world import run_case

_MAX_GPIO_US = 50.0
"""In `case_generator` a pulse by GPIO is up to 10 us late, by a USB adapter 100 us and more."""
_CALIBRATED_MS = 3.0
"""The latency error that a calibration states; 10 ms is that of a latency from a data sheet."""


def run_seed(seed: int) -> tuple[ClockCase, ClockResult]:
    """Draw and run the case of a seed."""
    case = generate_case(seed)
    return case, run_case(case)


def statistics_group(case: ClockCase) -> str:
    """Return the best source of a fault-free case; empty: a fault makes its bound incomparable.

    Fault-free: a calibrated latency that stays within its stated error, no outage, no false pulse.
    """
    receiver = case.receiver
    if receiver.stated_ms is None or not case.raw_clock:
        return ""
    if case.pulses is None:
        slack_ms = receiver.spread_ms - abs(receiver.stated_ms - receiver.latency_ms)
        is_steady = all(abs(span.value) <= slack_ms + 1e-6 for span in receiver.latency)
        is_calibrated = receiver.spread_ms <= _CALIBRATED_MS
        return "sentences" if is_steady and is_calibrated and not receiver.silent else ""
    if case.pulses.wrong_ms or case.pulses.extra_ms:
        return ""
    return "usb" if case.pulses.late_us > _MAX_GPIO_US else "gpio"


@dataclass
class ClockTally:
    """The counts. `violations`: results with true UTC outside the bound."""

    runs: int = 0
    virtual_s: float = 0.0
    violations: list[ClockResult] = field(default_factory=list)
    medians_us: dict[str, list[float]] = field(default_factory=dict)

    def add(self, case: ClockCase, result: ClockResult) -> None:
        """Count a case."""
        self.runs += 1
        self.virtual_s += result.seconds
        if result.excess_us > 0:
            self.violations.append(result)
        kind = statistics_group(case)
        if kind and result.bounds_us:
            self.medians_us.setdefault(kind, []).append(median(result.bounds_us))

    def record(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        return {
            "runs": self.runs,
            "days": round(self.virtual_s / 86_400, 1),
            "violations": [
                {
                    "seed": violation.seed,
                    "excess_us": violation.excess_us,
                    "first_s": violation.first_s,
                }
                for violation in self.violations
            ],
            "median_bound_us": {
                kind: round(median(values)) for kind, values in sorted(self.medians_us.items())
            },
        }
