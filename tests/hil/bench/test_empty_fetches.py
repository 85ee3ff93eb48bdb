# SPDX-License-Identifier: Apache-2.0
"""A gateway that reports waiting messages and has none: fetches are counted, and become rare."""

from typing import Any

from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

_SCENARIO = """
name = "fetches"
title = "The gateway reports three messages that never come"
seconds = 500
[row]
parts = "modem, modem_store"
modem_live_s = 400
modem_day_bytes = 5000
"""


def test_fetches_without_a_message() -> None:
    run = VirtualRun(parse(_SCENARIO, "fetches"), 1)
    satcom = run.testbed.satcom
    assert satcom is not None
    gateway: Any = satcom.gateway
    run_session = gateway.run_session
    gateway.run_session = lambda *session: (run_session(*session)[0], 3)
    try:
        run.run()
        agent: Any = run.dut
        modem = next(c for c in agent.agent.components if hasattr(c, "permit"))
        # the pauses are 60, 120 and 240 s
        assert 2 <= gateway.empty_sessions <= 4
        assert sum(gateway.billed.values()) <= modem.budget.spent
    finally:
        run.dut.close()
