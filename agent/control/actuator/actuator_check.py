# SPDX-License-Identifier: Apache-2.0
"""Check of the drives: local mode.

Does not check the valve; see `agent.control.actuator.valve_check`. A drive in local mode follows
its own panel: it is locked out, gets no writes, and another drive runs.
"""

from agent.core.actuator import EXACT, LOCKOUT
from agent.core.alarm_record import DEGRADED, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.arbiter import Arbiter
    from agent.control.actuator.pump import PumpActuator
    from agent.core.alarm_record import Condition

HAND = AlarmRecord("hand", DEGRADED, "somebody has the drive in hand:", "device", True)
_REMOTE_BIT = "Remote"


def lock_local_drives(arbiter: "Arbiter", drives: "list[PumpActuator]") -> "list[Condition]":
    """Lock out the drives in local mode; all of them stop if no other one is left."""
    conditions: list[Condition] = []
    for drive in drives:
        session = drive.session
        if not session.profile.has_bit(_REMOTE_BIT) or session.lost:
            continue
        bit = session.profile.bits[session.profile.bit_index(_REMOTE_BIT)]
        is_known = session.device.register_value(bit) is not None
        if is_known and not session.device.is_bit_on(_REMOTE_BIT):
            arbiter.lock_out(session.name)
            conditions.append((HAND, session.name, HAND.text + session.name))
    if len(arbiter.locked) == len(drives):
        arbiter.claim(LOCKOUT, "hand", EXACT, 0.0, "all drives in local mode")
    return conditions
