"""The page beside a bench that somebody else runs, such as the demo: nothing is started there."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hil.errors import BenchError
from hil.page.curves import CURVES
from hil.page.hub import Hub
from hil.page.server import Server
from hil.page.session import Session
from hil.page.session_manager import Desk
from hil.run.real_bench import RealBench

_HOST, _PORT = "127.0.0.1", 8080


@contextlib.contextmanager
def guest(bench: RealBench) -> Iterator[str]:
    """Serve the page for `bench` while the block runs; gives the address. 8080, or a free port."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(CURVES)
        desk = Desk(hub, Path(folder))
        session = Session(bench, hub, None, bench.world.seed)
        session.begin()
        desk.adopt(session)
        server = _started(hub, desk, Path(folder))
        try:
            yield server.address
        finally:
            server.stop()


def _started(hub: Hub, desk: Desk, records: Path) -> Server:
    for port in (_PORT, 0):
        server = Server(hub, desk.ask, records, _HOST, port)
        try:
            server.start()
        except BenchError:
            continue
        return server
    raise BenchError("page: no port of the loopback is free")
