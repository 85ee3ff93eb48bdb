# SPDX-License-Identifier: Apache-2.0
"""Cost of the live page: share of a core for many browsers, bytes, time to the first paint.

    python -m benchmarks.bench.page [--clients 20] [--channels 40] [--hz 10] [--seconds 20]

`stream`: hub and web server in a process, which publishes `--channels` numbers `--hz` times a
second; clients in another process read the stream over loopback. The CPU time is that of the
process from /proc, with all clients and without a client. `page`: `coldloop bench --page` in
Chromium (playwright) `--rounds` times; first paint is `first-contentful-paint` of the browser, from
the start of the navigation. `files`: bytes of the front end.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, Record, describe_machine, show, summarise
from hil.page.hub import BroadcastHub, Curve
from hil.page.server import PageServer

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_STATIC = ROOT / "hil" / "page" / "static"
_PAINT = "performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)"


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def publish(channels: int, hz: int) -> None:
    """Run the server: print the port, publish frames until stdin closes."""
    hub = BroadcastHub(tuple(Curve(f"c{i}", "plot", "x", f"channel {i}") for i in range(channels)))
    rejected: Future[Any] = Future()
    server = PageServer(hub, lambda _name, _words: rejected, Path(), "127.0.0.1", 0)
    server.start()
    print(server.address, flush=True)
    closed = threading.Event()

    def until_closed() -> None:
        sys.stdin.read()
        closed.set()

    threading.Thread(target=until_closed, daemon=True).start()
    at = 0
    while not closed.wait(1 / hz):
        at += 1
        hub.publish_frame(
            at / hz, [20 + (at * 7 + i * 13) % 1000 / 77 for i in range(channels)], False
        )
    server.stop()


class Clients:
    """Sockets that read the stream of events; `frames` counts the frames that all have received."""

    def __init__(self, port: int, count: int) -> None:
        self.frames = 0
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        self._threads = [threading.Thread(target=self._read, args=(s,)) for s in self._sockets]
        for client in self._sockets:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        for thread in self._threads:
            thread.start()

    def _read(self, client: socket.socket) -> None:
        while data := client.recv(65536):
            self.frames += data.count(b"event: frame")

    def close(self) -> None:
        """Close all sockets."""
        for client in self._sockets:
            client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for client in self._sockets:
            client.close()


def stream(clients: int, channels: int, hz: int, seconds: float) -> Record:
    """Measure the share of a core of a server with so many clients, and frames a second to each."""
    command = [sys.executable, "-m", "benchmarks.bench.page", "--publish"]
    command += ["--channels", str(channels), "--hz", str(hz)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if server.stdout is None:
            raise RuntimeError("no output of the server")
        port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
        listening = Clients(port, clients)
        time.sleep(1)
        before, started_at, frames = cpu_s(server.pid), time.monotonic(), listening.frames
        time.sleep(seconds)
        used, duration = cpu_s(server.pid) - before, time.monotonic() - started_at
        frames = listening.frames - frames
        listening.close()
    return {
        "clients": clients,
        "core_pct": round(100 * used / duration, 2),
        "frames_s": round(frames / duration / clients, 2) if clients else None,
    }


def files() -> Record:
    """Return the bytes of the front end in the repository, without the licence."""
    sizes = {
        path.relative_to(_STATIC).as_posix(): path.stat().st_size
        for path in sorted(_STATIC.rglob("*"))
        if path.is_file() and path.name != "LICENSE"
    }
    return {"bytes": sum(sizes.values()), "files": sizes}


def paint(rounds: int, picture: Path | None = None) -> Record | None:
    """Return first paint in Chromium, ms; None without Chromium. `picture`: a screenshot."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it is wanted

    with tempfile.TemporaryDirectory(prefix="coldloop-page-") as folder:
        command = [sys.executable, str(ROOT / "coldloop.py"), "bench", "--page", "--json"]
        command += ["--page-port", "0", "--records", folder, "--key", f"{folder}/key"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bench:
            if bench.stdout is None:
                raise RuntimeError("no output of the bench")
            address = json.loads(bench.stdout.readline())["page"]
            result = []
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox"]
                )
                for _ in range(rounds):
                    page = browser.new_page(viewport={"width": 1280, "height": 900})
                    page.goto(address)
                    page.wait_for_function(f"{_PAINT}.length > 0")
                    result.append(float(page.evaluate(_PAINT)[0]))
                    page.close()
                if picture is not None:
                    _photograph(browser, address, picture)
                browser.close()
            bench.terminate()
    return summarise(result, 0)


def _photograph(browser: Any, address: str, picture: Path) -> None:
    """Take a screenshot of the page after half a minute, with an active fault."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    time.sleep(10)
    page.locator(".fault[data-name=valve_stuck] button").click()
    time.sleep(25)
    page.screenshot(path=str(picture))
    page.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench.page",
        description="The live page: share of a core, bytes of the front end, first paint.",
        epilog="example: python -m benchmarks.bench.page --clients 20 --seconds 20",
    )
    parser.add_argument("--clients", type=int, default=20, metavar="N")
    parser.add_argument("--channels", type=int, default=40, metavar="N")
    parser.add_argument("--hz", type=int, default=10, metavar="N")
    parser.add_argument("--seconds", type=float, default=20, metavar="S")
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="starts for the first paint"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="also make a screenshot")
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    if arguments.publish:
        publish(arguments.channels, arguments.hz)
        return 0
    if min(arguments.clients, arguments.channels, arguments.hz) < 1 or arguments.seconds <= 0:
        parser.exit(2, f"{parser.prog}: clients, channels, hz and seconds must be above 0\n")
    record: Record = {
        "machine": describe_machine(),
        "channels": arguments.channels,
        "hz": arguments.hz,
    }
    stream_arguments = (arguments.channels, arguments.hz, arguments.seconds)
    record["stream"] = [stream(count, *stream_arguments) for count in (0, arguments.clients)]
    record["front_end"] = files()
    record["first_paint_ms"] = paint(arguments.rounds, arguments.picture)
    rows = [
        [f"{r['clients']} clients", f"{r['core_pct']} % of a core", f"{r['frames_s']} frames/s"]
        for r in record["stream"]
    ]
    rows.append(["front end", f"{record['front_end']['bytes']} bytes", ""])
    if record["first_paint_ms"] is not None:
        paint_ms = record["first_paint_ms"]
        rows.append(
            ["first paint", f"{paint_ms['median']:.0f} ms, median", f"{paint_ms['min']:.0f} best"]
        )
    show(record, arguments.json, ["", "figure", ""], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
