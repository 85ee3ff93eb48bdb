# SPDX-License-Identifier: Apache-2.0
"""Time from link-up to the first acknowledged block, in real time: part of `satlink`.

Our agent (CPython) with a modem in IP mode and a log, and paho, use the same shaped path
(`hil.io.shaped_path`: 300 ms each way, 22 and 88 kbit/s) to the broker of the bench. With TLS, a
front end in this process terminates it: OpenSSL, client certificates, an authority and certificates
as `coldloop config pki` makes them. During the outage all data in flight are lost, so old
connections are dead. The time ends when the broker has the block, plus half a round trip.

The limit is three round trips, 1 s, and the transfer time of the handshake (measured in memory with
the same contexts). A full handshake of TLS 1.2 takes one round trip more than TLS 1.3 or a resumed
session.
"""

import socket
import ssl
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from benchmarks.satcom.tls_day import handshake
from deploy.ops.pki import authority as pki
from drivers.ports.address import parse_address
from drivers.ports.cpython.tcp import make_context
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.mqtt.session import QueuedPublish
from hil.io.shaped_path import ShapedPath
from hil.run.real_bench import RealBench

Rows = list[list[str]]
_BEFORE_S, _OUTAGE_S, _AFTER_S = 20, 40, 20
_TIMEOUT_S = 100
_RTT_S, _UP_BPS, _DOWN_BPS = 0.6, 22_000, 88_000
LIMIT_S = 3 * _RTT_S + 1
FORMS = ("no TLS", "TLS 1.3", "TLS 1.2, full", "TLS 1.2, resumed")


class TlsFrontend:
    """Terminates TLS before the broker at `target`; `resumed`: one flag for each connection.

    `resumes_none`: no session is resumed.
    """

    def __init__(self, target: tuple[str, int], resumes_none: bool) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = self.folder = Path(self._folder.name)
        self.ca = pki.create(folder, "bench")
        server = pki.issue(folder, "broker", "broker", ["127.0.0.1"])
        client = pki.issue(folder, "bench.cdu1", "unit", [])
        self.files = f"ca={self.ca}&cert={client}&key={client.with_suffix('.key')}"
        self._server = server
        self._resumes_none = resumes_none
        self._context = self._make_context()
        self.resumed: list[bool] = []
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._folder.cleanup()

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._server, self._server.with_suffix(".key"))
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = self._make_context() if self._resumes_none else self._context
            tls = context.wrap_socket(sock, server_side=True)
            self.resumed.append(bool(tls.session_reused))
            plain = socket.create_connection(self._target)
            threading.Thread(target=_forward, args=(plain, tls), daemon=True).start()
            _forward(tls, plain)

    def limit(self, text: str, resumed: bool) -> tuple[float, int, int]:
        """Return the limit in seconds of an address, and the bytes of the handshake."""
        client = make_context(parse_address(text))
        client.check_hostname = False
        up, down, session = handshake(client, self._context, None)
        if resumed:
            up, down, _ = handshake(client, self._context, session)
        return LIMIT_S + 8 * up / _UP_BPS + 8 * down / _DOWN_BPS, up, down


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(4096):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def _record_arrival(observed: list[int], bench: RealBench) -> Any:
    """Record the arrival of a message that is not a will."""

    def note(message: QueuedPublish) -> None:
        if not message.topic.endswith("state"):
            observed.append(bench.world.now)

    return note


def _measure_agent(form: str) -> tuple[float, float, str]:
    """Measure our agent: seconds, limit in seconds, bytes of the handshake."""
    setting = TestbedSettings(parts="modem, modem_store, log", modem="ip", broker_latency_ms=0)
    with RealBench(setting, seed=1) as bench:
        assert bench.broker is not None
        if form == FORMS[0]:
            path = ShapedPath(bench.shell, bench.broker.address)
            bench.ports["broker"] = f"tcp:127.0.0.1:{path.address[1]}"
            return _outage(bench, path), LIMIT_S, "no TLS"
        with TlsFrontend(bench.broker.address, form.endswith("full")) as front:
            path = ShapedPath(bench.shell, front.address)
            old = "&tls=1.2" if "1.2" in form else ""
            text = f"tls:127.0.0.1:{path.address[1]}?{front.files}{old}"
            bench.ports["broker"] = text
            is_resumed = form.endswith("resumed")
            limit, up, down = front.limit(text, is_resumed)
            duration = _outage(bench, path)
            if front.resumed[-1:] != [is_resumed]:
                raise RuntimeError(f"{form}: resumed is {front.resumed}")
            return duration, limit, f"{up} + {down} B"


