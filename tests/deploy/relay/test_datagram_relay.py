# SPDX-License-Identifier: Apache-2.0
"""Datagrams of a unit to the fleet and back: modem, gateway, webhook, relay, broker, MT message.

The agent, the relay, mosquitto and `mosquitto_sub` are processes. The modem, its gateway and the
row are those of the bench, in a thread. The agent has no MQTT connection, only SBD.
"""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import DeployError
from deploy.relay import command
from deploy.relay.decode.row_format import Note
from deploy.relay.intake.downlink import Downlink, join_numbers
from deploy.relay.intake.satcom_envelope import is_datagram
from deploy.relay.limits import UnitLimits
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import RelayOptions
from deploy.relay.outputs.base import Output, OutputContext
from deploy.relay.outputs.fleet_store import FleetStoreOutput
from deploy.relay.relay import Relay
from hil.bench.testbed import SITE_E7
from hil.bench.testbed_satcom import SATCOM_KEY, UNIT
from hil.bench.testbed_settings import TestbedSettings
from hil.io.mt_server import MtServer
from hil.run.real_bench import RealBench
from hil.run.real_modems import RealModems
from protocols import datagram
from protocols.errors import DecodeError
from protocols.telemetry import message as telemetry_message
from protocols.telemetry import receipt
from tests.deploy.relay.relay_rig import UNIT as RIG_UNIT
from tests.deploy.relay.relay_rig import PipelineRig
from tests.support.programs import free_port, require_program
from tests.support.repository import ROOT

TIMEOUT_S = 120.0
"""On an idle machine it takes 25 s: start of the modem, and some sessions of 0.3 s."""
IMEI = "300234010753370"
GENERATION = b"\x01\x02\x03"
NO_CONTEXT = OutputContext("", "r", "", None, lambda: 0, lambda: 0, dict)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)


# --- The envelope, without processes --------------------------------------------------------------


@pytest.fixture
def rig() -> Iterator[PipelineRig]:
    made = PipelineRig(keys={"s/keyed": SATCOM_KEY})
    yield made
    made.close()


def one_record(ident: int, payload: bytes = b'{"a":1}') -> bytes:
    message = telemetry_message.begin_message(telemetry_message.PACK, GENERATION)
    telemetry_message.append_record(
        message, (ident * 4 + telemetry_message.ALARM, telemetry_message.JSON_EVENT, payload)
    )
    return bytes(message)


def test_a_repeated_alarm_is_published_once_and_acknowledged_twice(rig: PipelineRig) -> None:
    text = b"\x01" + (1_735_689_600).to_bytes(4, "big") + b"leak: pan is wet"
    content = bytes([len(text)]) + text + b"\x0f\x00\0\0\0\0pump_trip1"
    sent = datagram.split(datagram.ALARM, 7, content, 340)
    assert rig.send(sent[0], unit="s/keyed").acks == [("s/keyed", 7)]
    assert rig.send(sent[0], unit="s/keyed").acks == [("s/keyed", 7)]
    assert [note.content for note in rig.notes()] == [
        {
            "alarm": "raised",
            "code": "leak",
            "text": "pan is wet",
            "utc_s": 1_735_689_600,
            "datagram": 7,
        },
        {"alarm": "cleared", "code": "pump_trip1", "text": "", "utc_s": None, "datagram": 7},
    ]
    assert [note.time_ms for note in rig.notes()] == [1_735_689_600_000, 0]
    assert rig.pipeline.counts()["duplicates"] == 1
    other = datagram.split(datagram.ALARM, 7, bytes([len(text)]) + text, 340)  # a new store
    rig.send(other[0], unit="s/keyed")
    assert len(rig.notes()) == 3


