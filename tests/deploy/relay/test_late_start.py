# SPDX-License-Identifier: Apache-2.0
"""What is away when the relay starts: broker, store, local address. It waits, and says for what."""

import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.orchestrate.publish import PublishServer
from deploy.relay import command
from deploy.relay.intake.http_server import HttpSettings, RelayHttpServer
from deploy.relay.intake.webhook_auth import WebhookAuth
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import RelayOptions
from deploy.relay.pipeline import Pipeline
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.tables import migrate
from deploy.relay.relay import Relay
from protocols.telemetry import receipt
from tests.deploy.relay.relay_rig import ALARM, UNIT, bulk, pack, write_secret
from tests.deploy.relay.test_relay import TopicListener, wait_until
from tests.support.programs import free_port, require_program, wait_until_open


class LateBroker:
    """A mosquitto that starts late; `password`: only this one of the user `relay` is good."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        text = f"listener {self.port} 127.0.0.1\nuser root\nallow_anonymous {not password}\n"
        text += f"log_dest file {folder}/broker.log\n"
        if password:
            file = folder / "passwords"
            make = [require_program("mosquitto_passwd"), "-b", "-c", str(file), "relay", password]
            subprocess.run(make, check=True, stderr=subprocess.DEVNULL)
            text += f"password_file {file}\n"
        self._config.write_text(text.replace("True", "true").replace("False", "false"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [require_program("mosquitto"), "-c", str(self._config)]
        self._process = subprocess.Popen(words, stdout=-3, stderr=-3)
        wait_until_open(self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LateBroker]:
    made = LateBroker(tmp_path)
    yield made
    made.stop()


def connected(relay: Relay) -> str:
    assert relay.http_server is not None
    assert relay.http_server.address is not None
    url = f"http://127.0.0.1:{relay.http_server.address[1]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as page:
        lines: list[str] = page.read().decode().splitlines()
    return next(s[-1] for s in lines if s.startswith("coldloop_relay_broker_connected_now "))


def post(relay: Relay, body: str) -> int:
    assert relay.http_server is not None
    assert relay.http_server.address is not None
    url = f"http://127.0.0.1:{relay.http_server.address[1]}/sbd"
    with urllib.request.urlopen(url, body.encode(), timeout=20) as answer:
        return int(answer.status)


def receipted_blocks(listener: TopicListener) -> list[tuple[int, int, int]]:
    found = [receipt.parse_receipt(data, UNIT, b"") for data in listener.payloads("ack")]
    return [span for one in found for span in one.ranges if span[0] == 3]


def test_a_relay_waits_for_its_broker(
    broker: LateBroker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "later" / "fleet.db"
    options = RelayOptions(
        BrokerSettings(("127.0.0.1", broker.port)),
        tmp_path / "relay.db",
        outputs={"fleet": str(store), "json": "out"},
        http=HttpSettings("127.0.0.1", 0, webhook=WebhookAuth([])),
        modems={"3001": "s1/satellite"},
    )
    relay, ready = Relay(options), threading.Event()
    thread = threading.Thread(target=relay.run, args=(ready.set,))
    relay.start()
    thread.start()
    try:
        wait_until(lambda: "refused" in relay.problem)
        assert connected(relay) == "0"
        assert not ready.is_set()
        assert post(relay, f"imei=3001&data={pack(ALARM).hex()}") == 200, "stored without a broker"
        broker.start()
        wait_until(ready.is_set)
        wait_until(lambda: connected(relay) == "1")
        listener = TopicListener(broker.port, "coldloop/v1/+/+/ack", "out/#")
        listener.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)))
        wait_until(lambda: len(listener.payloads("out", "rows")) == 1)
        worker = relay.pipeline.workers["fleet"]
        wait_until(lambda: worker.failing_since is not None)
        json_worker = relay.pipeline.workers["json"]
        wait_until(lambda: json_worker.position > worker.position)
        assert receipted_blocks(listener) == [], "no receipt without the store"
        store.parent.mkdir()
        wait_until(lambda: worker.failing_since is None and worker.delivered == 1)
        wait_until(lambda: receipted_blocks(listener) == [(3, 1, 1)])
        listener.close()
        broker.stop()
        wait_until(lambda: connected(relay) == "0")
        broker.start()
        wait_until(lambda: connected(relay) == "1")
    finally:
        relay.stop()
        thread.join()
        relay.close()
    lines = capfd.readouterr().err.splitlines()
    away = [line for line in lines if f"tcp:127.0.0.1:{broker.port}: " in line]
    assert "refused; tries again" in away[0], lines
    assert len([line for line in lines if "connected again" in line]) == 1, lines
    assert any(f"output fleet: {store}: " in line for line in lines), lines


def test_a_broker_that_rejects_the_relay_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    broker = LateBroker(tmp_path, "right")
    broker.start()
    wrong = BrokerSettings(("127.0.0.1", broker.port), "relay", write_secret(tmp_path, "wrong"))
    monkeypatch.setattr("deploy.relay.mqtt.broker_client.MOST_S", 1.0)
    relay = Relay(RelayOptions(wrong, tmp_path / "relay.db"))
    try:
        relay.start()
        wait_until(lambda: "rejects the relay" in relay.problem)
        assert f"tcp:127.0.0.1:{broker.port}" in relay.problem
        log = tmp_path / "broker.log"
        wait_until(lambda: log.read_text().count("not authorised") >= 6)  # two clients, thrice
        write_secret(tmp_path, "right")
        wait_until(lambda: not relay.problem)
    finally:
        relay.stop()
        relay.close()
        broker.stop()
    lines = [line for line in capfd.readouterr().err.splitlines() if "relay relay:" in line]
    assert len(lines) == 2, lines
    assert lines[1] == "relay relay: connected"


@pytest.mark.parametrize("host", [".", "a" * 70, "no.such.host.invalid"])
def test_a_bad_name_of_the_broker_does_not_end_the_relay(tmp_path: Path, host: str) -> None:
    relay = Relay(RelayOptions(BrokerSettings((host, 1883)), tmp_path / "relay.db"))
    try:
        relay.start()
        wait_until(lambda: f"tcp:{host}:1883" in relay.problem)
        names = {thread.name for thread in threading.enumerate()}
        assert any("paho-mqtt-client-coldloop-relay" in name for name in names), names
    finally:
        relay.close()


def test_check_ends_with_the_state_of_the_broker(
    broker: LateBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--check", "--broker", f"127.0.0.1:{broker.port}", "--store", str(tmp_path / "r.db")]
    assert command.run(words) == 2
    assert f"tcp:127.0.0.1:{broker.port}: " in capsys.readouterr().err
    broker.start()
    assert command.run(words) == 0
    assert "are good" in capsys.readouterr().out
    assert not (tmp_path / "r.db").exists()


def test_an_address_in_use_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.relay.retry_delays.FIRST_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port: int = other.getsockname()[1]
        pages = {"/metrics": lambda _: ("text/plain", "good")}
        relay = RelayHttpServer(HttpSettings("127.0.0.1", port), pages, lambda *_: True)
        lines: list[str] = []
        publish = PublishServer(f"127.0.0.1:{port}", lambda: None, lines.append)
        assert relay.address is None
        assert publish.port is None
        publish.close()
        assert f"listen: 127.0.0.1:{port}: " in lines[0]
    wait_until(lambda: relay.address is not None)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        assert page.read() == b"good"
    relay.close()
    errors = capfd.readouterr().err
    assert f"127.0.0.1:{port}: " in errors
    assert "serves now" in errors


def test_a_closed_server_ends_immediately() -> None:
    server = RelayHttpServer(HttpSettings("127.0.0.1", 0), {}, lambda *_: True)
    assert server.address is not None
    start = time.monotonic()
    server.close()
    assert time.monotonic() - start < 5
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.address[1]}/", timeout=5)


def test_files_and_rights_are_errors_of_the_options(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"none\.pem"):
        RelayHttpServer(
            HttpSettings("127.0.0.1", 0, str(tmp_path / "none.pem")), {}, lambda *_: True
        )
    (tmp_path / "fleet.db").write_text("no store, but a text that is long enough to be none\n" * 9)
    options = RelayOptions(
        BrokerSettings(("127.0.0.1", 1)),
        tmp_path / "relay.db",
        outputs={"fleet": str(tmp_path / "fleet.db")},
    )
    with pytest.raises(DeployError, match=r"fleet\.db"):
        Relay(options)


def test_a_full_disk_at_the_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.relay.retry_delays.FIRST_S", 0.01)
    path = tmp_path / "relay.db"
    tries: list[sqlite3.Connection] = []

    def migrate_full(db: sqlite3.Connection) -> None:
        tries.append(db)
        if len(tries) < 3:
            raise sqlite3.OperationalError("database or disk is full")
        migrate(db)

    monkeypatch.setattr("deploy.relay.records.database.migrate", migrate_full)
    relay = command._make_relay(RelayOptions(BrokerSettings(("127.0.0.1", 1)), path))
    relay.close()
    assert len(tries) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{path}: database or disk is full; tries again" in line
    path.write_text("no store, but a text that is long enough to be none\n" * 9)
    with pytest.raises(DeployError, match=r"relay\.db"):
        command._make_relay(RelayOptions(BrokerSettings(("127.0.0.1", 1)), path))


def test_a_disk_that_is_full_later_in_the_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.relay.retry_delays.FIRST_S", 0.01)
    path = tmp_path / "relay.db"
    open_now = Pipeline.open
    tries: list[object] = []

    def open_full(pipeline: Pipeline) -> None:
        tries.append(pipeline)
        if len(tries) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        open_now(pipeline)

    def load_state(database: RelayDatabase, prefix: str) -> dict[str, str]:
        if prefix == "sparkplug/":
            tries.append(database)
        if len(tries) == 3:
            raise sqlite3.OperationalError("disk I/O error")
        return {}

    monkeypatch.setattr(Pipeline, "open", open_full)
    options = RelayOptions(BrokerSettings(("127.0.0.1", 1)), path, outputs={"lines": "/dev/null"})
    command._make_relay(options).close()
    assert len(tries) == 2
    monkeypatch.setattr(Pipeline, "open", open_now)
    monkeypatch.setattr(RelayDatabase, "load_state", load_state)
    options.outputs = {"sparkplug": "g"}
    command._make_relay(options).close()
    assert len(tries) == 4
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(": ", 2)[2] for line in lines] == [
        "database or disk is full; tries again",
        "disk I/O error; tries again",
    ]
