# SPDX-License-Identifier: Apache-2.0
"""snmpd that hangs: it is killed and started again; one that serves stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.northbound.snmp.liveness import (
    DISCOVERY,
    HUNG_S,
    SOCKET,
    HangWatch,
    LivenessTimes,
)
from tests.deploy.northbound.snmp.snmp_rig import SnmpRig

QUICK = LivenessTimes(ask_s=0.2, hung_s=3.0, start_s=20.0)
FLOODED = LivenessTimes(ask_s=0.2, hung_s=1.2, start_s=20.0)
"""So short that questions at the flooded port would all be lost."""


@pytest.mark.parametrize("victim", ["snmpd", "relay"])
def test_snmpd_that_hangs_is_started_again(
    tmp_path: Path, victim: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """`relay`: the program that snmpd waits for."""
    rig = SnmpRig(tmp_path, times=QUICK)
    with rig.serve():
        end = time.monotonic() + 300  # a watch that is late itself waits longer
        while not rig.process.finds_hangs:  # before the first answer nothing is killed
            assert time.monotonic() < end
            time.sleep(0.05)
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


class SilentProgram:
    """The socket of an snmpd that answers a question while `answers` returns true."""

    def __init__(self, folder: Path) -> None:
        self.answers: Callable[[], bool] = lambda: False
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(str(folder / SOCKET))
        self.sock.listen(64)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the socket and all connections."""
        self.sock.shutdown(socket.SHUT_RDWR)  # ends the wait of the thread
        self._thread.join()
        self.sock.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as links:
            while True:
                link = links.enter_context(self.sock.accept()[0])
                if self.answers():
                    with contextlib.suppress(OSError):  # of a watch that has ended
                        assert link.recv(200) in (DISCOVERY, b"")
                        link.sendall(b"report")


def test_a_silence_is_found_within_15_s_and_a_start_is_none(tmp_path: Path) -> None:
    assert HUNG_S + LivenessTimes().ask_s < 15
    quick = LivenessTimes(ask_s=0.5, hung_s=1.5, start_s=12.0)
    watch = HangWatch(quick)

    async def lasts(longest_s: float) -> float:
        """Return how long a program lasts, s."""
        process = await asyncio.create_subprocess_exec("sleep", "60")
        task = asyncio.create_task(watch.run(process.pid, tmp_path))
        began = time.monotonic()
        try:
            await asyncio.wait_for(process.wait(), longest_s)
            return time.monotonic() - began
        except TimeoutError:
            process.kill()
            await process.wait()
            return float("inf")
        finally:
            task.cancel()

    assert asyncio.run(lasts(3.0)) == float("inf"), "no socket"
    program = SilentProgram(tmp_path)
    assert asyncio.run(lasts(3.0)) == float("inf"), "never an answer"
    program.answers = lambda: not watch.had_answer
    assert quick.hung_s < asyncio.run(lasts(60.0)) < quick.start_s, "an answer ends the start"
    assert asyncio.run(lasts(60.0)) > quick.start_s, "the next program has time to start"
    program.close()


def test_a_flood_at_its_port_is_no_silence(tmp_path: Path) -> None:
    """Datagrams of hosts without keys fill the queue of the port; questions there are lost."""
    rig = SnmpRig(tmp_path, times=FLOODED)
    with rig.serve():
        first = rig.process.daemon_pid
        stop = threading.Event()

        def flood() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(("127.0.0.1", rig.settings.port))
                while not stop.is_set():
                    for _ in range(200):
                        with contextlib.suppress(OSError):
                            sock.send(DISCOVERY)

        threads = [threading.Thread(target=flood) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(4 * FLOODED.hung_s)  # by definition
        stop.set()
        for thread in threads:
            thread.join()
        assert rig.process.daemon_pid == first
        rig.wait_until_ready()
