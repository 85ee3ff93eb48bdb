# SPDX-License-Identifier: Apache-2.0
"""MQTT clients of the relay: settings, and the connection that the outputs publish on.

Does not reconnect; the paho library does that, after 1 s to 30 s.
"""

from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from deploy.errors import DeployError
from deploy.relay.outputs import Outputs

_KEEPALIVE_S = 60


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """The broker of the units: (host, port), login, file with the authority for TLS."""

    address: tuple[str, int]
    username: str | None = None
    password: str | None = None
    ca: str | None = None


def make_client(settings: BrokerSettings, ident: str, clean: bool) -> mqtt.Client:
    """Return a client that is not connected. `clean`: the broker keeps no session for it."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, ident, clean_session=clean)
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.password)
    if settings.ca is not None:
        client.tls_set(settings.ca)
    client.reconnect_delay_set(1, 30)
    client.max_queued_messages_set(0)
    return client


def connect(client: mqtt.Client, settings: BrokerSettings) -> None:
    """Connect and start the thread of the client. Raises DeployError without a broker."""
    try:
        client.connect(*settings.address, keepalive=_KEEPALIVE_S)
    except OSError as error:
        host, port = settings.address
        raise DeployError(f"tcp:{host}:{port}: {error}") from None
    client.loop_start()


class OutputConnection:
    """The connection of the outputs: a clean session with the will of an output."""

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self._settings = settings
        self._client = make_client(settings, f"coldloop-node-{name}", clean=True)

    def start(self, outputs: Outputs) -> None:
        """Set the will, connect, subscribe to the topics of the outputs."""

        def on_connected(client: mqtt.Client, *_: object) -> None:
            topics = outputs.topics()
            if topics:
                client.subscribe([(topic, 1) for topic in topics])
            outputs.on_connected()

        def on_message(_: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
            outputs.on_message(message.topic, bytes(message.payload))

        self._client.on_connect = on_connected
        self._client.on_message = on_message
        will = outputs.will()
        if will is not None:
            self._client.will_set(*will)
        connect(self._client, self._settings)

    def is_connected(self) -> bool:
        """Return whether the broker has accepted the connection."""
        return self._client.is_connected()

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        """Publish a message; wait up to `wait_s` seconds until the broker has it."""
        result = self._client.publish(topic, payload, qos, retain)
        if wait_s:
            result.wait_for_publish(wait_s)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
