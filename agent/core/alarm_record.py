# SPDX-License-Identifier: Apache-2.0
"""The unit states that an alarm can cause.

Does not decide the state; see `agent.safety.supervisor`.
"""

STATES = ("normal", "degraded", "safe", "stopped")
"""Unit states by severity; the constants below are their indexes."""
NORMAL, DEGRADED, SAFE, STOPPED = 0, 1, 2, 3
