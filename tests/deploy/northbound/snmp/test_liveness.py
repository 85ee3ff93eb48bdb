# SPDX-License-Identifier: Apache-2.0
"""snmpd that hangs: it is killed and started again; one that serves stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from deploy.northbound.snmp.liveness import (
    DISCOVERY,
    HUNG_S,
    HangWatch,
    LivenessTimes,
    local_address,
)
from tests.deploy.northbound.snmp.snmp_rig import SnmpRig

QUICK = LivenessTimes(ask_s=0.2, hung_s=3.0, start_s=20.0)


@pytest.mark.parametrize("victim", ["snmpd", "relay"])
def test_snmpd_that_hangs_is_started_again(
    tmp_path: Path, victim: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """`relay`: the program that snmpd waits for."""
    rig = SnmpRig(tmp_path, times=QUICK)
    with rig.serve():
        first = pid = rig.process.daemon_pid
        if victim == "relay":
            assert "INTEGER" in rig.ask("snmpbulkwalk", ".1.3.6.1.4.1")
            children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
            pid = int(children[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            if victim == "relay":
                rig.ask("snmpget", ".1.3.6.1.4.1.1", timeout=1)
                rig.ask("snmpbulkwalk", ".1.3.6.1.4.1", timeout=1)
            end = time.monotonic() + 60
            while rig.process.daemon_pid == first:
                assert time.monotonic() < end
                time.sleep(0.05)
            rig.wait_until_ready()
        finally:
            if victim == "relay":
                os.kill(pid, signal.SIGKILL)
        second = rig.process.daemon_pid
        time.sleep(1.2 * QUICK.hung_s)
        assert rig.process.daemon_pid == second, "one that serves stays"
    assert capfd.readouterr().err.count("snmpd hangs") == 1


def test_a_silence_is_found_within_15_s_and_neither_a_start_nor_a_filter_is_one() -> None:
    assert HUNG_S + LivenessTimes().ask_s < 15
    quick = LivenessTimes(ask_s=0.05, hung_s=0.3, start_s=5.0)
    watch = HangWatch(quick)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))

        async def lasts(answers: int, longest_s: float) -> float:
            """Return how long a program lasts, s. `answers`: before it is silent."""
            process = await asyncio.create_subprocess_exec("sleep", "60")
            task = asyncio.create_task(watch.run(process.pid, silent.getsockname()))
            began = time.monotonic()
            try:
                for _ in range(answers):
                    question, sender = await asyncio.to_thread(silent.recvfrom, 200)
                    assert question == DISCOVERY
                    silent.sendto(b"report", sender)
                await asyncio.wait_for(process.wait(), longest_s)
                return time.monotonic() - began
            except TimeoutError:
                process.kill()
                await process.wait()
                return float("inf")
            finally:
                task.cancel()

        assert asyncio.run(lasts(0, 2.0)) == float("inf"), "a filter stops the questions"
        silent.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while silent.recv(200):
                pass  # drop the questions of the program before
        silent.setblocking(True)
        assert quick.hung_s < asyncio.run(lasts(1, 30.0)) < quick.start_s, (
            "an answer ends the start"
        )
        assert asyncio.run(lasts(0, 30.0)) > quick.start_s, "the next program has time to start"


@pytest.mark.parametrize(
    ("address", "expected"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.7", "192.0.2.7"), ("::1", "::1")],
)
def test_the_address_of_the_question(address: str, expected: str) -> None:
    assert local_address(address, 1161) == (expected, 1161)
