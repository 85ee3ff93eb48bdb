# SPDX-License-Identifier: Apache-2.0
"""Component `modem`: telemetry and alarms as datagrams over a satellite modem.

    queue or log ─▶ messages (numbers, parts) ─▶ spend guard ─▶ modem ─▶ gateway
                       ▲ acknowledgements          ▲ written ahead  │ signal, service
                       └──────── ground relay ◀────── windows ◀─────┘

Does not control the modem itself; see `drivers.modems`. Does not block control.

This component decides when to send. An alarm is sent immediately, with the vendor's back-off. Other
messages are sent in a contact window, predicted or observed, with `min_signal` and within the
budgets. A session without a message is opened only if the gateway has announced messages. Between
windows the radio is off.

`_decide` makes one decision. It runs once a second and after each event of the modem.
"""

from binascii import unhexlify

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.satcom import link_state
from agent.satcom.budget import Budget, Price
from agent.satcom.downlink import DownlinkReceiver
from agent.satcom.ram_queue import AlarmWatch, RamQueue, encode_row
from agent.satcom.session_timer import BackoffFilter, SessionTimer
from agent.satcom.spend_guard import SpendGuard
from agent.satcom.status import build_report
from agent.satcom.transfer import MessageTransfer
from agent.satcom.window_statistics import WindowStatistics
from drivers.modems import make_driver
from drivers.modems.regions.permit import make_permit
from protocols.datagram import ACK, ALARM, BULK, EVENT, LIVE, MESSAGE
from protocols.modem import sbd
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.core.component.base import Actions
    from agent.satcom.datagram_source import RecordSender
    from agent.satcom.pass_predictor import ContactPredictor
    from agent.satcom.transfer import OutgoingMessage


MODEM = AlarmRecord("modem", NORMAL, "the satellite modem does not answer", "", True)
RADIO_RULE = AlarmRecord("radio_rule", NORMAL, "no transmission by satellite:", "", True)

_OTHER_CLASSES = (LIVE, EVENT, BULK)
_CHECK_INTERVAL_US = SECOND
_RADIO_LEAD_US = 30 * SECOND
"""Time for which the radio is on before a window."""
_LINGER_US = 5 * SECOND
"""Time for which the radio stays on after its last action."""
_EVALUATIONS = 8
_TIME_UNCERTAINTY = 1_500_000
"""Uncertainty of the network time, µs: ticks of 90 ms and the delay of the modem."""


