# SPDX-License-Identifier: Apache-2.0
"""Starts hub, session manager and web server for `coldloop bench --page`."""

import json
from collections.abc import Callable
from pathlib import Path

from hil.page.curves import CURVES
from hil.page.hub import BroadcastHub
from hil.page.server import PageServer
from hil.page.session_manager import SessionManager
from hil.run.real_bench import RealBench


def serve_page(
    make_manager: Callable[[BroadcastHub], SessionManager],
    records: Path,
    bind_address: tuple[str, int],
    as_json: bool,
) -> int:
    """Run until interrupted; print the address of the page and the ports. Raises BenchError."""
    hub = BroadcastHub(CURVES)
    manager = make_manager(hub)
    server = PageServer(hub, manager.submit, records, *bind_address)
    server.start()

    def print_ports(bench: RealBench) -> None:
        if as_json:
            print(json.dumps({"page": server.address, "ports": bench.ports}), flush=True)
            return
        for name, port in bench.ports.items():
            print(f"{name:10} {port}", flush=True)

    if not as_json:
        print(f"page       {server.address}", flush=True)
    try:
        manager.run(print_ports)
    finally:
        server.stop()
    return 0
