"""Joins hub, desk and web server: what `coldloop bench --page` runs."""

import json
from collections.abc import Callable
from pathlib import Path

from hil.page.curves import CURVES
from hil.page.hub import Hub
from hil.page.server import Server
from hil.page.session_manager import Desk
from hil.run.real_bench import RealBench


def serve(make: Callable[[Hub], Desk], records: Path, place: tuple[str, int], as_json: bool) -> int:
    """Run until interrupted; prints the page's address, then each bench's ports. BenchError."""
    hub = Hub(CURVES)
    desk = make(hub)
    server = Server(hub, desk.ask, records, *place)
    server.start()

    def started(bench: RealBench) -> None:
        if as_json:
            print(json.dumps({"page": server.address, "ports": bench.ports}), flush=True)
            return
        for name, port in bench.ports.items():
            print(f"{name:10} {port}", flush=True)

    if not as_json:
        print(f"page       {server.address}", flush=True)
    try:
        desk.run(started)
    finally:
        server.stop()
    return 0
