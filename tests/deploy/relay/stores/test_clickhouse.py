# SPDX-License-Identifier: Apache-2.0
"""ClickHouse output. The engine is real in `make soak` only: it takes 170 MB of disk.

There the engine of chdb judges both ways: in the process, and behind a small HTTP server.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.clickhouse_output import ClickhouseOutput
from deploy.relay.outputs.http_client import RefusedError
from tests.deploy.relay.relay_rig import START_MS
from tests.deploy.relay.stores.test_stores import ITEMS, SAME_TIMES, context, rows
from tests.support.repository import ROOT

_PACKAGE = "chdb-core-lite==26.5.0"
_WRITER = """
import sys, time
from deploy.relay.outputs.clickhouse_output import ClickhouseOutput
from tests.deploy.relay.stores.test_stores import ITEMS, context, rows, same_times
output = ClickhouseOutput(context(sys.argv[1]))
output.deliver(ITEMS)
output.deliver(ITEMS[:2])
for _ in range(2):
    output.deliver([same_times(5), same_times(6, dated=False)])
for number in range(10, 10_000):
    output.deliver([rows(number)])
    print(number, flush=True)
"""
_READER = """
import json, sys
from chdb import session
found = session.Session(sys.argv[1])
found.query("USE coldloop")
def ask(text):
    lines = str(found.query(text, "JSONCompactEachRow")).splitlines()
    return [json.loads(line) for line in lines]
print(json.dumps([
    ask("SELECT intDiv(record, 4), COUNT(), toUnixTimestamp64Milli(min(t)) FROM coldloop_sample"
        " FINAL WHERE unit='u1' GROUP BY record ORDER BY record"),
    ask("SELECT COUNT(), MIN(uptime_ms), MAX(run) FROM coldloop_uptime FINAL WHERE unit='u1'"),
    ask("SELECT content FROM coldloop_note FINAL"),
    ask("SELECT value FROM coldloop_sample FINAL WHERE unit='u9' AND signal='supply'"
        " ORDER BY t LIMIT 2"),
    ask("SELECT record, value FROM coldloop_sample FINAL WHERE unit='u3' UNION ALL"
        " SELECT record, value FROM coldloop_uptime FINAL WHERE unit='u3' ORDER BY record, value"),
]))
"""
_EARLIER = """
import json, sys
from chdb import session
from deploy.relay.decode.row_format import Note
from deploy.relay.outputs.clickhouse_output import ClickhouseOutput
from tests.deploy.relay.stores.test_stores import context, rows
found = session.Session(sys.argv[1])
found.query("CREATE DATABASE coldloop")
found.query("USE coldloop")
for table, key, order in (
    ("sample", "t DateTime64(3, 'UTC')", "site, unit, signal, t, log, record"),
    ("uptime", "run Int64, uptime_ms Int64", "site, unit, log, record, uptime_ms, signal"),
):
    found.query(f"CREATE TABLE coldloop_{table} (site LowCardinality(String), unit"
        f" LowCardinality(String), signal LowCardinality(String), {key}, value Float64, log"
        f" String, record Int64) ENGINE=ReplacingMergeTree ORDER BY ({order})")
item = rows(1)
at, values = item.values[0]
found.query("INSERT INTO coldloop_sample FORMAT JSONEachRow " + json.dumps({"site": "s1", "unit":
    "u1", "signal": "supply", "t": f"{at // 1000}.000", "value": values[0], "log": item.generation,
    "record": item.number}))
found.close()
output = ClickhouseOutput(context(sys.argv[1]))
note = Note("s1/u1", 4, {"event": "x"}, "01")
for _ in range(2):
    output.deliver([item, rows(2, dated=False), note])
output.deliver([Note("s1/u1", 4, {"event": "x"}, "01", 1_760_000_000_000)])
ask = lambda text: [json.loads(line) for line in
    str(output._engine._session.query(text, "JSONCompactEachRow")).splitlines()]
print(json.dumps([
    ask("SELECT COUNT(), MAX(nth) FROM coldloop_sample FINAL"),
    ask("SELECT COUNT() FROM coldloop_uptime FINAL"),
    ask("SELECT toUnixTimestamp(t) FROM coldloop_note FINAL"),
]))
"""
_SERVER = """
import gzip, sys, urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from chdb import session
engine = session.Session(sys.argv[1])
engine.query("CREATE DATABASE IF NOT EXISTS coldloop")
engine.query("USE coldloop")
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        try:
            engine.query(query["query"][0] + " " + body.decode())
            code, text = 200, b""
        except RuntimeError as error:
            code, text = 400, str(error).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class _EngineHandler(BaseHTTPRequestHandler):
    code, text = 200, b""
    seen: list[tuple[dict[str, str], bytes, str]] = []  # noqa: RUF012 - one server a test

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        key = self.headers.get("X-ClickHouse-Key", "")
        self.seen.append((query, gzip.decompress(body), key))
        is_insert = "INSERT" in query["query"]
        self.send_response(self.code if is_insert else 200)
        self.send_header("Content-Length", str(len(self.text) if is_insert else 0))
        self.end_headers()
        if is_insert:
            self.wfile.write(self.text)

    def log_message(self, *_: object) -> None:
        pass


