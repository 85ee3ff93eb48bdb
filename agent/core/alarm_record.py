# SPDX-License-Identifier: Apache-2.0
"""Unit states that an alarm can cause.

Does not select the state of the unit; see `agent.safety.supervisor`.
"""

STATES = ("normal", "degraded", "safe", "stopped")
"""Unit states by severity. The constants below are their indexes."""
NORMAL, DEGRADED, SAFE, STOPPED = 0, 1, 2, 3
