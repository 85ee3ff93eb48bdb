# SPDX-License-Identifier: Apache-2.0
"""Counts of a campaign of the clock: bound violations, the bound in fault-free cases, drags."""

import random
from dataclasses import dataclass, field, replace
from statistics import median

from hil.campaign.clock.case_generator import generate_case
from hil.campaign.clock.drags import generate_drag
from hil.campaign.clock.model import ClockCase, ClockResult, SiteTimeServer
from hil.campaign.clock.world import run_case

_MAX_GPIO_US = 50.0
"""In `case_generator` a pulse by GPIO is up to 10 us late, by a USB adapter 100 us and more."""
_CALIBRATED_MS = 3.0
"""The latency error that a calibration states; 10 ms is that of a latency from a data sheet."""


_STABLE_PPM_PER_C = 0.1
"""A simple TCXO; crystals have up to 1 ppm per degree."""
_RECOVERY_S = 1_800.0
"""A drag counts for the recovery if the case goes on for so long after its end."""
_LARGEST_SHARE = 0.7
"""The steady error of a second source, of its stated uncertainty."""


def run_seed(
    seed: int, drags: bool = False, second_ms: float = 0.0
) -> tuple[ClockCase, ClockResult]:
    """Draw and run the case of a seed. `drags`: a drag of time instead of random faults.

    `second_ms`: an NTP server of the site states UTC within it; 0: there is none.
    """
    case = generate_drag(seed) if drags else generate_case(seed)
    if second_ms:
        share = random.Random(f"second/{seed}").uniform(-_LARGEST_SHARE, _LARGEST_SHARE)
        case = replace(case, second=SiteTimeServer(second_ms, share * second_ms))
    return case, run_case(case)


def statistics_group(case: ClockCase) -> str:
    """Return the best source of a fault-free case; empty: a fault makes its bound incomparable.

    Fault-free: a calibrated latency that stays within its stated error, no outage, no false pulse,
    no restart, and no second that changes at the end of a month.
    """
    receiver = case.receiver
    if case.restarts or case.leap_s or case.false_60_s is not None:
        return ""
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


def statistics_groups(case: ClockCase) -> list[str]:
    """Return the groups of a case: its best source, and again if a slow drag shows early there.

    That is "…_tcxo": the temperature is measured, and changes the rate by at most 0.1 ppm/°C.
    """
    kind, oscillator = statistics_group(case), case.oscillator
    if not kind:
        return []
    is_stable = oscillator.sensor and oscillator.tempco_limit <= _STABLE_PPM_PER_C
    return [kind, f"{kind}_tcxo"] if is_stable else [kind]


@dataclass
class DragTally:
    """What a spoofer's drags did. `unseen_us`: largest error while no drag was seen, by source.

    `recoveries_s`: how long after the end of a drag the clock was in sync on the truth again.
    """

    runs: int = 0
    seen: int = 0
    unseen_us: dict[str, int] = field(default_factory=dict)
    recoveries_s: list[float] = field(default_factory=list)
    not_recovered: list[int] = field(default_factory=list)

    def add(self, case: ClockCase, result: ClockResult) -> None:
        """Count a case."""
        self.runs += 1
        self.seen += result.seen_s is not None
        kind = "sentences" if case.pulses is None else "pulses"
        self.unseen_us[kind] = max(self.unseen_us.get(kind, 0), result.unseen_us)
        if result.recovery_s is not None:
            self.recoveries_s.append(result.recovery_s)
        elif case.seconds - case.receiver.time_drag_ppm[0].until_s >= _RECOVERY_S:
            self.not_recovered.append(case.seed)

    def record(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        times = self.recoveries_s
        return {
            "runs": self.runs,
            "seen": self.seen,
            "largest_unseen_error_us": dict(sorted(self.unseen_us.items())),
            "recovery_s": {"median": round(median(times)), "max": round(max(times))}
            if times
            else {},
            "not_recovered": self.not_recovered,
        }


@dataclass
class ClockTally:
    """The counts. `violations`: results with true UTC outside the bound."""

    runs: int = 0
    virtual_s: float = 0.0
    violations: list[ClockResult] = field(default_factory=list)
    medians_us: dict[str, list[float]] = field(default_factory=dict)
    drags: DragTally = field(default_factory=DragTally)

    def add(self, case: ClockCase, result: ClockResult) -> None:
        """Count a case."""
        self.runs += 1
        self.virtual_s += result.seconds
        if result.excess_us > 0:
            self.violations.append(result)
        if case.receiver.time_drag_ppm:
            self.drags.add(case, result)
            return
        for kind in statistics_groups(case) if result.bounds_us else []:
            self.medians_us.setdefault(kind, []).append(median(result.bounds_us))

    def record(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        drags = {"drags": self.drags.record()} if self.drags.runs else {}
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
            **drags,
        }
