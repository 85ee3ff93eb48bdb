# SPDX-License-Identifier: Apache-2.0
"""The agent process gets the pulses of the bench through a named pipe, in real time."""

import time

from hil.bench.testbed_settings import TestbedSettings
from hil.run.real_bench import RealBench
from tests.support.runtime_rig import TIMEOUT_S

SECOND = 1_000_000


def test_agent_associates_pulses_in_real_time() -> None:
    setting = TestbedSettings(pumps=1, receiver_dialect="unicore", receiver_pps=True)
    with RealBench(setting, 1) as bench:
        bench.start_agent()
        end = time.monotonic() + 10 * TIMEOUT_S
        used, status = 0, bench.status() or {}
        while used < 5 and time.monotonic() < end:
            bench.shell.run(bench.shell.now() + SECOND)
            status = bench.status() or {}
            used = status.get("pps", {}).get("used", 0)
        assert used >= 5, status
        assert status["pps"]["pulses"] >= used
        assert "pps" not in bench.config("micropython")
