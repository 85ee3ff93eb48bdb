# SPDX-License-Identifier: Apache-2.0
"""Connections that end without a word, numbers of earlier ones, sessions that a check meets."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.relay import command
from deploy.relay.mqtt.broker_client import BrokerSettings, connect
from deploy.relay.mqtt.session_client import Publication, make_session_client
from tests.deploy.relay.broker.test_sessions import Worker
from tests.deploy.relay.relay_rig import ALARM, bulk, pack
from tests.deploy.relay.test_relay import TopicListener, wait_until
from tests.support.programs import require_program, running_mosquitto


@contextmanager
def port_of_a_late_broker(broker: int, ends: int) -> Iterator[int]:
    """Serve a port that ends `ends` connections, then passes on to `broker`: a port of a container
    does so until the broker in it has started."""
    server = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def pass_on(peer: socket.socket) -> None:
        with peer, socket.create_connection(("127.0.0.1", broker)) as inner:
            back = threading.Thread(target=pump, args=(inner, peer))
            back.start()
            pump(peer, inner)
            back.join()

    threads: list[threading.Thread] = []

    def serve() -> None:
        count = 0
        with suppress(OSError):
            while True:
                peer, _ = server.accept()
                count += 1
                if count <= ends:
                    peer.close()
                else:
                    threads.append(threading.Thread(target=pass_on, args=(peer,)))
                    threads[-1].start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for each in (thread, *threads):
            each.join(5)


@pytest.mark.parametrize("ends", [1, 2, 3])
def test_a_broker_that_starts_late_is_used_with_mqtt_5(tmp_path: Path, ends: int) -> None:
    """With MQTT 3.1.1 it acknowledges messages that have no subscriber: they would be lost."""
    words = ["--json", "out", "--required", "json"]
    with (
        running_mosquitto(tmp_path / "mosquitto.conf") as broker,
        port_of_a_late_broker(broker, ends) as port,
    ):
        worker = Worker(port, tmp_path, "k", "relay", "relay", "--receipts", *words)
        unit = TopicListener(broker, "coldloop/v1/s1/u1/ack")
        try:
            clients = (worker.relay._units_client, worker.relay._output_connection._client)
            wait_until(lambda: all(client._is_version_known for client in clients))
            assert {client._protocol for client in clients} == {mqtt.MQTTv5}
            output = worker.relay.pipeline.workers["json"]
            unit.publish("coldloop/v1/s1/u1/tele", pack(ALARM, bulk(1)))
            wait_until(lambda: "no subscriber" in output.error)
            assert output.position < worker.relay.pipeline._prepared_to
        finally:
            unit.close()
            worker.close()


def test_an_acknowledgement_is_for_its_own_connection(tmp_path: Path) -> None:
    """After a new session another message has the number."""
    found: list[Publication] = []
    with running_mosquitto(tmp_path / "mosquitto.conf") as port:
        settings = BrokerSettings(("127.0.0.1", port))
        client = make_session_client(settings, "relay", 100)
        client.on_publication = found.append

        def subscribe(*_: object) -> None:
            client.subscribe("a/#", 1)

        client.on_connect = subscribe
        connect(client, settings)
        unit = TopicListener(port, "none")
        try:
            wait_until(client.is_connected)
            while not found:
                unit.publish("a/b", b"1")
            first = found[0]
            found.clear()
            client.leave()
            wait_until(lambda: bool(found))  # the broker sends it again
            client.ack(first.ident, 1)
            assert found[0].ident != first.ident
            client.leave()
            before = len(found)
            wait_until(lambda: len(found) > before)
            assert found[before].payload == b"1", "not acknowledged"
            client.ack(found[before].ident, 1)
        finally:
            unit.close()
            client.end_session(0)


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[int]:
    """A broker that takes the name of a user as client identifier, as the shipped one does."""
    passwords = tmp_path / "passwords"
    program = require_program("mosquitto_passwd")
    for name, create in (("bms", ["-c"]), ("unit", [])):
        command_line = [program, "-b", *create, str(passwords), name, "x"]
        subprocess.run(command_line, check=True, capture_output=True)
    settings = f"user root\npassword_file {passwords}\nuse_username_as_clientid true\n"
    with running_mosquitto(tmp_path / "mosquitto.conf", settings) as port:
        yield port


@pytest.mark.parametrize("output", ["lines", "json"])
def test_a_check_leaves_the_session_of_a_relay(
    strict_broker: int, tmp_path: Path, output: str
) -> None:
    """Its messages come again to no relay: another group has sent the receipts."""
    secret = tmp_path / "secret"
    secret.write_text("x\n")
    login = ["--username", "bms", "--password-file", str(secret)]
    words = ["--no-receipts", "--lines", str(tmp_path / "lines"), *login]
    Worker(strict_broker, tmp_path, "b", "bms", "bms", *words).close()
    unit = mqtt.Client(CallbackAPIVersion.VERSION2, "unit")
    unit.username_pw_set("unit", "x")
    unit.connect("127.0.0.1", strict_broker)
    unit.loop_start()
    for ident in range(1, 6):
        unit.publish("coldloop/v1/s1/u1/tele", pack(ALARM, bulk(ident)), 1).wait_for_publish(5)
    check = ["--check", "--broker", f"tcp:127.0.0.1:{strict_broker}", "--name", "b"]
    check += ["--group", "bms", "--store", str(tmp_path / "bms.db"), "--no-receipts", *login]
    for _ in range(2):
        value = "out" if output == "json" else str(tmp_path / "lines")
        assert command.run([*check, f"--{output}", value]) == 0
    again = Worker(strict_broker, tmp_path, "b", "bms", "bms", *words)
    try:
        wait_until(lambda: again.received == 5)
    finally:
        again.close()
        unit.disconnect()
        unit.loop_stop()
