# SPDX-License-Identifier: Apache-2.0
"""`coldloop relay --check`: what the relay could not use is named, and nothing is left behind."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from deploy.relay import command
from deploy.relay.outputs import kafka_output
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.influx_output import InfluxOutput
from tests.deploy.relay.relay_rig import ALARM, PipelineRig, bulk, pack
from tests.deploy.relay.stores.servers import PostgresServer, VictoriaServer, http_server, postgres
from tests.deploy.relay.stores.test_stores import context
from tests.support.programs import free_port, running_mosquitto

_ACL = "topic readwrite coldloop/#\ntopic readwrite mine/#\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a mosquitto with rights at `coldloop/#` and `mine/#` only."""
    folder = tmp_path_factory.mktemp("broker")
    (folder / "acl").write_text(_ACL)
    settings = f"user root\nacl_file {folder}/acl\n"
    with running_mosquitto(folder / "mosquitto.conf", settings) as port:
        yield port


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as found:
        yield found


@contextmanager
def answering_server(code: int, text: bytes = b"") -> Iterator[str]:
    class FixedAnswerHandler(BaseHTTPRequestHandler):
        """Gives the same answer to each POST."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with http_server(FixedAnswerHandler) as address:
        yield address


class Checker:
    """Runs the check; `store` is the store of the relay."""

    def __init__(self, port: int, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._words = ["--check", "--broker", f"127.0.0.1:{port}", "--store", str(store)]
        self._capsys = capsys

    def problems(self, *words: str) -> list[str]:
        code = command.run([*self._words, *words])
        output = self._capsys.readouterr()
        lines = output.err.splitlines()
        assert code == (2 if lines else 0)
        assert bool(output.out) is not bool(lines)
        return lines


@pytest.fixture
def check(broker: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(broker, tmp_path / "relay.db", capsys)


def test_a_good_check_leaves_no_file(check: Checker, tmp_path: Path) -> None:
    words = ["--fleet", str(tmp_path / "f.db"), "--parquet", str(tmp_path / "a" / "b")]
    words += ["--lines", str(tmp_path / "lines"), "--json", "mine", "--alarms", "mine/alarms"]
    assert check.problems(*words, "--sparkplug", "G", "--http", "127.0.0.1:0") == []
    assert list(tmp_path.iterdir()) == []


def test_each_file_that_cannot_be_written_is_named(check: Checker, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE x (y)").connection.close()
    (tmp_path / "folder").mkdir()
    words = ["--fleet", str(other), "--parquet", "/proc/rows", "--lines", str(tmp_path / "folder")]
    found = check.problems(*words, "--store", str(tmp_path / "away" / "relay.db"))
    assert len(found) == 4
    for line, text in zip(
        found,
        ("away", "output fleet: ", "output parquet: /proc", "output lines: "),
        strict=True,
    ):
        assert text in line
    assert "not a fleet store" in found[1]
    assert check.problems("--store", str(other))[0].endswith("not the store of a relay")


def test_a_file_that_is_no_database(check: Checker, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.db"
    fleet.write_bytes(b"no database at all, and long enough for a header of SQLite" * 20)
    assert "not a database" in check.problems("--fleet", str(fleet))[0]


def test_a_broker_without_the_right_at_a_topic(check: Checker) -> None:
    assert check.problems("--json", "mine/rows") == []
    for name in ("json", "alarms"):
        (line,) = check.problems(f"--{name}", "others")
        assert f"output {name}: the broker refuses messages of others/" in line


def test_postgres(check: Checker, server: PostgresServer) -> None:
    assert check.problems("--postgres", server.uri) == []
    assert server.query("SELECT to_regclass('coldloop_sample')") == [(None,)], "undone"
    away = server.uri.replace(f":{server.port}/", f":{free_port()}/")
    assert "output postgres: " in check.problems("--postgres", away)[0]
    server.query("CREATE ROLE reader LOGIN")
    server.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    reader = server.uri.replace("postgres@", "reader@")
    assert "permission denied" in check.problems("--postgres", reader)[0]


def test_victoria_metrics(check: Checker, tmp_path: Path) -> None:
    server = VictoriaServer(tmp_path / "vm")
    server.start()
    try:
        words = ["--fleet", str(tmp_path / "f.db"), "--influx"]
        assert check.problems(*words, f"{server.url}/write") == []
        assert "output influx: " in check.problems(*words, f"{server.url}/wrong")[0]
    finally:
        server.kill()
    assert "output influx: " in check.problems(*words, f"{server.url}/write")[0]


def test_a_wrong_path_refuses_no_record(tmp_path: Path) -> None:
    server = VictoriaServer(tmp_path / "vm")
    server.start()
    rig = PipelineRig(required={"influx"})
    try:
        for path, text in (("wrong", "refuses everything"), ("write", "")):
            output = InfluxOutput(context(f"{server.url}/{path}#settle=0"))
            output.LINGER_S = 0.0  # type: ignore[misc]
            if text:
                rig.add_output("influx", output)
                rig.receive(pack(ALARM, *[bulk(number) for number in range(1, 9)]))
                while rig.pipeline.process():
                    pass
                with pytest.raises(OutputError, match=text):
                    rig.pipeline.workers["influx"].step()
                assert rig.reasons() == []
            else:
                rig.pipeline.workers["influx"].output = output
                rig.settle()
        assert rig.pipeline.workers["influx"].delivered == 8
    finally:
        rig.close()
        server.kill()


@pytest.mark.parametrize("code", [200, 204, 401, 403, 404, 500])
def test_http_servers(check: Checker, tmp_path: Path, code: int) -> None:
    with answering_server(code) as url:
        for words in (
            ["--clickhouse", url],
            ["--fleet", str(tmp_path / "f.db"), "--influx", f"{url}/write"],
        ):
            assert bool(check.problems(*words)) is (code >= 300)
    with answering_server(400, b'{"code":"invalid","message":"writing requires points"}') as url:
        assert check.problems("--fleet", str(tmp_path / "f"), "--influx", f"{url}/w") == []


def test_kafka_gateway_and_http_server(
    check: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_output, "_CHECK_S", 1.0)
    port = free_port()
    words = ["--fleet", str(tmp_path / "f.db"), "--kafka", f"127.0.0.1:{port}/cold"]
    found = check.problems(*words, "--gateway", f"http://127.0.0.1:{port}/")
    assert "--gateway" in found[0]
    assert "output kafka: Kafka: " in found[1]
    assert "--http" in check.problems("--http", "192.0.2.1:80")[0]
