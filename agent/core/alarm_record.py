# SPDX-License-Identifier: Apache-2.0
"""Record of an alarm, and the unit states that an alarm can cause.

Does not decide the unit state (see `agent.safety.supervisor`) and does not list the active alarms
(see `agent.core.alarm_list`).

The package that raises an alarm has its record, so that a board holds no text of a component that
it does not have. `agent.tools.alarm_list` collects all records. `agent.alarms` has the meaning of
each alarm and what to do.
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    Condition = tuple["AlarmRecord", str, str]
    """An active condition: its record, its source, the text of its alarm."""

STATES = ("normal", "degraded", "safe", "stopped")
"""Unit states by severity. The constants below are their indexes."""
NORMAL, DEGRADED, SAFE, STOPPED = 0, 1, 2, 3

AlarmRecord = namedtuple("AlarmRecord", ("code", "state", "text", "per", "ends_trial"))
"""An alarm. `state`: the unit state that it causes; `NORMAL`: none. `text`: for people; some
packages add a detail or fill in values. `per`: kind of the source that stands behind the colon of
the code, empty: the unit has one such alarm. `ends_trial`: the alarm ends a trial of a changed
configuration."""


def alarm_code(record: "AlarmRecord", source: str) -> str:
    """Return the full code of an alarm: `device_lost:valve`."""
    code: str = record.code
    return code + ":" + source if source else code


def alarm_text(record: "AlarmRecord", source: str) -> str:
    """Return the text of an alarm with its source: `no answer from valve`."""
    text: str = record.text
    return text + " " + source if source else text
