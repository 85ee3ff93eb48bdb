# SPDX-License-Identifier: Apache-2.0
"""`coldloop bench` for tests: as a process, or in a thread with access to its object."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from hil.bench.testbed_settings import TestbedSettings
from hil.run.real_bench import RealBench
from tests.support.cli_tools import TIMEOUT_S
from tests.support.repository import ROOT


class BenchProcess:
    """The command as a process; `ports` is its first line. Use it in a `with` block."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, str(ROOT / "coldloop.py"), "bench", "--no-agent", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        assert self._process.stdout is not None
        self.ports: dict[str, str] = json.loads(self._process.stdout.readline())["ports"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        assert self._process.wait(TIMEOUT_S) == 0
        if self._process.stdout is not None:
            self._process.stdout.close()


class BenchThread:
    """A bench with a fleet in a thread; `do(call)` runs `call(bench)` there between two events."""

    def __init__(self) -> None:
        self._results: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()
        self._ready: queue.Queue[RealBench] = queue.Queue()
        self._calls: queue.Queue[Callable[[RealBench], Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.bench = self._ready.get(timeout=TIMEOUT_S)
        self.ports = self.bench.ports

    def _run(self) -> None:
        with RealBench(TestbedSettings(), seed=1, fleet=True) as bench:
            reader, self._wake_fd = os.pipe()
            bench.shell.watch(reader, lambda: self._serve(bench, reader))
            self._ready.put(bench)
            bench.shell.run()
            bench.shell.unwatch(reader)
            os.close(reader)
            os.close(self._wake_fd)

    def _serve(self, bench: RealBench, reader: int) -> None:
        os.read(reader, 1)
        function = self._calls.get()
        try:
            self._results.put((function(bench), None))
        except Exception as error:  # noqa: BLE001  # handed to the test's thread, which raises it
            self._results.put((None, error))

    def call(self, function: Callable[[RealBench], Any]) -> Any:
        self._calls.put(function)
        os.write(self._wake_fd, b"!")
        result, error = self._results.get(timeout=TIMEOUT_S)
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        self.bench.shell.stop()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