def test_a_late_datagram_changes_no_newer_alarm(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db", required={"fleet"})
    clock = [int, lambda: 1_760_001_000_000, dict]
    context = OutputContext(str(tmp_path / "f"), "r", "", None, *clock)  # type: ignore[arg-type]
    rig.add_output("fleet", store := FleetStoreOutput(context))

    def send(number: int, change: int, second: int, code: str = "leak") -> list[str]:
        utc_s = 1_760_000_000 + second if second else 0
        record = bytes([change]) + utc_s.to_bytes(4, "big") + code.encode() + b": "
        content = bytes([len(record)]) + record
        rig.send(datagram.split(datagram.ALARM, number, content, 340)[0])
        return [code for (code,) in store._db.execute("SELECT code FROM alarm")]

    def log(number: int, change: str, t_ms: int) -> None:
        content = {"alarm": change, "code": "hot", "t": 1_760_000_000_000 + t_ms}
        rig.send(one_record(number, json.dumps(content).encode()))

    assert send(2, 0, 100) == []
    assert send(1, 1, 90) == [], "sent before"
    assert send(3, 1, 100) == ["leak"], "in the same second the number counts"
    assert send(4, 0, 0) == [], "without a time too"
    assert send(2**24 - 1, 1, 0) == [], "numbers begin again"
    log(1, "raised", 200_000)
    log(2, "cleared", 300_500)
    assert send(5, 1, 200, "hot") == []
    assert send(6, 1, 300, "hot") == [], "in the same second the log counts"
    assert send(7, 1, 301, "hot") == ["hot"]
    start = json.dumps({"event": "start", "t": 1_760_000_400_000}).encode()
    rig.send(one_record(3, start))
    assert send(8, 1, 399, "new") == [], "before the start"
    store.close()
    rig.close()


@pytest.mark.parametrize("number", ["x", [1], 1 << 70, -5, True, None])
def test_a_unit_that_lies_about_a_datagram_stops_no_store(tmp_path: Path, number: object) -> None:
    clock = [int, lambda: 1_760_001_000_000, dict]
    context = OutputContext(str(tmp_path / "f"), "r", "", None, *clock)  # type: ignore[arg-type]
    store = FleetStoreOutput(context)
    content = {"alarm": "raised", "code": "leak", "datagram": number}
    store.deliver([Note("s/u", 0, content)])
    alarms = store._db.execute("SELECT code FROM alarm").fetchall()
    store.close()
    assert alarms == [("leak",)]


def test_a_row_of_all_readings(rig: PipelineRig) -> None:
    # 5, -3, unknown, 300 as zigzag + 1; the CRC of the names is 0xABCD
    content = (1_735_689_600).to_bytes(4, "big") + b"\xab\xcd\x0b\x06\x00\xd9\x04"
    rig.send(datagram.split(datagram.LIVE, 1, content, 340)[0])
    output = rig.notes()[0].content
    assert (output["raw"], output["names_crc"]) == ([5, -3, None, 300], "abcd")


def test_telemetry_fragments_in_any_order(rig: PipelineRig) -> None:
    sent = datagram.split(datagram.LIVE, 9, one_record(1, b'{"text":"' + b"x" * 500 + b'"}'), 100)
    assert len(sent) > 3
    for message in [*sent[:0:-1], sent[3]]:
        assert rig.send(message).acks == []
    assert rig.send(sent[0]).acks == [(RIG_UNIT, 9)]
    assert len(rig.notes()) == 1


def test_a_datagram_is_acknowledged_after_the_outputs(rig: PipelineRig) -> None:
    message = datagram.split(datagram.LIVE, 9, one_record(1), 340)[0]
    rig.settings.required.add("slow")
    slow = Output(NO_CONTEXT)
    rig.add_output("slow", slow)
    slow.ready = lambda: False  # type: ignore[method-assign]
    assert rig.send(message, unit="s/keyed").acks == []
    assert rig.send(message, unit="s/keyed").acks == [], "a repetition waits too"
    slow.ready = lambda: True  # type: ignore[method-assign]
    assert set(rig.settle().acks) == {("s/keyed", 9)}


def test_a_unit_without_key_gets_the_log_receipt(rig: PipelineRig) -> None:
    message = datagram.split(datagram.LIVE, 2, one_record(1), 340)[0]
    rig.receive(message, unit="s/u")
    rig.receive(message, unit="s/keyed")
    due = rig.settle()
    assert [unit for unit, _ in due.downlink_receipts] == ["s/u"]
    assert receipt.parse_receipt(due.downlink_receipts[0][1], "s/u", b"").ranges == [
        (telemetry_message.ALARM, 1, 1)
    ]
    assert len(due.receipts) == 2


def test_bad_datagrams_are_counted_and_quarantined(rig: PipelineRig) -> None:
    broken = datagram.split(datagram.BULK, 3, bytes(400), 340)
    broken[1] = broken[1][:-1] + b"\xff"
    bad = [b"\x10\0\0", b"\x1f\0\0\0abc", b"\x20\0\0\1\5\1x", b"\x10\0\0\1\xff\x01", *broken]
    assert rig.receive(*bad).entries == []
    assert rig.pipeline.counts()["bad_messages"] == 5
    assert rig.reasons() == ["message"] * 5
    assert is_datagram(bad[3])
    assert not is_datagram(one_record(1))
    sent = datagram.split(datagram.BULK, 3, bytes(400), 340)
    assert len(rig.send(*sent).acks) == 1


def test_a_datagram_of_an_unknown_modem_is_kept_until_the_modem_has_a_unit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sent = datagram.split(datagram.LIVE, 9, one_record(1), 340)[0]

    def relay_with(modems: dict[str, str], **limits: int) -> Relay:
        options = RelayOptions(BrokerSettings(("127.0.0.1", 1)), tmp_path / "relay.db")
        options.modems, options.limits = modems, UnitLimits(**limits)
        options.outputs = {"fleet": str(tmp_path / "fleet.db")}
        return Relay(options)

    def post(relay: Relay, imei: str) -> bool:
        answers: list[bool] = []
        post = threading.Thread(
            target=lambda: answers.append(relay._on_gateway_message(imei, sent))
        )
        post.start()
        wait_until(lambda: relay.process() or not post.is_alive())
        return answers[0]

    relay = relay_with({})
    assert [post(relay, imei) for imei in ("888", "999", "999")] == [True] * 3
    held = relay.pipeline.quarantine.find("modem", "modem")
    assert [one.detail.split()[-1] for one in held] == ["888", "999", "999"]
    assert relay.pipeline.counts()["unknown_modems"] == 3
    relay.close()
    lines = [line for line in capfd.readouterr().err.splitlines() if "--modem" in line]
    assert [line.split("IMEI ")[1].split(":")[0] for line in lines] == ["888", "999"]
    relay = relay_with({}, quarantine_bytes=300)
    assert not post(relay, "999"), "beyond the quota the gateway keeps it"
    relay.close()
    relay = relay_with({"999": "s1/late"})
    relay.process()
    assert [one.entry.payload[:3] for one in relay.pipeline.quarantine.find()] == [b"888"]
    assert relay.pipeline.ingest.counts["datagrams"] == 2
    assert [row[0] for row in relay._database.query("SELECT unit FROM outbox")] == ["s1/late"]
    relay.close()


def test_numbers_become_ranges() -> None:
    assert join_numbers({5, 1, 2, 3, 9}) == [(1, 2), (5, 0), (9, 0)]
    assert join_numbers(set(range(300))) == [(0, 255), (256, 43)]


def test_acknowledgements_are_gathered() -> None:
    with closing(MtServer({IMEI: 270})) as server:
        down = Downlink(
            server.url, {IMEI: "s/keyed", "1": "s/other"}, {"s/keyed": SATCOM_KEY}, 3600
        )
        for number in (4, 5, 6, 8):
            down.acknowledge("s/keyed", number)
        down.acknowledge("s/other", 4)  # no key
        down.send_receipt("s/other", b"\xa1")  # the gateway does not know this modem
        wait_until(lambda: down.failed == 1)
        down.close()
        assert (down.posted, len(server.queue)) == (1, 1)
        body = datagram.verify_body(SATCOM_KEY, "s/keyed", server.queue[0][1])
        assert datagram.parse_ack(body) == [(4, 2), (8, 0)]
        with pytest.raises(DecodeError):
            datagram.verify_body(SATCOM_KEY, "s/another", server.queue[0][1])


def test_gateway_options(tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text("user\nsecret\n")
    arguments = ["--broker", "h:1", "--store", "s", "--gateway-login", str(login)]
    options = command.parse_options([*arguments, "--gateway", "https://gateway.invalid/MT"])
    assert options.gateway == "https://gateway.invalid/MT"
    assert options.gateway_login is not None
    assert options.gateway_login.login() == ("user", "secret")
    for bad in (["--gateway", "ftp://x"], ["--gateway-login", "/dev/null"]):
        with pytest.raises(DeployError):
            command.parse_options([*arguments, *bad])


# --- The complete path ----------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen(
        [require_program("mosquitto"), "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:

        def up() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(up, 20)
        yield port
        process.terminate()


class SubscriberProcess:
    """`mosquitto_sub -v` on a topic; `lines` in the order of arrival."""

    def __init__(self, port: int, topic: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [require_program("mosquitto_sub"), "-p", str(port), "-v", "-q", "1", "-t", topic],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def payloads(self, topic: str) -> list[dict[str, Any]]:
        """Return the JSON objects received on a topic."""
        pairs = [line.split(" ", 1) for line in list(self.lines)]
        return [json.loads(text) for name, text in pairs if name == topic]

    def close(self) -> None:
        self.process.terminate()
        self.thread.join()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def start_relay(broker: int, http: int, gateway: str, folder: Path) -> "subprocess.Popen[str]":
    keys = folder / "keys"
    keys.write_text(f"{UNIT} {SATCOM_KEY.hex()}\n")
    arguments = ["relay", "--broker", f"127.0.0.1:{broker}", "--store", str(folder / "relay.db")]
    arguments += [
        "--json",
        "fleet",
        "--http",
        f"127.0.0.1:{http}",
        "--sbd-unsigned",
        "--keys",
        str(keys),
    ]
    arguments += ["--modem", f"{IMEI}={UNIT}", "--gateway", gateway, "--gather", "0.2"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "coldloop.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    return process


class AgentProcess:
    """A bench with an agent that has only SBD; `status` is the status of the agent."""

    def __init__(self, webhook: str) -> None:
        self.gateway: queue.Queue[str] = queue.Queue()
        self.status: dict[str, Any] = {}
        self.started = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(webhook,))
        self._thread.start()

    def _run(self, webhook: str) -> None:
        setting = TestbedSettings(
            parts="modem, modem_store, log", modem="sbd", modem_power="always"
        )
        with RealBench(setting, seed=1, broker=f"127.0.0.1:{free_port()}") as bench:
            modems = RealModems(bench.shell, setting, SITE_E7, None, webhook)
            with closing(modems):
                self.gateway.put(modems.ports["gateway"])
                satellite = modems.testbeds["sbd"]
                satellite.radio.random_us = lambda *_: 300_000  # type: ignore[method-assign]
                self._configure(bench, modems.ports["modem_sbd"])
                self.started.wait(30)
                bench.start_agent()
                while not self._stop.is_set():
                    bench.shell.run(bench.shell.now() + 200_000)
                    self.status = bench.status() or {}

    def _configure(self, bench: RealBench, port: str) -> None:
        created = bench.config()
        created["modem"].update(port=port, key=SATCOM_KEY.hex())
        created["log"].update(ack_key=SATCOM_KEY.hex(), at_risk_s=5)
        bench.config = lambda *_: created  # type: ignore[method-assign]

    def close(self) -> None:
        self._stop.set()
        self.started.set()
        self._thread.join()


def test_agent_datagrams_reach_the_fleet_and_release_the_log(broker: int, tmp_path: Path) -> None:
    http = free_port()
    reader = SubscriberProcess(broker, "fleet/#")
    unit = AgentProcess(f"http://127.0.0.1:{http}/sbd")
    relay = start_relay(broker, http, unit.gateway.get(timeout=30), tmp_path)
    try:
        unit.started.set()
        # `mosquitto_sub` reads the output of the relay for a datagram: a block of the log, in
        # units.
        wait_until(lambda: reader.payloads(f"fleet/{UNIT}/rows"))
        block = reader.payloads(f"fleet/{UNIT}/rows")[0]
        assert len(block["rows"][0]) == 1 + len(block["names"])
        assert any("Celsius" in name for name in block["names"])
        # an alarm arrives immediately as a datagram, before its record in the log
        assert any("datagram" in note for note in reader.payloads(f"fleet/{UNIT}/notes"))
        # the acknowledgement goes down through the modem, so the log deletes its records
        wait_until(lambda: unit.status["modem"]["acknowledged"] > 0)
        wait_until(lambda: unit.status["log"]["waiting"]["alarm"] == 0)
        assert unit.status["modem"]["forged"] == 0
    finally:
        unit.close()
        relay.terminate()
        relay.wait(30)
        assert relay.stdout is not None
        relay.stdout.close()
        reader.close()
