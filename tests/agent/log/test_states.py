# SPDX-License-Identifier: Apache-2.0
"""The log can store each state of the unit."""

from agent.core.alarm_record import STATES
from protocols.telemetry import schema


def test_rows_have_each_state_of_the_unit() -> None:
    assert schema.STATES == STATES