def _outage(bench: RealBench, path: ShapedPath) -> float:
    """Run an outage; return the seconds from link-up to the acknowledgement."""
    assert bench.testbed.satcom is not None
    path.set_lossy(True)
    device: Any = bench.testbed.satcom.device
    sky = bench.testbed.satcom.sky
    observed: list[int] = []
    bench.testbed.broker.observe_messages(_record_arrival(observed, bench))
    up_at: list[int] = []

    def follow_modem() -> None:
        if device.attached and not path.is_up:
            up_at.append(bench.world.now)
        path.set_link_up(device.attached)
        bench.world.schedule(bench.world.now + 1_000, follow_modem)

    bench.world.schedule(0, follow_modem)
    bench.start_agent()
    bench.shell.run(_BEFORE_S * 1_000_000)
    sky.inject("blocked", True)
    bench.shell.run(bench.world.now + _OUTAGE_S * 1_000_000)
    path.set_lossy(False)  # the link now delivers; TCP would send the data again
    sky.inject("blocked", False)
    observed.clear()
    up_at.clear()
    bench.shell.run(bench.world.now + _AFTER_S * 1_000_000)
    path.close()
    if not observed or not up_at:
        return float("nan")
    return (observed[0] - up_at[-1]) / 1e6 + _RTT_S / 2


def _measure_paho(form: str, reconnect_at_link_up: bool) -> float:
    """Measure paho: keepalive 60, a message a second."""
    import paho.mqtt.client as mqtt  # noqa: PLC0415 - a peer
    from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415

    with (
        RealBench(TestbedSettings(broker_latency_ms=0), seed=1) as bench,
        TlsFrontend(bench.broker.address if bench.broker else ("", 0), False) as front,
    ):
        assert bench.broker is not None
        secure = form != FORMS[0]
        path = ShapedPath(bench.shell, front.address if secure else bench.broker.address)
        path.set_lossy(True)
        observed: list[int] = []
        bench.testbed.broker.observe_messages(_record_arrival(observed, bench))
        client = mqtt.Client(CallbackAPIVersion.VERSION2, "peer", clean_session=False)
        if secure:
            files = dict(item.split("=") for item in front.files.split("&"))
            client.tls_set(files["ca"], files["cert"], files["key"])
        stop, go = threading.Event(), threading.Event()

        def talk() -> None:
            if reconnect_at_link_up:
                go.wait(_TIMEOUT_S)
            client.connect("127.0.0.1", path.address[1], 60)
            client.loop_start()
            client.publish("coldloop/v1/bench/peer/tele", bytes(200), 1)
            while not stop.wait(1):
                client.publish("coldloop/v1/bench/peer/tele", bytes(200), 1)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        bench.shell.run((1 if reconnect_at_link_up else _BEFORE_S) * 1_000_000)
        path.set_link_up(False)
        bench.shell.run(bench.world.now + (1 if reconnect_at_link_up else _OUTAGE_S) * 1_000_000)
        path.set_lossy(False)
        path.set_link_up(True)
        up_at = bench.world.now
        observed.clear()
        go.set()
        while not observed and bench.world.now < up_at + _TIMEOUT_S * 1_000_000:
            bench.shell.run(bench.world.now + 100_000)
        stop.set()
        thread.join(5)
        client.loop_stop()
        client.disconnect()
        path.close()
        return (observed[0] - up_at) / 1e6 + _RTT_S / 2 if observed else float("nan")


def linkup_rows() -> tuple[Rows, dict[str, Any]]:
    """Run all measurements in real time; this takes some minutes."""
    started_at = time.monotonic()
    rows: Rows = []
    record: dict[str, Any] = {}
    for form in FORMS:
        duration, limit, sizes = _measure_agent(form)
        rows.append(
            [f"link-up, ours, {form}", f"{duration:.2f} s", f"limit {limit:.2f} s; {sizes}"]
        )
        record[form] = {"s": round(duration, 3), "limit_s": round(limit, 3), "handshake": sizes}
    for form in FORMS[:2]:
        for reconnect, description in (
            (True, "new connection at link-up"),
            (False, "keepalive 60"),
        ):
            duration = _measure_paho(form, reconnect)
            rows.append([f"link-up, paho 2.2, {form}", f"{duration:.2f} s", description])
            record[f"paho, {form}, {description}"] = round(duration, 3)
    record["wall_s"] = round(time.monotonic() - started_at)
    return rows, record
