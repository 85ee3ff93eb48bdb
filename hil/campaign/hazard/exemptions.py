# SPDX-License-Identifier: Apache-2.0
"""The reviewed list of violations that no controller could have prevented: `exemptions.toml`.

Does not judge. Each entry names an invariant, the words of the faults, and a physical reason.
"""

import functools
from dataclasses import dataclass

from hil.campaign.hazard.case_generator import HazardCase
from hil.campaign.hazard.injected_faults import load_table


@dataclass(frozen=True)
class Exemption:
    """One entry; an empty `site` or `values`, a load of 0, and no `lead_s` match every case.

    `values` are those of the last word. `one_of`: at least one of these words is a fault of the
    case too. `lead_s`: the other words start at most this time before the first word, s. A
    controller that had more time must have acted. `alarm`: the code that must have been raised for
    a person. `text`: a part of what was seen: a supply below the dew point that no controller can
    prevent still needs its alarm. `is_restarted`: the controller was restarted.
    """

    invariant: str
    words: tuple[str, ...]
    reason: str
    min_load_kw: float = 0.0
    site: str = ""
    values: tuple[float, ...] = ()
    lead_s: float | None = None
    one_of: tuple[str, ...] = ()
    alarm: str = ""
    text: str = ""
    max_load_kw: float = 0.0
    is_restarted: bool = False

    @property
    def label(self) -> str:
        """Invariant and words, for a person."""
        one_of = f" and one of {', '.join(self.one_of)}" if self.one_of else ""
        return f"{self.invariant} {', '.join(self.words)}{one_of}"

    def matches(
        self, invariant: str, case: HazardCase, codes: tuple[str, ...], text: str = ""
    ) -> bool:
        """Return whether the violation of `invariant` in `case` is exempt.

        `codes`: its alarms. `text`: what was seen.
        """
        return (
            invariant == self.invariant
            and self.alarm in ("", *codes)
            and self.text in text
            and self.covers(case)
        )

    def covers(self, case: HazardCase) -> bool:
        """Return whether the faults, the times, the load and the site are those of the entry."""
        values = {fault.word: fault.value for fault in case.faults}
        return (
            set(self.words) <= set(values)
            and (not self.one_of or not set(self.one_of).isdisjoint(values))
            and case.scenario.settings.it_kw >= self.min_load_kw
            and (not self.max_load_kw or case.scenario.settings.it_kw <= self.max_load_kw)
            and self.site in ("", case.site)
            and (not self.is_restarted or case.restart_s is not None)
            and (not self.values or values[self.words[-1]] in self.values)
            and (self.lead_s is None or self._lead_s(case) <= self.lead_s)
        )

    def _lead_s(self, case: HazardCase) -> float:
        """Return the time from the first start of the other words to that of the first word, s."""
        starts = {event.do: event.at_s for event in reversed(case.scenario.events)}
        others = [word for word in (*self.words[1:], *self.one_of) if word in starts]
        return starts[self.words[0]] - min(starts[word] for word in others)


@functools.cache
def load_exemptions() -> tuple[Exemption, ...]:
    """Read the list. An entry with `each_of` is one entry for each of these first words."""
    return tuple(
        Exemption(
            entry["invariant"],
            (*first, *entry["words"]),
            entry["reason"],
            float(entry.get("min_load_kw", 0.0)),
            entry.get("site", ""),
            tuple(float(value) for value in entry.get("values", ())),
            entry.get("lead_s"),
            tuple(entry.get("one_of", ())),
            entry.get("alarm", ""),
            entry.get("text", ""),
            float(entry.get("max_load_kw", 0.0)),
            bool(entry.get("is_restarted", False)),
        )
        for entry in load_table("exemptions")["exemption"]
        for first in ([word] if word else [] for word in entry.get("each_of", [""]))
    )


def find_exemption(
    invariant: str, case: HazardCase, codes: tuple[str, ...] = (), text: str = ""
) -> Exemption | None:
    """Give the entry that exempts a violation, or None.

    `codes`: the alarms of the case. `text`: the text of the violation.
    """
    found = (entry for entry in load_exemptions() if entry.matches(invariant, case, codes, text))
    return next(found, None)
