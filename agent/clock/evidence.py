# SPDX-License-Identifier: Apache-2.0
"""Evidence of failed checks of time and GNSS.

Does not check. `agent.clock.position_check` checks the position, `agent.clock.utc_clock` the time
steps, `agent.gnss.signal_check` the signals.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.alarm_list import AlarmList

_MAX_ENTRIES = 16
_MERGE_WINDOW_US = 60 * SECOND

# fmt: off
CHECKS = (
    ("step", AlarmRecord("time_step", NORMAL, "the receiver's time jumped", "", False)),
    ("rate", AlarmRecord(
        "time_rate", NORMAL, "the receiver's time runs away from the oscillator", "", True)),
    ("pulse", AlarmRecord("time_pulse", NORMAL, "a pulse does not stand at a second", "", True)),
    ("floor", AlarmRecord(
        "time_floor", NORMAL, "the receiver's date lies before the last one that was known", "",
        False)),
    ("witness", AlarmRecord(
        "time_witness", NORMAL, "another source of time contradicts the receiver's", "", False)),
    ("position", AlarmRecord(
        "gnss_position", NORMAL, "the receiver says that it is somewhere else", "", True)),
    ("signals", AlarmRecord(
        "gnss_suspect", NORMAL, "two or more checks vote against the signals", "", False)),
)
# fmt: on
"""The checks that act on the clock: name, alarm. `agent.tools.clock.clock_text` has their units."""


def alarm_for(check: str) -> "AlarmRecord":
    """Return the alarm of a check."""
    for name, record in CHECKS:
        if name == check:
            return record
    raise KeyError(check)


def update_alarms(alarms: "AlarmList", known: "list[str]", failed: "list[str]", now: int) -> None:
    """Raise an alarm for each check that has rejected a fix; clear it when the check passes.

    `known`: the checks that had failed at the last call; they are replaced by `failed`.
    """
    before = known[:]
    known.clear()
    known.extend(failed)
    for check in before + known:
        alarms.update(alarm_for(check), "", check in known, now)


class CheckEvidence:
    """Evidence of one check over a run of failures that are at most one minute apart.

    check   its name
    since, time   the first and the last failure, monotonic µs
    first, figure   the first and the last figure; `limit` is the limit of the last one
    count   number of failures
    """

    __slots__ = ("check", "count", "figure", "first", "limit", "since", "time")

    def __init__(self, check: str, time: int, figure: int, limit: int) -> None:
        self.check = check
        self.since = self.time = time
        self.first = self.figure = figure
        self.limit = limit
        self.count = 1


class EvidenceLog:
    """Evidence, newest last. It keeps 16 entries and counts all failures."""

    def __init__(self) -> None:
        self.entries: list[CheckEvidence] = []
        self.counts: dict[str, int] = {}

    def add(self, check: str, time: int, figure: int, limit: int) -> None:
        """Add a failure of a check."""
        self.counts[check] = self.counts.get(check, 0) + 1
        entries = self.entries
        for entry in entries:
            if entry.check == check and time - entry.time <= _MERGE_WINDOW_US:
                entry.time = time
                entry.figure = figure
                entry.limit = limit
                entry.count += 1
                return
        entries.append(CheckEvidence(check, time, figure, limit))
        if len(entries) > _MAX_ENTRIES:
            entries.pop(0)
