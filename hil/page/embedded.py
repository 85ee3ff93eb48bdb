# SPDX-License-Identifier: Apache-2.0
"""The page for a bench that another program runs, such as the demo.

Does not run scenarios; see `hil.page.session_manager`.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hil.errors import BenchError
from hil.page.curves import CURVES
from hil.page.hub import BroadcastHub
from hil.page.server import PageServer
from hil.page.session import BenchSession
from hil.page.session_manager import SessionManager
from hil.run.real_bench import RealBench

_HOST, _PORT = "127.0.0.1", 8080


@contextlib.contextmanager
def serve_embedded(bench: RealBench) -> Iterator[str]:
    """Serve the page for `bench` while the block runs; give its address.

    The port is 8080, or a free one if that is in use.
    """
    with tempfile.TemporaryDirectory() as folder:
        hub = BroadcastHub(CURVES)
        manager = SessionManager(hub, Path(folder))
        session = BenchSession(bench, hub, None, bench.world.seed)
        session.start_frames()
        manager.attach(session)
        server = _start_server(hub, manager, Path(folder))
        try:
            yield server.address
        finally:
            server.stop()


def _start_server(hub: BroadcastHub, manager: SessionManager, records: Path) -> PageServer:
    for port in (_PORT, 0):
        server = PageServer(hub, manager.submit, records, _HOST, port)
        try:
            server.start()
        except BenchError:
            continue
        return server
    raise BenchError("page: no free port on loopback")
