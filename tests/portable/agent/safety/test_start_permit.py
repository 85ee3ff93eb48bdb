# SPDX-License-Identifier: Apache-2.0
"""Start permissives: the time of the limit, and cool devices."""

from agent.safety.protection import Protection
from agent.safety.start_permit import StartPermit
from protocols.time_units import SECOND
from tests.portable.agent.safety.fake_row import DryRow
from tests.portable.support.check import eq


def test_cool_devices_need_no_limit_at_the_start():
    """At a cold site with a silent bus, less heat would wet the supply."""
    made = DryRow(Protection)
    permit = StartPermit(made.agent, made.protection)
    permit._shown = lambda *_: []
    for second, devices_cool, is_limited in (
        (0, False, False),
        (19, False, False),
        (20, False, True),
        (21, True, False),
        (22, False, True),
    ):
        made.limits.devices_cool = devices_cool
        made.limits.take()
        permit.step(second * SECOND, False, False)
        found = bool(made.limits.take()), bool(permit.active_conditions(second * SECOND))
        eq((second, found), (second, (is_limited, is_limited)))
