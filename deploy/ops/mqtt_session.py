# SPDX-License-Identifier: Apache-2.0
"""Broker session with paho-mqtt for a command that publishes and waits for messages.

A thread of paho receives the messages and puts them into a queue. The command reads the queue.
"""

import contextlib
import queue
import secrets
import ssl
from collections.abc import Iterator
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from deploy.errors import OpsError
from drivers.errors import AddressError
from drivers.ports.address import parse_address
from drivers.ports.cpython.certificate_files import load_certificate, make_client_context

ROOT = "coldloop/v1/"
CONNECT_S = 15.0


def _with_kind(broker: str) -> str:
    """Return the address; HOST:PORT alone is a TCP address, as in the other commands."""
    host, _, port = broker.rpartition(":")
    return f"tcp:{broker}" if host and port.isdecimal() and ":" not in host else broker


class BrokerSession:
    """A connection, open after construction; a context manager. Raises `OpsError`."""

    def __init__(
        self, broker: str, username: str | None = None, password: str | None = None
    ) -> None:
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._in_flight: list[Any] = []
        self._connect_results: queue.Queue[str] = queue.Queue()
        try:
            address = parse_address(_with_kind(broker))
        except AddressError as error:
            raise OpsError(str(error)) from None
        if address.kind not in ("tcp", "tls"):
            raise OpsError(f"{broker}: not a broker; write tcp:HOST:PORT or tls:HOST:PORT?ca=FILE")
        make: Any = paho.Client  # the stubs of typeshed describe paho 1
        self._paho = make(CallbackAPIVersion.VERSION2, f"ops-{secrets.token_hex(6)}")
        self._paho.on_message = lambda _c, _d, m: self._messages.put((m.topic, m.payload))
        self._paho.on_connect = lambda _c, _d, _f, code, _p: self._connect_results.put(str(code))
        if username is not None:
            self._paho.username_pw_set(username, password)
        try:
            if address.kind == "tls":
                self._paho.tls_set_context(_make_context(address.options))
            self._paho.connect(address.host, address.port)
        except (OSError, ValueError) as error:
            raise OpsError(f"{address.location()}: {error}; check that the broker runs") from None
        self._paho.loop_start()
        self._await_connection(address.location())

    def _await_connection(self, place: str) -> None:
        try:
            connect_result = self._connect_results.get(timeout=CONNECT_S)
        except queue.Empty:
            connect_result = "no answer"
        if connect_result != "Success":
            self.close()
            raise OpsError(f"{place}: {connect_result}; check user, password and certificate")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait until the broker has all messages, then disconnect."""
        for info in self._in_flight:
            with contextlib.suppress(ValueError, RuntimeError):
                info.wait_for_publish(CONNECT_S)
        disconnect(self._paho)

    def subscribe(self, topic: str) -> None:
        """Subscribe to `topic` below the root."""
        self._paho.subscribe(ROOT + topic, 1)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish on `topic` below the root; return when the broker has it. Raises `OpsError`."""
        info = self._paho.publish(ROOT + topic, payload, 1, retain)
        try:
            info.wait_for_publish(CONNECT_S)
        except (ValueError, RuntimeError) as error:
            raise OpsError(f"{topic}: not published: {error}") from None
        if not info.is_published():
            raise OpsError(f"{topic}: the broker did not acknowledge it within {CONNECT_S:.0f} s")

    def publish_async(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish without waiting for the broker; many messages can be in flight."""
        self._in_flight = [info for info in self._in_flight if not info.is_published()]
        self._in_flight.append(self._paho.publish(ROOT + topic, payload, 1, retain))

    def messages(self, seconds: float) -> Iterator[tuple[str, bytes]]:
        """Return the received messages (topic below the root, payload) after at most `seconds`."""
        try:
            topic, payload = self._messages.get(timeout=seconds)
            while True:
                yield topic.removeprefix(ROOT), payload
                topic, payload = self._messages.get_nowait()
        except queue.Empty:
            return


def disconnect(client: Any) -> None:
    """Disconnect a paho client and close its sockets.

    paho has a pair of sockets that wakes its thread. It closes them only when the garbage collector
    frees the client. There is no public call for this.
    """
    client.disconnect()
    client.loop_stop()
    client._reset_sockets()  # noqa: SLF001 - there is no public call


def _make_context(options: dict[str, str]) -> ssl.SSLContext:
    context = make_client_context(options.get("ca"))
    if "cert" in options:
        load_certificate(context, options["cert"], options.get("key"))
    return context
