# SPDX-License-Identifier: Apache-2.0
"""MQTT clients of the relay: settings, connection, check of the broker.

Does not reconnect; the paho library does that, after 1 s to 30 s, also if the broker is away at the
start. It sends a message with QoS 1 again on the new connection until the broker acknowledges it.
"""

import queue
from contextlib import suppress
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.errors import DeployError
from deploy.relay.retry_delays import FIRST_S, MOST_S
from deploy.secret_file import SecretFile
from drivers.ports.cpython.certificate_files import refuse_passphrase

_KEEPALIVE_S = 60
_CHECK_S = 10.0


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """The broker of the units: (host, port), login, files for TLS (PEM).

    `ca`: the authority of the broker. `certificate`, `key`: those of this client; a broker that
    maps the name of the certificate to its rights needs them.
    """

    address: tuple[str, int]
    username: str | None = None
    password: SecretFile | None = None
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None

    def name(self) -> str:
        """Return the address as the option has it: tcp:HOST:PORT."""
        host, port = self.address
        return f"tcp:{host}:{port}"


class BrokerClient(mqtt.Client):
    """A client that keeps the reason of a failed connection: `failure`, "" after a good one.

    A broker with TLS 1.3 refuses a certificate after the handshake: see `end_text`.
    """

    failure = ""
    session: Properties | None = None
    """Properties of a session that the broker keeps; None: see `clean_session`."""
    settings: BrokerSettings | None = None
    starts_clean = False
    """The first connection drops the session of an earlier process."""

    def end(self, properties: Properties | None = None) -> None:
        """Disconnect and close all sockets; paho leaves the pair open that wakes its thread."""
        self.disconnect(self._farewell(), properties)
        self.loop_stop()
        self._reset_sockets(sockpair_only=True)

    def end_text(self, reason: object = "") -> str:
        """Return why the broker has ended the connection, as far as it is known."""
        detail = self.failure or str(reason)
        return "the broker ends the connection" + (f": {detail}" if detail else "")

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            return super()._sock_recv(bufsize)
        except BlockingIOError:
            raise
        except OSError as error:
            self.failure = str(error) or repr(error)
            raise

    def _farewell(self) -> ReasonCode | None:
        """Return the reason of a DISCONNECT (MQTT 5); None: the normal one."""
        return None

    def read_certificates(self) -> None:
        """Read the files for TLS, if there are any. Raises OSError, ValueError."""
        settings = self.settings
        if settings is None or (settings.ca_file is None and settings.certificate is None):
            return
        before, self._ssl_context = self._ssl_context, None
        try:
            self.tls_set(
                *(settings.ca_file, settings.certificate, settings.key),
                keyfile_password=refuse_passphrase,  # type: ignore[arg-type]
            )
        except (OSError, ValueError):
            self._ssl_context = before
            raise

    def read_password(self) -> None:
        """Set the user name and the present password."""
        settings = self.settings
        if settings is not None and settings.username is not None:
            password = None if settings.password is None else settings.password.text()
            self.username_pw_set(settings.username, password)

    def reconnect(self) -> MQTTErrorCode:
        """Connect, with the present files for TLS and the present password.

        They are renewed while the relay runs.

        Raises OSError; any other error would end the thread of the client.
        """
        with suppress(OSError, ValueError):  # a file that is being written: those before
            self.read_certificates()
        self.read_password()
        try:
            code = super().reconnect()
        except (OSError, ValueError) as error:
            self.failure = str(error) or repr(error)
            raise OSError(self.failure) from None
        self.failure = ""
        return code


def make_client(settings: BrokerSettings, ident: str, clean: bool) -> BrokerClient:
    """Return a client that is not connected. `clean`: the broker keeps no session for it.

    Raises DeployError if a file for TLS cannot be read.
    """
    client = BrokerClient(CallbackAPIVersion.VERSION2, ident, clean_session=clean)
    set_up(client, settings)
    return client


def set_up(client: BrokerClient, settings: BrokerSettings) -> None:
    """Set login, TLS and limits. Raises DeployError if a file for TLS cannot be read."""
    client.settings = settings
    client.read_password()
    try:
        client.read_certificates()
    except (OSError, ValueError) as error:  # SSLError is an OSError
        names = (settings.ca_file, settings.certificate, settings.key)
        files = ", ".join(name for name in names if name)
        raise DeployError(f"{files}: {error}") from None
    client.reconnect_delay_set(int(FIRST_S), int(MOST_S))
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(100)


def connect(client: BrokerClient, settings: BrokerSettings) -> None:
    """Start the thread of the client: it connects, and again until the broker responds."""
    client.connect_async(
        *settings.address,
        keepalive=_KEEPALIVE_S,
        clean_start=client.starts_clean,
        properties=client.session,
    )
    client.loop_start()


def check_broker(settings: BrokerSettings, ident: str) -> None:
    """Connect once, then disconnect. Raises DeployError: the broker is away or rejects it."""
    client = make_client(settings, ident, clean=True)
    answers: queue.Queue[str] = queue.Queue()
    client.on_connect = lambda _, __, ___, reason, *____: answers.put(
        f"the broker rejects the relay: {reason}" if reason.is_failure else ""
    )
    client.on_connect_fail = lambda *_: answers.put(client.failure)
    client.on_disconnect = lambda *_: answers.put(client.end_text())
    connect(client, settings)
    try:
        text = answers.get(timeout=_CHECK_S)
    except queue.Empty:
        text = f"no answer in {_CHECK_S:.0f} s"
    client.on_disconnect = None
    client.end()
    if text:
        raise DeployError(f"{settings.name()}: {text}")
