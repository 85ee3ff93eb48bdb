# SPDX-License-Identifier: Apache-2.0
"""Relay: the process between the broker of the units and the outputs.

    broker of the units ──$share/GROUP/coldloop/v1/+/+/tele──▶ pipeline ──▶ outputs
                        ◀──coldloop/v1/SITE/UNIT/ack─── receipts, after the required outputs
    message gateway ──POST /sbd──▶ pipeline (envelope)     ◀── MT messages: acknowledgements

Does not decode messages, write formats or decide about receipts; see `pipeline`.

The relay has two connections to the broker. The connection for the units has a persistent session:
the relay acknowledges a message to the broker only after it is stored. The connection for the
outputs has a clean session and a will. The broker gives each message of the shared subscription to
one relay of the group, so relays share the load. The relay stores messages in batches: one
transaction and one fsync for up to 200 messages.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from deploy.errors import DeployError
from deploy.relay.commands.session_note import ROOT, SessionNote, session_name, subscriptions
from deploy.relay.intake.downlink import Downlink
from deploy.relay.intake.fair_queue import FairQueue
from deploy.relay.intake.http_server import RelayHttpServer
from deploy.relay.intake.ingest import UNKNOWN_MODEM
from deploy.relay.intake.known_units import KnownUnits
from deploy.relay.limits import is_unit_name
from deploy.relay.mqtt.broker_client import connect
from deploy.relay.mqtt.later_call import LaterCall
from deploy.relay.mqtt.output_connection import OutputConnection, refusal_text
from deploy.relay.mqtt.session_client import (
    LONG_S,
    RESTART_S,
    Publication,
    make_session_client,
)
from deploy.relay.options import RelayOptions
from deploy.relay.outputs.base import OutputContext
from deploy.relay.outputs.registry import Outputs, default_required
from deploy.relay.pipeline import Pipeline, PipelineSettings
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.name_lock import AbandonedRecords, NameLock, start_error
from deploy.relay.terminal_text import report

_TAKEN_OVER = 0x8E
"""Reason of a broker with MQTT 5: another client has this identifier."""
_MOST_STATE_BYTES = 1 << 16
"""Of a state or a report of a unit; a larger one is ignored."""
_POLL_S = 0.05
_BACKLOG = 5000
_MOST_LINES = 1000
"""About modems without a unit."""
_LEAVE_S = 3.0
_GATEWAY_WAIT_S = 2.5
"""A message gateway waits three seconds for the answer."""


@dataclass(slots=True)
class _Completion:
    """A message that a gateway waits for: `done` is set when it is decided."""

    done: threading.Event = field(default_factory=threading.Event)
    is_stored: bool = False


class Relay:
    """One relay; `run` until `stop`. Raises DeployError without a store.

    A broker, a receiver or a local address that is away at the start is tried again.
    """

    def __init__(self, options: RelayOptions) -> None:
        self.options = options
        self._inbox: FairQueue[object] = FairQueue(_BACKLOG)
        self._stopping = threading.Event()
        self._units_client = make_session_client(
            options.broker, session_name(options), _BACKLOG, is_long=not options.sends_receipts
        )
        self._output_connection = OutputConnection(
            options.output_broker or options.broker, options.name
        )
        self._lock = NameLock(options.store, options.name)
        try:
            self._database = RelayDatabase(options.store, options.name)
        except sqlite3.Error as error:
            self._lock.release()
            raise start_error(options.store, error) from None
        names = set(options.outputs)
        required = default_required(names) if options.required is None else options.required
        self._required = required
        self.pipeline = Pipeline(
            self._database,
            PipelineSettings(
                options.keys,
                self._required,
                options.limits,
                options.optional_backlog,
                options.undated_wait_s,
                options.modems,
                options.sends_receipts,
            ),
        )
        outputs: Outputs | None = None
        self._session = SessionNote(options, self._database)
        try:
            self._session.check_group()
            self._outputs = outputs = Outputs(options.outputs, self._make_output_context)
            for name, output in outputs.by_name.items():
                self.pipeline.add_output(name, output)
            self.pipeline.open()
        except (DeployError, OSError, sqlite3.Error) as error:
            if outputs is not None:
                outputs.close()
            self._database.close()
            self._lock.release()
            raise start_error(options.store, error) from None
        self._known_units = KnownUnits(self._database)
        self._retry_batch: list[tuple[str, bytes, object]] = []
        self.http_server: RelayHttpServer | None = None
        self.downlink: Downlink | None = None
        self.ready = threading.Event()
        """The broker has granted the subscription of the units' topics once."""
        self._is_connected = threading.Event()
        self._subscription = LaterCall(self._subscribe)
        self._is_rejected = False
        self._last_error = ""
        self._refused_receipts = 0
        self.abandoned = AbandonedRecords(options.store, self._database)
        self._unknown_modems: set[str] = set()
        self.problem = ""
        """Why there is no connection or no subscription; "": there is one, or none was tried."""

    def _make_output_context(self, name: str, argument: str) -> OutputContext:
        options = self.options
        return OutputContext(
            argument,
            options.name,
            options.primary,
            self._output_connection,
            self._database.next_bd_seq,
            _now_ms,
            self._counts,
            self._database,
            options.shelved,
            options.tokens.get(name),
            options.tls.get(name),
            is_required=name in self._required,
        )

    # Connections.

    def start(self) -> None:
        """Connect, subscribe, serve."""
        if not self.options.sends_receipts:
            text = "sends no receipts; another group must send them"
            report(f"relay {self.options.name}: group {self.options.group}: {text}")
        elif "alarms" in self.options.outputs and self._session.has_others():
            text = "--alarms has a part of the alarms only; other relays share the messages"
            report(f"relay {self.options.name}: {text}")
        units = self._units_client
        units.on_connect = self._on_units_connected
        units.on_publication = self._on_publication
        units.on_subscribe = self._on_subscribed
        units.on_disconnect = self._on_units_disconnected
        units.on_publish = self._on_receipt_published
        units.on_connect_fail = lambda *_: self._on_no_connection()
        units.on_foreign_session = self._on_foreign_session
        units.own_ident = self._session.subscription_ident()
        if self._outputs.uses_broker():
            self._output_connection.start(self._outputs)
        units.starts_clean = not self._session.can_resume()
        connect(units, self.options.broker)
        options = self.options
        if options.gateway is not None:
            self.downlink = Downlink(
                *(options.gateway, options.modems, options.keys),
                *(options.gather_s, options.gateway_login),
            )
        if options.http is not None:
            self.http_server = RelayHttpServer(
                options.http, self._outputs.pages(), self._on_gateway_message
            )
        self.pipeline.start()

    def _on_units_connected(
        self, _: mqtt.Client, __: object, ___: object, reason: ReasonCode, properties: object
    ) -> None:
        if reason.is_failure:
            if self._units_client.refuses_version(reason):
                return  # the end of the connection follows
            self._is_rejected = True
            self._report(f"{self.options.broker.name()}: the broker rejects the relay: {reason}")
            return
        self._is_rejected = False
        if not self._units_client.keep_version(properties):
            return
        self._session.keep()
        self._subscription.reset()
        self._subscribe()
        self._units_client.subscribe_all(subscriptions(self.options)[-1:])  # can be refused

    def _subscribe(self) -> None:
        self._units_client.subscribe_all(subscriptions(self.options)[:-1])

    def _on_foreign_session(self) -> None:
        self._session.remove()
        text = "another relay has used its session, by --name or certificate; starts a new one"
        self._report(f"{self.options.broker.name()}: {text}")

    def _on_no_connection(self) -> None:
        """Report the first failure of a row of them; the client tries again after 1 s to 30 s."""
        self._is_connected.clear()
        self._report(f"{self.options.broker.name()}: {self._units_client.failure}; tries again")

    def _on_units_disconnected(
        self, _: object, __: object, ___: object, reason: ReasonCode, *____: object
    ) -> None:
        self._is_connected.clear()
        is_tried_again = self._units_client.try_other_version()
        if self._stopping.is_set() or self._is_rejected or is_tried_again:
            return
        hint = "" if self.options.broker.certificate else "; it may need --cert and --key"
        if reason.value == _TAKEN_OVER:
            hint = f": another relay has --name {self.options.name}"
            if self._shares_certificate():
                hint += ", or the outputs need --output-cert"
        self._report(f"{self.options.broker.name()}: {self._units_client.end_text(reason)}{hint}")

    def _shares_certificate(self) -> bool:
        """Return whether both connections have one name at a broker that takes the certificate's.

        The shipped broker does that: then each connection would end the other one.
        """
        options = self.options
        is_shared = options.output_broker is None and options.broker.certificate is not None
        return is_shared and self._outputs.uses_broker()

    def _on_subscribed(
        self, _: object, __: object, ___: int, reasons: list[ReasonCode], *____: object
    ) -> None:
        if len(reasons) != 2:
            return  # the reports
        if any(reason.is_failure for reason in reasons):
            self._report("the broker rejects the subscription of the units' topics")
            self._subscription.start()
            return
        self._subscription.reset()
        self._is_connected.set()
        if self.problem:
            again = " again" if self.ready.is_set() else ""
            report(f"relay {self.options.name}: connected{again}")
        self.problem = ""
        self.ready.set()

    def _on_receipt_published(self, _: object, __: object, ident: int, *___: object) -> None:
        """Report the first receipt of a row that the broker refuses: its unit sends all again."""
        reason = self._units_client.refusals.pop(ident, 0)
        is_new = reason and not self._refused_receipts
        self._refused_receipts = self._refused_receipts + 1 if reason else 0
        if is_new:
            text = f"the broker refuses receipts ({ROOT}/SITE/UNIT/ack): {refusal_text(reason)}"
            report(f"relay {self.options.name}: {text}")

    def _report(self, text: str) -> None:
        if text != self.problem:
            self.problem = text
            report(f"relay {self.options.name}: {text}")

    def _on_publication(self, publication: Publication) -> None:
        """Take a message of the broker; an error in it must not end the thread of the client."""
        try:
            is_queued = self._take(publication)
        except Exception as error:  # noqa: BLE001 - one bad unit must not stop the others
            is_queued = False
            self._report_error("bad_messages", publication.topic[:200], error)
        if not is_queued:
            self._units_client.ack(publication.ident, publication.qos)

    def _report_error(self, count: str, topic: bytes | str, error: Exception) -> None:
        """Count an error of one message; report it if it is not the same as the last one."""
        self.pipeline.ingest.counts[count] += 1
        if repr(error) != self._last_error:
            self._last_error = repr(error)
            report(f"relay {self.options.name}: {topic!r}: {error!r}")

    def _take(self, publication: Publication) -> bool:
        """Queue a message of a unit; the broker gets the acknowledgement after the commit.

        False: it is done, or discarded, so the acknowledgement is due.
        """
        payload, ingest = publication.payload, self.pipeline.ingest
        levels = publication.topic.decode("utf-8", "replace").split("/")
        unit = "/".join(levels[2:4])
        if not is_unit_name(unit):
            ingest.counts["bad_names"] += 1
        elif levels[-1] == "tele":
            return not ingest.discards(unit) and self._queue(unit, publication)
        elif len(payload) > _MOST_STATE_BYTES:
            ingest.counts["bad_messages"] += 1
        elif levels[-1] == "state":
            self._outputs.on_unit_state(unit, payload)
            if b'"online":false' in payload.replace(b" ", b""):
                self._outputs.on_unit_offline(unit)
        else:
            self._outputs.on_unit_report(unit, payload)
        return False

    def _queue(self, unit: str, publication: Publication) -> bool:
        if publication.payload[:1] == b"{":
            return False  # a row from a unit without a log
        completion = (publication.ident, publication.qos)
        is_new = self._known_units.is_new(unit)
        if self._inbox.put(unit, publication.payload, completion, is_new=is_new):
            return True
        self.pipeline.ingest.count_throttled(unit)
        return False

    def _on_gateway_message(self, imei: str, message: bytes) -> bool:
        """Queue a message of a gateway; return whether it is stored."""
        if not message:
            self.pipeline.ingest.counts["mailbox_checks"] += 1
            return True
        unit = self.options.modems.get(imei)
        if unit is None:
            if imei not in self._unknown_modems and len(self._unknown_modems) < _MOST_LINES:
                self._unknown_modems.add(imei)
                text = f"no --modem for IMEI {imei}: its messages go to the quarantine"
                report(f"relay {self.options.name}: {text}")
            unit, message = UNKNOWN_MODEM, imei.encode() + b"\0" + message
        completion = _Completion()
        if not self._inbox.put(unit, message, completion, _GATEWAY_WAIT_S):
            return False
        completion.done.wait(_GATEWAY_WAIT_S)
        return completion.is_stored

    def _counts(self) -> dict[str, int]:
        counts = self.pipeline.counts()
        counts["broker_connected_now"] = int(self._is_connected.is_set())
        counts["refused_receipts_now"] = self._refused_receipts
        counts["abandoned_now"] = self.abandoned.count()
        if self.downlink is not None:
            counts.update(sent_down=self.downlink.posted, lost_down=self.downlink.failed)
        return counts

    # The loop.

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Process messages until `stop`. `on_ready` is called when `ready` is set."""
        while not self._stopping.is_set():
            if on_ready is not None and self.ready.is_set():
                on_ready()
                on_ready = None
            self.process()

    def stop(self) -> None:
        """End `run`; any thread can call this."""
        self._stopping.set()

    def process(self) -> None:
        """Store a batch, if there is one; prepare records, send receipts."""
        self.abandoned.look()
        batch = [] if self.pipeline.is_behind() else self._next_batch()
        if batch:
            self._receive(batch)
        elif self.pipeline.is_behind():
            self._stopping.wait(_POLL_S)
        while self.pipeline.process():
            self._send_receipts()
        self._send_receipts()

    def _next_batch(self) -> list[tuple[str, bytes, object]]:
        if self._retry_batch:
            retry_batch, self._retry_batch = self._retry_batch, []
            return retry_batch
        return self._inbox.take(_POLL_S, not self.pipeline.undelivered())

    def _receive(self, batch: list[tuple[str, bytes, object]]) -> None:
        try:
            received = self.pipeline.receive([(unit, message) for unit, message, _ in batch])
        except sqlite3.Error as error:
            # Nothing is stored, so nothing is acknowledged; the next pass repeats the batch.
            self._retry_batch = batch
            self.pipeline.ingest.counts["store_errors"] += 1
            report(f"{self.options.store}: {error}")
            self._stopping.wait(1)
            return
        for place, (_, _, completion) in enumerate(batch):
            if isinstance(completion, _Completion):
                completion.is_stored = place not in received.throttled
                completion.done.set()
            elif isinstance(completion, tuple):
                self._units_client.ack(*completion)

    def _send_receipts(self) -> None:
        due = self.pipeline.take_receipts()
        for unit, receipt in due.receipts:
            topic = f"{ROOT}/{unit}/ack"
            try:
                self._units_client.publish(topic, receipt, 1)
            except Exception as error:  # noqa: BLE001 - one bad unit must not stop the others
                self._report_error("failed_receipts", topic, error)
        if self.downlink is not None:
            for unit, number in due.acks:
                self.downlink.acknowledge(unit, number)
            for unit, receipt in due.downlink_receipts:
                self.downlink.send_receipt(unit, receipt)

    def _leave(self) -> bool:
        """Leave the messages to the other relays of the file, if there are any; True: left.

        What this one has is delivered first: its records would wait for its next start.
        """
        if not self.options.sends_receipts or not self._session.has_others():
            return False
        self._units_client.unsubscribe(subscriptions(self.options))
        end = time.monotonic() + _LEAVE_S
        while time.monotonic() < end:
            self.process()
            if self._inbox.is_empty() and not self.pipeline.receipts.waiting_count():
                break
            time.sleep(_POLL_S)
        self._session.remove()
        return True

    def _kept_s(self) -> int:
        """Leave the other relays; return how long the broker keeps the session, in s."""
        if self._leave():
            return 0
        return RESTART_S if self.options.sends_receipts else LONG_S

    def close(self) -> None:
        """Close the outputs, the connections and the database."""
        kept_s = self._kept_s()
        if self.http_server is not None:
            self.http_server.close()
        if self.downlink is not None:
            self.downlink.close()
        self.pipeline.begin_stop()
        self._output_connection.begin_close()
        self.pipeline.stop()
        self._outputs.close()
        self._inbox.close()
        self._subscription.reset()
        self._units_client.end_session(kept_s)
        self._output_connection.close()
        self._database.close()
        self._lock.release()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
