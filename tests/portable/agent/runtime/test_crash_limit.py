# SPDX-License-Identifier: Apache-2.0
"""The agent starts again at most five times in ten minutes."""

from agent.runtime.crash_limit import MAX_RESTARTS, WINDOW_US, CrashLimit
from protocols.time_units import SECOND
from tests.portable.support.check import eq


def test_limit_of_restarts():
    limit = CrashLimit()
    eq([limit.allows_restart(SECOND * i) for i in range(MAX_RESTARTS + 1)], [True] * 5 + [False])
    eq(limit.allows_restart(WINDOW_US - 1), False)
    eq(limit.allows_restart(WINDOW_US), True)
    eq(limit.count, MAX_RESTARTS + 1)
