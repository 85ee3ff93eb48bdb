# SPDX-License-Identifier: Apache-2.0
"""Tally of hazard runs: violations, pairs seen, silent faults, alarm codes, rows of the FMEA.

Does not run cases. A fault is silent if none of its runs raised an alarm. A row of the FMEA is hit
if a run had one of its words.
"""

from collections import Counter
from itertools import combinations
from typing import Any

from hil.campaign.hazard.exemptions import load_exemptions
from hil.campaign.hazard.injected_faults import faults_by_word, load_table
from hil.campaign.hazard.run import CaseResult
from hil.measure.registry import ALARM_CODES

_QUIET_CODES = {"time_floor", "humidity_sensor"}
"""Codes that a start raises in each run."""
MAX_EXEMPT = 0.02
"""Largest part of the runs that the reviewed list may exempt."""
_LEAST_RUNS = 50


class HazardTally:
    """Counts over the results added so far."""

    def __init__(self) -> None:
        self.runs = self.failed = self.exempt = 0
        self.virtual_s = self.cpu_s = 0.0
        self.reasons: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.words: Counter[str] = Counter()
        self._pairs: set[tuple[str, str]] = set()
        self._codes: Counter[str] = Counter()
        self._alarmed: set[str] = set()

    def add(self, result: CaseResult) -> None:
        """Add one result."""
        self.runs += 1
        self.virtual_s += result.virtual_s
        self.failed += bool(result.unexempt)
        self.cpu_s += result.cpu_s
        reasons = {
            violation.exempt_reason for violation in result.violations if violation.exempt_reason
        }
        self.exempt += bool(reasons)
        self.reasons.update(reasons)
        self.violations.update({violation.invariant for violation in result.unexempt})
        if result.unexempt:
            self.words.update(result.words)
        self._pairs.update(combinations(result.words, 2))
        self._codes.update(result.codes)
        if set(result.codes) - _QUIET_CODES:
            self._alarmed.update(result.words)

    @property
    def has_too_many_exempt(self) -> bool:
        """Whether more runs are exempt than the list may have; few runs prove nothing."""
        return self.runs >= _LEAST_RUNS and self.exempt > MAX_EXEMPT * self.runs

    def record(self) -> dict[str, Any]:
        """Give the figures as a JSON record."""
        seen = {word for pair in self._pairs for word in pair}
        count = len(faults_by_word())
        rows = load_table("fmea")["row"]
        emulated = [row for row in rows if set(row["words"]) & set(faults_by_word())]
        return {
            "runs": self.runs,
            "failed": self.failed,
            "exempt": self.exempt,
            "exempt_reasons": dict(self.reasons.most_common()),
            "exempt_unused": [
                entry.label for entry in load_exemptions() if entry.reason not in self.reasons
            ],
            "max_exempt": int(MAX_EXEMPT * self.runs),
            "violations": dict(sorted(self.violations.items())),
            "virtual_hours": round(self.virtual_s / 3600, 2),
            "cpu_s": round(self.cpu_s, 1),
            "runs_per_cpu_min": round(60 * self.runs / self.cpu_s, 1) if self.cpu_s else None,
            "frequent_words": dict(self.words.most_common(12)),
            "pairs_seen": len(self._pairs),
            "pairs": count * (count - 1) // 2,
            "words_seen": len(seen),
            "words": count,
            "silent_words": sorted(seen - self._alarmed),
            "codes_never_raised": sorted(set(ALARM_CODES) - set(self._codes)),
            "codes_raised": dict(sorted(self._codes.items())),
            "fmea_rows": len(rows),
            "fmea_emulated": len(emulated),
            "fmea_never_hit": [row["number"] for row in emulated if not set(row["words"]) & seen],
        }


def choose_by_codes(results: list[CaseResult], count: int) -> list[CaseResult]:
    """Choose `count` results that raise the most different alarm codes.

    The next one is always that with the most codes that no chosen one has; of equal ones the first.
    """
    chosen: list[CaseResult] = []
    seen: set[str] = set()
    for _ in range(min(count, len(results))):
        rest = [result for result in results if result not in chosen]
        best = max(rest, key=lambda result: len(set(result.codes) - seen))
        chosen.append(best)
        seen.update(best.codes)
    return chosen
