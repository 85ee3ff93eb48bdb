# SPDX-License-Identifier: Apache-2.0
"""Connection that the outputs publish on: a session of its own, with the will of an output.

A broker with MQTT 3.1.1 acknowledges a message too that it drops: it has no right, it is too large.
With MQTT 5 the acknowledgement has a reason. So this connection uses MQTT 5 if the broker has it.
A message with QoS 0 has no acknowledgement in both.
"""

import threading
from typing import NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.relay.mqtt.broker_client import BrokerSettings, connect
from deploy.relay.mqtt.later_call import LaterCall
from deploy.relay.mqtt.session_client import (
    NO_SUBSCRIBER,
    Publication,
    make_output_client,
)
from deploy.relay.mqtt.trial import Trial
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.outputs.registry import Outputs
from deploy.relay.terminal_text import report

_FLUSH_STEP_S = 0.2
_HEAD_BYTES = 20
"""Of a packet besides topic and payload, at most."""
_TOO_LARGE = 0x95
_OF_THE_MESSAGE = (0x90, _TOO_LARGE, 0x99)
"""Reasons of a message itself: its topic, its length, its content. Others are of the broker."""
_TEXTS = {
    NO_SUBSCRIBER: "no subscriber",
    0x87: "not authorized",
    0x90: "topic name invalid",
    _TOO_LARGE: "packet too large",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
}


class _Sent(NamedTuple):
    """A message; `info` is None: it was not sent, because it is too large."""

    info: mqtt.MQTTMessageInfo | None
    topic: str

    def is_done(self) -> bool:
        return self.info is None or self.info.is_published()


class OutputConnection:
    """A connection whose session the broker does not keep; it has the will of an output."""

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self._settings = settings
        self._client = make_output_client(settings, f"coldloop-node-{name}")
        self._threads = threading.local()
        self._closing = threading.Event()
        self._reported: set[str] = set()
        self._trial: Trial | None = None
        self._topics: list[str] = []
        self._subscription = LaterCall(self._subscribe)

    def start(self, outputs: Outputs) -> None:
        """Connect with the will, subscribe to the topics of the outputs."""
        client = self._client

        def set_will() -> None:
            will = outputs.will()
            if will is not None:
                client.will_set(*will)

        topics = self._topics

        def on_subscribed(
            _: object, __: object, ___: int, reasons: list[ReasonCode], *____: object
        ) -> None:
            refused = [pair for pair in zip(topics, reasons, strict=False) if pair[1].is_failure]
            for topic, reason in refused:
                if topic not in self._reported:
                    self._reported.add(topic)
                    report(f"the broker rejects the subscription of {topic}: {reason}")
            (self._subscription.start if refused else self._subscription.reset)()

        def on_connected(
            _: mqtt.Client, __: object, ___: object, reason: ReasonCode, properties: object
        ) -> None:
            is_refused = client.refuses_version(reason) or reason.is_failure
            if is_refused or not client.keep_version(properties):
                return  # the connection of the units reports it
            topics[:] = outputs.topics()
            self._subscription.reset()
            self._subscribe()
            outputs.on_connected()

        def on_disconnected(*_: object) -> None:
            client.try_other_version()

        def on_publication(publication: Publication) -> None:
            try:
                outputs.on_message(publication.topic.decode(), publication.payload)
            except Exception as error:  # noqa: BLE001 - it would end the thread of the client
                report(f"a message of another program: {error!r}")
            client.ack(publication.ident, publication.qos)

        client.on_connect = on_connected
        client.on_disconnect = on_disconnected
        client.on_subscribe = on_subscribed
        client.on_publication = on_publication
        client.on_pre_connect = lambda *_: outputs.on_connecting()
        client.before_connect = set_will
        connect(client, self._settings)

    def _subscribe(self) -> None:
        if self._topics:
            self._client.subscribe([(topic, 1) for topic in self._topics])

    def begin_trial(self, wait_s: float, session: Properties | None) -> str:
        """Connect without a will; return why that failed, or "". For `coldloop relay --check`.

        `session`: how long the broker keeps a session of the units that has the same identifier.
        """
        self._client.session = session
        self._trial = Trial(self._client, self._settings)
        return self._trial.connect(wait_s)

    def is_connected(self) -> bool:
        """Return whether the broker has accepted the connection."""
        return self._client.is_connected()

    def most_bytes(self) -> int:
        """Return the largest packet that the broker says it takes."""
        return self._client.most_packet_bytes

    def leave(self) -> None:
        """End the connection, with the will if MQTT 5 is used; then connect again."""
        self._client.leave()

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        """Publish a message; wait up to `wait_s` seconds until the broker has it."""
        size = len(topic.encode()) + len(payload) + _HEAD_BYTES
        if size > self._client.most_packet_bytes:
            if qos and not wait_s:
                self._sent().append(_Sent(None, topic))
            return
        result = self._client.publish(topic, payload, qos, retain)
        if qos and result.rc == MQTTErrorCode.MQTT_ERR_NO_CONN:
            result.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # it waits for the next connection
        if wait_s:
            result.wait_for_publish(wait_s)
            self._client.refusals.pop(result.mid, None)
        elif qos:
            self._sent().append(_Sent(result, topic))

    def _sent(self) -> list[_Sent]:
        """Return the messages of this thread without an acknowledgement."""
        if not hasattr(self._threads, "sent"):
            self._threads.sent = []
        sent: list[_Sent] = self._threads.sent
        return sent

    def flush(self, needs_subscriber: bool = False) -> None:
        """Wait until the broker has acknowledged what this thread has published with QoS 1.

        `needs_subscriber`: with MQTT 5, a message without one is not delivered.
        Raises OutputError if the relay ends before that, or if the broker has no place or no right
        for a message; RefusedError if it can never take it.
        """
        sent = self._sent()
        refused: list[tuple[str, int]] = []
        while sent:
            if self._closing.is_set():
                raise OutputError("the relay ends")
            if sent[0].info is not None:
                sent[0].info.wait_for_publish(_FLUSH_STEP_S)
            while sent and sent[0].is_done():
                info, topic = sent.pop(0)
                reason = _TOO_LARGE if info is None else self._client.refusals.pop(info.mid, 0)
                if reason and (reason != NO_SUBSCRIBER or needs_subscriber):
                    refused.append((topic, reason))
        for topic, reason in sorted(refused, key=lambda one: one[1] in _OF_THE_MESSAGE):
            text = f"the broker refuses messages of {topic}: {refusal_text(reason)}"
            raise RefusedError(text) if reason in _OF_THE_MESSAGE else OutputError(text)

    def begin_close(self) -> None:
        """End the waits of `flush`."""
        self._closing.set()

    def close(self) -> None:
        """Disconnect."""
        self._subscription.reset()
        if self._trial is None:
            self._client.end()
        else:
            self._trial.end()


def refusal_text(reason: int) -> str:
    """Return a reason of MQTT 5 as a text."""
    return _TEXTS.get(reason, f"reason 0x{reason:02x}")
