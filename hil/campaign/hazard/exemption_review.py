# SPDX-License-Identifier: Apache-2.0
"""Is each exemption still needed? Runs cases of the generator that it covers, until one matches.

Does not judge the reasons; a person does. An entry with `one_of` is reviewed with each of these
words. A combination that no case needs is broader than its reason: a controller meets it now.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hil.campaign.hazard.case_generator import CaseOptions, HazardCase, generate_case
from hil.campaign.hazard.exemptions import Exemption, load_exemptions
from hil.campaign.hazard.run import judge
from hil.run.recorded import DUTS

_DRAWS = 2000
"""Seeds to look at for cases that an entry covers."""


@dataclass(frozen=True)
class Review:
    """Result of one combination. `runs`: cases that were run; `title`: of the case that needs the
    entry, "" if none does.
    """

    label: str
    runs: int
    title: str


def list_combinations() -> list[Exemption]:
    """Give each entry with each word of its `one_of`."""
    found = []
    for entry in load_exemptions():
        words = [(word,) for word in entry.one_of]
        found += [replace(entry, one_of=one_of) for one_of in words] or [entry]
    return found


def draw_covered(entry: Exemption) -> Iterator[HazardCase]:
    """Give different cases that the entry covers, with no other fault."""
    words = (*entry.words, *entry.one_of)
    orders = list(itertools.permutations(words))
    seen = set()
    for seed in range(_DRAWS):
        options = CaseOptions(words=orders[seed % len(orders)])
        case = generate_case(seed, max(2, len(words)), options)
        if case.scenario.title in seen or not entry.covers(case):
            continue
        seen.add(case.scenario.title)
        yield case


def review(entry: Exemption, most_runs: int, dut: str) -> Review:
    """Run cases that the entry covers, at most `most_runs`, until one needs it."""
    runs = 0
    for case in itertools.islice(draw_covered(entry), most_runs):
        runs += 1
        violations, codes = judge(case, DUTS[dut])
        if any(entry.matches(name, case, codes, text) for name, _, text in violations):
            return Review(entry.label, runs, case.scenario.title)
    return Review(entry.label, runs, "")