class SatcomComponent(Component):
    """The component; see the module. `settings` is the section `modem` of the configuration."""

    PORTS = ("serial", "uart", "tcp")
    REQUIRES = ("satcom_store", "coexistence", "sender", "message")
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        config = agent.config
        self.kind: str = settings["kind"]
        self.modem = make_driver(self.kind, port, settings)
        self.permit = make_permit(settings, config.position_e7, config.receiver is not None)
        self.queue = RamQueue()
        self.budget = Budget(
            settings["day_bytes"], settings["window_bytes"], settings["alarm_reserve_pct"]
        )
        self.price = Price(
            settings["bill_least"], settings["bill_step"], settings["overhead_bytes"]
        )
        self.spend_guard = SpendGuard(self.budget, None)
        key = unhexlify(settings.get("key", ""))
        unit = config.site + "/" + config.unit
        self.messages = MessageTransfer(self.queue, self.modem.max_bytes, key, unit)
        self.downlink = DownlinkReceiver(self.messages)
        self._timer = SessionTimer(sum([byte * (i + 1) for i, byte in enumerate(unit.encode())]))
        self.window_stats = WindowStatistics()
        self.predictor: ContactPredictor | None = None
        self.bars: int | None = None
        self.service: bool | None = None
        self.waiting_count = 0
        self.tried = self.sent = self.failed = self.fetched = 0
        self.alarm_latency_us: int | None = None
        self.max_alarm_latency_us = 0
        self.failure_reason = ""
        self._alarm_watch = AlarmWatch()
        self._message: OutgoingMessage | None = None
        self._reserved_bytes = self._radio_since = self._check_due = 0
        self._state = link_state.IDLE
        self._row_due = 0
        self._log_sender: RecordSender | None = None
        self._row_requested = False
        self._ring_filter, self._fetch_filter = BackoffFilter(), BackoffFilter()
        self._offsets_restored = False
        self._out: Actions = []
        self._handlers = self._event_handlers()

    def _event_handlers(self) -> "dict[str, Callable[..., None]]":
        return {
            "ready": self._on_ready,
            "signal": self._on_signal,
            "service": self._on_service,
            "sent": self._on_sent,
            "send_failed": self._on_send_failed,
            "fetched": self._on_fetched,
            "downlink": self._on_downlink,
            "received": self._on_received,
            "waiting": self._on_waiting,
            "ring_alert": self._on_ring,
            "time": self._on_time,
            "radio": self.permit.set_radio,
        }

    def start(self, now: int) -> None:
        """Get the services of other components; set up the pass prediction."""
        self.permit.start(now)
        self._check_permit(now)  # before the modem is set up
        service = self.agent.service
        self.spend_guard.set_store(service("satcom_store"))
        self.downlink.connect(service("satcom_store"), service("message"))
        self._timer.connect(service("coexistence"))
        sender = service("sender")
        if sender is not None and self.kind != "ip":
            self._use_log(sender)
        self._row_due = now + SECOND * min(60, self.settings["live_s"])
        place = self.agent.config.position_e7
        if place is not None and ("constellation" in self.settings or "elements" in self.settings):
            from agent.satcom.pass_predictor import make_predictor  # noqa: PLC0415 - only with elements

            self.predictor = make_predictor(self.settings, place)

    def _use_log(self, sender: "RecordSender") -> None:
        """Send the records of the log too. Rows of the queue are then not needed."""
        from agent.satcom.datagram_source import DatagramSource  # noqa: PLC0415 - only with a log

        self._log_sender = sender
        timeout_us = self.settings["ack_s"] * SECOND
        authenticated = "key" in self.settings
        self.messages.set_source(
            DatagramSource(self.agent, sender, self.queue, timeout_us, authenticated)
        )

    # Inputs.

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the modem's port."""
        self.modem.event(kind, now)
        self._handle_events(now)

    def receive(self, data: bytes, now: int) -> None:
        """Handle bytes of the modem."""
        self.modem.receive(data, now)
        self._handle_events(now)

    def wake(self, now: int) -> None:
        """Handle a deadline of the modem."""
        self.modem.wake(now)
        self._handle_events(now)

    def deadline(self) -> int:
        """Return the time of the next `wake`."""
        return self.modem.deadline()

    def outbox(self) -> "Actions":
        """Return the requests for the modem."""
        out, self._out = self._out, []
        return out + self.modem.outbox()

    def tick(self, now: int) -> None:
        """Check once a second what must be sent; search for windows in slices."""
        utc = self.agent.clock.utc(now)
        if self.predictor is not None and utc is not None:
            self.predictor.step(utc, _EVALUATIONS)
        if now >= self._check_due:
            self._check_due = now + _CHECK_INTERVAL_US - self.agent.ticks.period // 2
            self._check(now, utc)

    def _check(self, now: int, utc: "int | None") -> None:
        self.downlink.step(now)
        self._check_permit(now)
        if not self.spend_guard.restore(utc):
            return
        if not self._offsets_restored and self.predictor is not None:
            self._offsets_restored = True
            self.spend_guard.use_offsets(self.predictor.use_offsets(self.spend_guard.offsets))
        self.messages.start_numbers(self.spend_guard.first_number or 0)
        if self.budget.roll_day(utc, now):
            self.spend_guard.reserve(0, self.messages.next_number)
        if self.messages.next_number + 8 >= self.spend_guard.number_limit:
            self.spend_guard.reserve(0, self.messages.next_number)
        self.modem.set_utc(utc or 0)
        records = self._alarm_watch.changes(self.agent, now, utc, self.budget.is_alarm_short())
        if records and self.kind != "ip":
            self.queue.put(ALARM, records, now)
            self._timer.advance(0)  # a new alarm does not wait for the back-off of earlier messages
        rows = self.kind != "ip" and self._log_sender is None
        every = self.settings["live_s"] * SECOND if rows else 0
        if now >= self._row_due and (every or self._row_requested):
            self._row_due = now + every
            self._row_requested = False
            self.queue.put(LIVE, encode_row(self.agent, now, utc), now)
        may_repeat = self.budget.available(False) > 0  # a repetition has no reserve
        self.messages.repeat_overdue(now, self.settings["ack_s"] * SECOND, may_repeat)
        self._decide(now)

    # Decisions.

    def _check_permit(self, now: int) -> None:
        """Compare the position with the region; stop and report if the rule allows nothing."""
        self.spend_guard.keep_place(self.permit)
        reason = self.permit.check(self.agent.clock.position_check, now)
        self.agent.alarms.update(RADIO_RULE, "", reason != "", now, RADIO_RULE.text + " " + reason)
        radio_on = link_state.radio_is_on(self._state)
        allowed = self.permit.allows(now)
        if allowed != radio_on and (radio_on or self.kind == "ip"):  # others: see _control_radio
            self._switch_radio(allowed, now)

    def alarm_pending(self) -> bool:
        """Return whether an alarm waits."""
        return self.messages.is_in_progress(ALARM) or self.queue.oldest_queued_at(ALARM) is not None

    def window_predicted(self, now: int, lead_us: int = 0) -> "bool | None":
        """Return whether a window is predicted. None: no prediction is possible."""
        utc = self.agent.clock.utc(now)
        if self.predictor is None or utc is None:
            return None
        return self.predictor.is_open(utc, lead_us)

    def link_usable(self) -> bool:
        """Return whether the modem reports a network with sufficient signal."""
        return self.service is True and (self.bars or 0) >= self.settings["min_signal"]

    def _decide(self, now: int) -> None:
        predicted = self.window_predicted(now)
        link_usable = self.link_usable()
        if self.window_stats.update(link_usable or predicted is True, predicted is True, now):
            self.budget.new_window()
            self._timer.advance(now + _CHECK_INTERVAL_US)
        self._correct_mask(now, predicted)
        is_idle = self.modem.ready and not self.modem.busy
        if self.kind == "ip" or not self.permit.allows(now) or not is_idle:
            return
        if link_state.in_session(self._state):  # a modem that is not busy has none
            self._step(link_state.END)
        alarm = self.alarm_pending()
        if not self._control_radio(now, alarm) or self.spend_guard.first_number is None:
            return
        if alarm and self._timer.is_due(now, alarm) and self._try_alarm(now):
            return
        if link_usable and self._timer.is_due(now):
            self._try(_OTHER_CLASSES, now)

    def _control_radio(self, now: int, alarm: bool) -> bool:
        """Switch the radio as needed. Return True while it is on."""
        power = self.settings["power"]
        soon = power != "alarms" and self.window_predicted(now, _RADIO_LEAD_US) is not False
        radio_needed = power == "always" or alarm or soon
        if not radio_needed and now - self._timer.tried_at < _LINGER_US:
            radio_needed = True
        if radio_needed != link_state.radio_is_on(self._state):
            self._switch_radio(radio_needed, now)
        return self._state == link_state.IDLE

    def _switch_radio(self, on: bool, now: int) -> None:
        self._step(link_state.RADIO_ON if on else link_state.RADIO_OFF)
        self._radio_since = now
        self.service = self.bars = None
        self.modem.set_radio(on, now)

    def _try_alarm(self, now: int) -> bool:
        """Try to send an alarm, if it does not wait for a better signal."""
        since = self.messages.oldest_waiting_at(ALARM) or now
        if self._timer.alarm_waits(now, self.service, self.bars, self._radio_since, since):
            return False
        return self._try((ALARM,), now)

    def _try(self, classes: "tuple[int, ...]", now: int) -> bool:
        """Send the next part of the first class with messages, or fetch waiting messages."""
        alarm = classes[0] == ALARM
        downlink_cost = self.price.billed_bytes(sbd.MAX_MT_BYTES) if self.kind == "sbd" else 0
        max_bytes = self.budget.max_content(alarm, downlink_cost, self.modem.max_bytes)
        message = self.messages.next_message(classes, self.spend_guard.number_limit, max_bytes)
        if message is None:
            return self._fetch(now, downlink_cost)
        part = message.parts[message.part_index]
        cost = self.price.billed_bytes(len(part)) + downlink_cost
        is_new = alarm and not message.repeats
        if not self.spend_guard.may_spend(cost, is_new) or not self._timer.is_slot_free(alarm, now):
            return False
        if not self.modem.send(part, message.number, now):
            return False
        self.budget.spend(cost)
        self._message, self._reserved_bytes = message, cost
        self._begin_session(link_state.SEND, now)
        message.tries += 1
        return True

    def _fetch(self, now: int, downlink_cost: int) -> bool:
        if (
            not self.waiting_count
            or self.kind != "sbd"
            or not self.spend_guard.may_spend(downlink_cost, False)
        ):
            return False
        may_begin = self._timer.is_slot_free(False, now) and self._fetch_filter.admit(now)
        if not may_begin or not self.modem.fetch(now):
            return False
        self.budget.spend(downlink_cost)
        self._message, self._reserved_bytes = None, downlink_cost
        self._begin_session(link_state.FETCH, now)
        return True

    def _step(self, event: int) -> None:
        """Change the state of the link by an event."""
        self._state = link_state.next_state(self._state, event)

    def _begin_session(self, event: int, now: int) -> None:
        self._step(event)
        self._timer.begin(now)
        self.tried += 1

    def _correct_mask(self, now: int, predicted: "bool | None") -> None:
        """Correct the horizon mask by the observed service while the radio receives."""
        radio_on = link_state.radio_is_on(self._state)
        listening = radio_on and self.modem.ready and self.service is not None
        is_settled = now - self._radio_since >= 2 * _RADIO_LEAD_US
        if self.predictor is not None and listening and is_settled:
            utc = self.agent.clock.utc(now)
            self.predictor.follow_service(utc, predicted is True, self.service is True, now)

    # Events of the modem.

    def _handle_events(self, now: int) -> None:
        events = self.modem.take_events()
        for event in events:
            if event[0] != "transmitting":  # a session is announced before it begins
                self._handlers[event[0]](now, *event[1:])
        if events:
            self._decide(now)

    def _on_ready(self, now: int, ready: bool) -> None:
        self.service = self.bars = None
        self._radio_since = now
        self.agent.alarms.update(MODEM, "", not ready, now)

    def _on_signal(self, now: int, bars: int) -> None:
        if self.bars == 0 and bars > 0:
            self._timer.advance(now + SECOND)
        self.bars = bars
        if bars > 0 and self.service is None:
            self.service = True

    def _on_service(self, now: int, service: bool) -> None:
        if service and not self.service:
            self._timer.advance(now)
        self.service = service
        if self.kind == "ip" and self.agent.uplink is not None:
            from agent.satcom.ip_link import notify_uplink  # noqa: PLC0415 - only with kind "ip"

            self._out += notify_uplink(self.agent.uplink, service, self.modem.ready, now)

    def _settle_cost(self, size: int, succeeded: bool, billed: bool, now: int) -> None:
        self.window_stats.add_session(size, succeeded, now)
        cost = self.price.billed_bytes(size) if billed else 0
        self.budget.spend(cost - self._reserved_bytes)
        self._reserved_bytes = 0
        self.spend_guard.release_reserve(self.messages.next_number)

    def _on_sent(self, now: int, tag: int) -> None:
        self._step(link_state.END)
        message, self._message = self._message, None
        self.sent += 1
        if message is None:
            return
        self._settle_cost(len(message.parts[message.part_index]), True, True, now)
        self._timer.on_sent(now)
        complete = self.messages.on_part_sent(message, now) and not message.repeats
        if complete and message.kind == ALARM and message.queued_at is not None:
            self.alarm_latency_us = now - message.queued_at
            self.max_alarm_latency_us = max(self.max_alarm_latency_us, self.alarm_latency_us)

    def _on_send_failed(
        self, now: int, tag: int, reason_code: str, reason: str, billed: bool
    ) -> None:
        self._step(link_state.END)
        message, self._message = self._message, None
        self.failed += 1
        self.failure_reason = reason
        size = 0 if message is None else len(message.parts[message.part_index])
        self._settle_cost(size, False, billed and size > 0, now)
        self._timer.on_send_failed(now, reason_code, message is not None and message.kind == ALARM)
        if message is not None and reason_code == sbd.REJECTED:
            self.messages.on_part_rejected(message, now)

    def _on_fetched(self, now: int, succeeded: bool, reason: str, billed: bool) -> None:
        self._step(link_state.END)
        # without a message it costs the least; a message has its own cost (`_on_downlink`)
        self._settle_cost(0, succeeded, billed and self._fetch_filter.is_pausing(), now)
        self.fetched += succeeded
        if not succeeded:
            self._fetch_filter.restart()
            self.failed += 1
            self.failure_reason = reason
            self._timer.on_fetch_failed(now)

    def _on_ring(self, now: int) -> None:
        """Send a row; the same session fetches waiting messages.

        A ring alert can be false, and no session should be empty. Each alert without a message
        doubles the time for which further alerts are ignored.
        """
        waits = self.queue.oldest_queued_at(LIVE) is not None
        if self.kind != "ip" and not waits and self._ring_filter.admit(now):
            self._row_due = now
            self._row_requested = True

    def _on_downlink(self, now: int, size: int) -> None:
        self._ring_filter.reset()
        self._fetch_filter.restart()
        self.budget.spend(self.price.billed_bytes(size))

    def _on_received(self, now: int, content: bytes) -> None:
        if self.kind != "sbd":
            self.budget.spend_received(self.price.billed_bytes(len(content)))
        if self._log_sender is not None and content and content[0] not in (ACK, MESSAGE):
            self._log_sender.on_receipt(content, now)
            return
        message = self.messages.on_datagram(content)
        if message:
            self.downlink.add(message)

    def _on_waiting(self, now: int, count: int) -> None:
        self.waiting_count = count

    def _on_time(self, now: int, utc_us: int, mono_us: int) -> None:
        """Pass the network time to the clock as a cross-check."""
        self.agent.clock.cross_check(utc_us, _TIME_UNCERTAINTY, mono_us)

    def status(self, now: int) -> object:
        """Return the state of the satellite link."""
        return build_report(self, now)
