# SPDX-License-Identifier: Apache-2.0
"""Real servers for a test: PostgreSQL and VictoriaMetrics, each with a folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.programs import MISSING, free_port, require_program, served, wait_until_open


class PostgresServer:
    """A cluster of the newest installed PostgreSQL in `folder`, without access from outside."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip(MISSING + "postgresql")
        self._bin = found[-1].parent
        self._data = folder / "data"
        self.port = free_port()
        self.uri = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        # PostgreSQL refuses to run as root.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if os.getuid():
            self._as = []
        else:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-N")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as, str(self._bin / program), *arguments],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories=''"
        arguments = ["-D", str(self._data), "-o", options, "-l", str(self._data / "log"), "-w"]
        self._run("pg_ctl", *arguments, "start")

    def kill(self) -> None:
        """End the server as a power cut does."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in (pid, *map(int, children)):
            os.kill(process, signal.SIGKILL)
        # A process that nothing waits for keeps its number; the server would take it for alive.
        (self._data / "postmaster.pid").unlink()

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def preload(self, library: str) -> None:
        """Load a library at the start; skip the calling test if it is not installed."""
        libraries = self._bin.parent / "lib"
        if not (libraries / f"{library}.so").exists():
            pytest.skip(f"{MISSING}{libraries}/{library}.so")
        with open(self._data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"shared_preload_libraries = '{library}'\n")

    def use_tls(self, authority: Path, certificate: Path, key: Path) -> None:
        """Start again: a user needs TLS and a certificate of `authority` with its name."""
        self.stop()
        for path, name in ((authority, "ca.pem"), (certificate, "own.pem"), (key, "own.key")):
            shutil.copy(path, self._data / name)
            (self._data / name).chmod(0o600)
            if not os.getuid():
                shutil.chown(self._data / name, "postgres")
        settings = "ssl = on\nssl_cert_file = 'own.pem'\nssl_key_file = 'own.key'\n"
        with open(self._data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(settings + "ssl_ca_file = 'ca.pem'\n")
        rule = "hostssl all all 127.0.0.1/32 trust clientcert=verify-full\n"
        (self._data / "pg_hba.conf").write_text(rule)
        self.start()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres(preload: str = "") -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="coldloop-pg-"))
    try:
        server = PostgresServer(folder)
        if preload:
            server.preload(preload)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


class VictoriaServer:
    """VictoriaMetrics with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._program = require_program("victoria-metrics")
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.options: list[str] = []

    def start(self, retention: str = "10y") -> None:
        self.process = subprocess.Popen(
            [
                *(self._program, f"-storageDataPath={self._folder}"),
                f"-retentionPeriod={retention}",
                *(f"-httpListenAddr=127.0.0.1:{self.port}", "-dedup.minScrapeInterval=1ms"),
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_open(self.port)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def _get(self, path: str, **fields: str) -> str:
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(fields)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    def samples(self, match: str) -> dict[str, list[tuple[int, float]]]:
        """Return (time in ms, value) of each series that matches, by its name."""
        self._get("/internal/force_flush")
        text = self._get("/api/v1/export", **{"match[]": match, "reduce_mem_usage": "0"})
        series = [json.loads(line) for line in text.splitlines()]
        return {
            one["metric"]["__name__"]: list(zip(one["timestamps"], one["values"], strict=True))
            for one in series
        }


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve HTTP in a thread; yield the address, `http://HOST:PORT`."""
    with served(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        yield f"http://127.0.0.1:{port}"
