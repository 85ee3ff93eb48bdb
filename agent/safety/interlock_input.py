# SPDX-License-Identifier: Apache-2.0
"""The causes of the interlocks: a state machine in two tables, and the state of each cause.

Does not read inputs and does not claim actuators; see `agent.safety.interlock`.

    reaction     state      valve   pumps       active until
    stop         stopped    closed  stopped     an operator resets it
    cool         safe       open    full speed  the input is off
    shut_valve   safe       closed  -           an operator resets it
    report       degraded   -       -           the input is off

`INTERLOCKS` is in the order of priority. A leak has priority over overheating. For each
actuator, the active cause with the highest priority and a defined output sets the output. A cause
becomes active when its input is on without a pause for its delay. `stop` and `shut_valve` are
latched with a snapshot of that moment. `reset` ends them only while the input is off.
"""

from agent.core.alarm_record import DEGRADED, SAFE, STOPPED, AlarmRecord, alarm_code, alarm_text
from agent.core.config_records import to_thousandths
from protocols.time_units import MILLISECOND

# fmt: off
INTERLOCKS = (
    ("stop", AlarmRecord("emergency_stop", STOPPED, "emergency stop:", "input", True)),
    ("stop", AlarmRecord("leak_critical", STOPPED, "leak:", "input", True)),
    ("stop", AlarmRecord("dry_run", STOPPED, "pumps turn and make no pressure", "", True)),
    ("report", AlarmRecord("contact", DEGRADED, "contact:", "input", True)),
    ("cool", AlarmRecord(
        "overheat", SAFE, "supply is far too hot: everything open, everything runs", "", True)),
    ("report", AlarmRecord("leak_warning", DEGRADED, "leak warning:", "input", True)),
)
# fmt: on
"""(default reaction, alarm with the state of that reaction), in the order of priority."""
REACTIONS = (
    ("stop", STOPPED, 0.0, 0.0, True),
    ("shut_valve", SAFE, 0.0, None, True),
    ("cool", SAFE, 100.0, 100.0, False),
    ("report", DEGRADED, None, None, False),
)
"""(reaction, unit state, valve and pumps in percent, latched). None: no output is defined."""

SNAPSHOT_LENGTH = 120
"""Characters of the measured values at the trip."""


class InterlockInput:
    """One cause: its input, its reaction and its state.

    `kind` is the code of its alarm. `record`: its alarm, with the state of its reaction.
    """

    def __init__(self, kind: str, name: str, reaction: str, delay_s: float) -> None:
        default, record = next(row for row in INTERLOCKS if row[1].code == kind)
        self.kind, self.name = kind, name
        self.code = alarm_code(record, name)
        self.delay_us = to_thousandths(delay_s) * MILLISECOND
        self.reaction = next(row for row in REACTIONS if row[0] == (reaction or default))
        text = alarm_text(record, name)
        self.record = AlarmRecord(kind, self.reaction[1], text, record.per, record.ends_trial)
        self.is_on: bool | None = None
        self.on_since: int | None = None
        self.active = False
        self.acknowledged = False
        self.tripped_at = 0
        self.snapshot = ""

    def update(self, on: bool, now: int) -> bool:
        """Use the state of the input in this cycle. Return True if the cause becomes active now."""
        self.is_on = on
        if not on:
            self.on_since = None
            if not self.reaction[4]:
                self.active = False
            return False
        if self.on_since is None:
            self.on_since = now
        if self.active or now - self.on_since < self.delay_us:
            return False
        self.active, self.acknowledged, self.tripped_at = True, False, now
        return True

    def restore(self, acknowledged: bool, snapshot: str, now: int) -> None:
        """Latch the cause as before the restart. The present reaction must latch too."""
        if not self.active and self.reaction[4]:
            self.active, self.acknowledged, self.tripped_at = True, acknowledged, now
            self.snapshot = snapshot
