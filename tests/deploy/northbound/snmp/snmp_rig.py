# SPDX-License-Identifier: Apache-2.0
"""The SNMP process with a real snmpd on the loopback, and net-snmp's tools as clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.northbound.fake_source import FakeSource
from deploy.northbound.record import SnapshotSource
from deploy.northbound.snmp import tree
from deploy.northbound.snmp.liveness import LivenessTimes
from deploy.northbound.snmp.process import SnmpProcess, SnmpSettings
from tests.deploy.northbound.record_writer import write_record
from tests.support.programs import free_udp_port, require_program

USER, AUTHENTICATION, PRIVACY = "reader", "authentication-1", "privacy-secret-2"


class SnmpRig:
    """A fake unit, its record in a folder, and the process."""

    def __init__(
        self,
        folder: Path,
        receivers: tuple[str, ...] = (),
        root: tree.Oid = tree.ROOT,
        times: LivenessTimes | None = None,
    ) -> None:
        require_program("snmpd")
        self.source, self.folder = FakeSource(1), folder
        self.record = folder / "record"
        self._lock = threading.Lock()
        self.record.mkdir()
        self.write()
        keys = folder / "keys"
        keys.write_text(f"authentication: {AUTHENTICATION}\nprivacy: {PRIVACY}\n")
        keys.chmod(0o600)
        self.settings = SnmpSettings(
            "127.0.0.1", free_udp_port(), USER, keys, folder / "state", receivers, root
        )
        self.process = SnmpProcess(self.settings, SnapshotSource(self.record), times=times)
        self._loop = asyncio.new_event_loop()

    def write(self) -> None:
        """Write the record of the present snapshot."""
        with self._lock:
            write_record(self.record, self.source.snapshot)

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Run the process in a thread until snmpd answers."""
        task: list[asyncio.Task[None]] = []

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            task.append(self._loop.create_task(self.process.run()))
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task[0])
            self._loop.close()

        thread, ended = threading.Thread(target=run), threading.Event()
        writer = threading.Thread(target=self._keep_fresh, args=(ended,))
        thread.start()
        writer.start()
        try:
            self.wait_until_ready()
            yield
        finally:
            ended.set()
            writer.join(5)
            self._loop.call_soon_threadsafe(task[0].cancel)
            thread.join(20)

    def _keep_fresh(self, ended: threading.Event) -> None:
        """Write the record again, as the agent does: an old one has no values."""
        while not ended.wait(0.5):
            self.write()

    def wait_until_ready(self) -> None:
        """Wait until snmpd answers."""
        end = time.monotonic() + 20
        while "STRING" not in self.ask("snmpget", ".1.3.6.1.2.1.1.1.0", timeout=1):
            assert time.monotonic() < end

    def ask(self, tool: str, *arguments: str, timeout: int = 3, options: str = "") -> str:
        """Run a tool of net-snmp with its options as the reader; return all that it prints."""
        who = options.split() if options else [
            "-v3", "-l", "authPriv", "-u", USER, "-a", "SHA-256", "-A", AUTHENTICATION,
            "-x", "AES", "-X", PRIVACY,
        ]  # fmt: skip
        address = f"127.0.0.1:{self.settings.port}"
        name, *own = tool.split()
        done = subprocess.run(
            [require_program(name), *own, *who, "-On", "-t", str(timeout), "-r", "1", address,
             *arguments],
            capture_output=True, text=True, check=False, timeout=60,
            env={"PATH": os.environ["PATH"], "MIBS": "", "HOME": str(self.folder)},
        )  # fmt: skip
        return done.stdout + done.stderr
