# SPDX-License-Identifier: Apache-2.0
"""One connection to the broker as a trial, for `coldloop relay --check`.

Does not subscribe or publish. A broker can take the name of the certificate as client identifier,
as the shipped one does. Then the trial takes over the session of the relay. So it goes on with a
session that it finds and acknowledges none of its messages; the broker keeps it as long as the
relay asks for. A session that the trial has made ends with it.
"""

import queue

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from deploy.relay.mqtt.broker_client import BrokerSettings, check_broker, connect
from deploy.relay.mqtt.session_client import SessionClient, make_session_client


class Trial:
    """A connection with the identifier of `client` to the broker of `settings`."""

    def __init__(self, client: SessionClient, settings: BrokerSettings) -> None:
        self._client = client
        self._settings = settings
        self._answers: queue.Queue[str] = queue.Queue()
        self._found_session = False

    def connect(self, wait_s: float) -> str:
        """Connect; return why that failed, or ""."""
        client = self._client
        client.on_connect = self._on_connected
        client.on_connect_fail = lambda *_: self._answers.put(client.failure)
        client.on_disconnect = self._on_disconnected
        connect(client, self._settings)
        try:
            text = self._answers.get(timeout=wait_s)
        except queue.Empty:
            text = f"no answer in {wait_s:.0f} s"
        return f"{self._settings.name()}: {text}" if text else ""

    def _on_connected(
        self,
        client: mqtt.Client,
        _: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: object,
    ) -> None:
        if reason.is_failure:
            if not self._client.refuses_version(reason):
                self._answers.put(f"the broker rejects the relay: {reason}")
        elif self._client.keep_version(properties):
            self._found_session |= flags.session_present
            self._answers.put("")

    def _on_disconnected(self, *_: object) -> None:
        if not self._client.try_other_version():
            self._answers.put(self._client.end_text())

    def end(self) -> None:
        """Disconnect, with the session as it was."""
        client = self._client
        client.on_disconnect = None
        was_connected, has_expiry = client.is_connected(), client.has_expiry()
        if self._found_session:
            client.end()
            return
        client.end_session(0)
        if was_connected and client.keeps_session and not has_expiry:
            check_broker(self._settings, client.ident)  # a clean session ends the one of the trial


def try_broker(settings: BrokerSettings, ident: str, is_long: bool, wait_s: float) -> str:
    """Connect once as a relay does, then disconnect; return why that failed, or "".

    `is_long`: see `make_session_client`. Raises DeployError if a file for TLS cannot be read.
    """
    client = make_session_client(settings, ident, 1, is_long)
    trial = Trial(client, settings)
    text = trial.connect(wait_s)
    trial.end()
    return text
