# SPDX-License-Identifier: Apache-2.0
"""A 9602 that restarts silently again and again: each alarm arrives, without a key and a log."""

from random import Random
from typing import Any

import pytest

from hil.devices.satcom.isu_settings import Profile
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

_SCENARIO = """
name = "silent"
title = "A modem with silent restarts; a drive trips"
seconds = 420
[row]
parts = "modem, modem_store"
modem_live_s = 0
[[event]]
at_s = 90
do = "pump_trip"
value = 1
"""


@pytest.mark.parametrize("seed", range(1, 5))
def test_alarm_arrives(seed: int) -> None:
    run = VirtualRun(parse(_SCENARIO, "silent"), seed)
    satcom, world, rng = run.testbed.satcom, run.world, Random(seed)
    assert satcom is not None
    device: Any = satcom.device
    device.boot_us = 0
    device.settings.profiles[0] = Profile(echo=False, flow=0)

    def restart() -> None:
        device.reset(world.now)
        if world.now < 300_000_000:
            world.schedule(world.now + rng.randrange(2_000_000, 30_000_000), restart)

    world.schedule(60_000_000, restart)
    try:
        run.run()
        agent: Any = run.dut
        modem = next(c for c in agent.agent.components if hasattr(c, "permit"))
        assert device.resets > 8
        assert modem.queue.waiting_counts()[0] == 0
        assert satcom.ground.messages >= modem.messages.acknowledged > 0
        raised = {code for _, change, code in agent.agent.alarms.history if change == "raised"}
        received = {alarm.text.split()[0].rstrip(":") for alarm in satcom.ground.alarms}
        assert "pump_trip:pump1" in raised
        assert any(text.startswith("pump_trip") for text in received), received
    finally:
        run.dut.close()