def test_statements_and_errors_of_a_server() -> None:
    _EngineHandler.seen = []
    with HTTPServer(("127.0.0.1", 0), _EngineHandler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            output = ClickhouseOutput(context(f"http://ops@127.0.0.1:{http.server_port}/cdu"))
            output.deliver(ITEMS)
            queries = [query["query"].split(" (")[0] for query, _, _ in _EngineHandler.seen]
            assert queries[5:] == [
                f"INSERT INTO coldloop_{name} FORMAT JSONEachRow"
                for name in ("sample", "note", "uptime")
            ]
            assert {query["database"] + query["user"] for query, _, _ in _EngineHandler.seen} == {
                "cduops"
            }
            lines = [json.loads(line) for line in _EngineHandler.seen[5][1].splitlines()]
            assert (len(lines), lines[0]["t"]) == (38, f"{START_MS // 1000 + 10}.000")
            expected = [
                (400, b"Code: 27. DB::Exception", RefusedError),
                (400, b"Code: 60. DB::Exception: no table", OutputError),
                (500, b"Code: 243. DB::Exception: no space", OutputError),
                (403, b"Code: 516. DB::Exception", OutputError),
            ]
            for code, text, error in expected:
                _EngineHandler.code, _EngineHandler.text = code, text
                with pytest.raises(error):
                    output.deliver(ITEMS[:1])
        finally:
            _EngineHandler.code, _EngineHandler.text = 200, b""
            http.shutdown()
            thread.join()
    with pytest.raises(DeployError, match="not the name of a database"):
        ClickhouseOutput(context("http://127.0.0.1:8123/a;b"))


def _packages(folder: Path) -> dict[str, str]:
    """Install the engine; return the environment that has it."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, _PACKAGE], check=True, timeout=300)
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}


@pytest.mark.soak
def test_tables_of_an_earlier_version_and_the_time_of_a_note(tmp_path: Path) -> None:
    """The key of the tables gets `nth`; a note that comes again with its time has it."""
    found = subprocess.run(
        [sys.executable, "-c", _EARLIER, str(tmp_path / "clickhouse")],
        env=_packages(tmp_path / "packages"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    samples, uptime, notes = json.loads(found.stdout)
    assert [[int(value) for value in row] for row in samples] == [[19, 0]]
    assert [int(row[0]) for row in uptime] == [19]
    assert [int(row[0]) for row in notes] == [1_760_000_000]


@pytest.mark.soak
@pytest.mark.parametrize("way", ["embedded", "server"])
def test_the_engine_has_each_item_once_after_a_kill(tmp_path: Path, way: str) -> None:
    environment = _packages(tmp_path / "packages")
    folder = str(tmp_path / "clickhouse")
    python = [sys.executable, "-c"]

    def start(script: str, argument: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*python, script, argument], env=environment, stdout=subprocess.PIPE, text=True
        )

    server = start(_SERVER, folder) if way == "server" else None
    where = folder
    if server is not None and server.stdout is not None:
        where = f"http://127.0.0.1:{server.stdout.readline().strip()}/coldloop"
    writer = start(_WRITER, where)
    assert writer.stdout is not None
    last = 0
    for line in writer.stdout:
        last = int(line)
        if last == 40:
            break
    for process in (server, writer):
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=10)
    read = subprocess.run(
        [*python, _READER, folder], env=environment, capture_output=True, text=True, check=True
    )
    records, uptime, notes, values, same = json.loads(read.stdout)
    known = {int(number): (int(count), int(first)) for number, count, first in records}
    for number in (1, *range(10, last + 1)):
        assert known[number] == (19, START_MS + 10_000 * number)
    assert [[int(value) for value in row] for row in uptime] == [[19, 5000, 5]]
    assert [json.loads(row[0])["text"] for row in notes] == ["wet 💧"]
    assert values == [[2.0], [2.1]]
    assert [(int(record), value) for record, value in same] == SAME_TIMES
    assert rows(1).number == 7
