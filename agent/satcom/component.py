"""The part `modem`: telemetry and alarms as datagrams over a satellite modem.

    queue or log ─▶ messages (numbers, parts) ─▶ purse (may it be spent?) ─▶ modem ─▶ gateway
                       ▲ acknowledgements                  ▲ written ahead      │ signal, service
                       └──────────── ground ◀──────────────── windows ◀─────────┘

Not a loop's business, and not the modem's dialogue (drivers.modems). This room decides when to
send: an alarm at once, by the vendor's ladder; others in a window, predicted or heard, with
`min_signal`, within the budgets. It never opens a session with nothing to send, unless the gateway
has said that something waits. Between windows the radio sleeps.

One decision is made at a time: `_decide` runs once a second, and after whatever the modem says.
"""

from agent.core.component import Part
from agent.satcom.backoff import HOUR, WAIT, Ladder
from agent.satcom.budget import Budget, Price
from agent.satcom.downlink import Downward
from agent.satcom.persistence import Memory
from agent.satcom.ram_queue import AlarmWatch, MemQueue, row
from agent.satcom.spend_guard import Purse
from agent.satcom.status import report
from agent.satcom.transfer import Messages
from agent.satcom.window_statistics import Windows
from drivers.modems import make
from drivers.modems.regions import forbidden
from protocols.datagram import ACK, ALARM, BULK, EVENT, LIVE, MESSAGE
from protocols.modem.sbd import BLOCKED, LARGEST_MT, REJECTED
from protocols.modem.sbd import WAIT as WAITS
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.agent import Agent
    from agent.core.component import Actions
    from agent.gnss.tx_coexistence import Coexistence
    from agent.log.sender import Sender
    from agent.satcom.pass_predictor import Passes
    from agent.satcom.transfer import Message
    from agent.telemetry.uplink import Uplink

_OTHERS = (LIVE, EVENT, BULK)
_LOOK = SECOND
_LEAD = 30 * SECOND
"""The radio is on so long before a window."""
_ACQUIRE = 10 * SECOND
"""A radio that was just switched on may take so long to find the network, before an alarm is tried
without having heard of it."""
_FADING = 20 * SECOND
"""So long a try waits for a signal that is known to be away."""
_GOOD, _WEAK = 2, 8 * SECOND
"""After a failure: bars that are worth another session at once, and how long to wait for them."""
_LEARN = 10 * SECOND
_LINGER = 5 * SECOND
"""The radio stays on so long after the last thing it did."""
_RING = 60 * SECOND
_SLICE = 8
_SESSION = 15 * SECOND
"""How long a session may transmit, as the clock is told (agent.gnss.tx_coexistence)."""
_NETWORK_TIME = 1_500_000
"""Uncertainty of the network's time, microseconds: ticks of 90 ms, and the modem's own delay."""
_RESTS = {WAITS: WAIT, BLOCKED: HOUR, REJECTED: 600 * SECOND}


class Carrier(Part):
    """See the module. `settings` is the section `modem` of the configuration."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        config = agent.config
        self.kind: str = settings["kind"]
        self.modem = make(self.kind, port, settings)
        self.forbidden = forbidden(settings["region"], self.kind, settings.get("licence", ""))
        self.queue = MemQueue()
        self.budget = Budget(
            settings["day_bytes"], settings["window_bytes"], settings["alarm_reserve_pct"]
        )
        self.price = Price(
            settings["bill_least"], settings["bill_step"], settings["overhead_bytes"]
        )
        self.purse = Purse(self.budget, None)
        key = (
            bytes([int(settings["key"][i : i + 2], 16) for i in range(0, 64, 2)])
            if ("key" in settings)
            else b""
        )
        unit = config.site + "/" + config.unit
        self.messages = Messages(self.queue, self.modem.largest, key, unit)
        self.downward = Downward(agent, self.messages)
        self.ladder = Ladder(sum([byte * (i + 1) for i, byte in enumerate(unit.encode())]))
        self.windows = Windows()
        self.passes: Passes | None = None
        self.bars: int | None = None
        self.service: bool | None = None
        self.waiting = 0
        self.tried = self.sent = self.failed = self.fetched = 0
        self.alarm_us: int | None = None
        self.worst_alarm_us = 0
        self.why = ""
        self._watch = AlarmWatch()
        self._message: Message | None = None
        self._pledged = 0
        self._next_try = self._rest_until = 0
        self._tried_at = self._failed_at = 0
        self._radio_on = True
        self._radio_at = 0
        self._look_due = 0
        self._learn_due = 0
        self._live_due = 0
        self._log: Sender | None = None
        self._want_row = False
        self._ring_due = 0
        self._ring_pause = _RING
        self._learned = False
        self._shared: Coexistence | None = None
        self._out: Actions = []
        self._heard = self._listeners()

    def _listeners(self) -> "dict[str, Callable[..., None]]":
        return {
            "ready": self._on_ready,
            "signal": self._on_signal,
            "service": self._on_service,
            "onair": self._on_air,
            "sent": self._on_sent,
            "unsent": self._on_unsent,
            "fetched": self._on_fetched,
            "down": self._on_down,
            "received": self._on_received,
            "waiting": self._on_waiting,
            "ring": self._on_ring,
            "time": self._on_time,
        }

    def start(self, now: int) -> None:
        """Find the memory; work out where the site is."""
        for part in self.agent.parts:
            if isinstance(part, Memory):
                self.purse.memory = self.downward.memory = part
            self._shared = getattr(part, "coexistence", self._shared)
            sender = getattr(part, "sender", None)
            if sender is not None and self.kind != "ip":
                self._take_log(sender)
        self._live_due = now + SECOND * min(60, self.settings["live_s"])
        place = self.agent.config.place_e7
        if place is not None and ("constellation" in self.settings or "elements" in self.settings):
            from agent.satcom.pass_predictor import Passes, Sky  # noqa: PLC0415 - only with elements
            from protocols.orbit.look_angle import Site  # noqa: PLC0415

            sky = Sky(self.settings)
            self.passes = Passes(sky, Site(place[0], place[1]), self.settings["mask_deg"])

    def _take_log(self, sender: "Sender") -> None:
        """Send the unit's log, too; rows of the queue are not needed then."""
        from agent.satcom.log_source import LogSource  # noqa: PLC0415 - only with a log

        self._log = sender
        patience_us = self.settings["ack_s"] * SECOND
        proven = "key" in self.settings
        self.messages.source = LogSource(self.agent, sender, self.queue, patience_us, proven)

    # What comes.

    def event(self, kind: str, now: int) -> None:
        """Take an event of the modem's port."""
        self.modem.event(kind, now)
        self._react(now)

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes of the modem."""
        self.modem.receive(data, now)
        self._react(now)

    def wake(self, now: int) -> None:
        """Take a deadline of the modem."""
        self.modem.wake(now)
        self._react(now)

    def deadline(self) -> int:
        """Give the time at which `wake` is wanted."""
        return self.modem.deadline()

    def outbox(self) -> "Actions":
        """Hand over what the modem is told."""
        out, self._out = self._out, []
        return out + self.modem.outbox()

    def tick(self, now: int) -> None:
        """Look at what is to be done, once a second; look for windows in slices."""
        utc = self.agent.clock.utc(now)
        if self.passes is not None and utc is not None:
            self.passes.step(utc, _SLICE)
        if now >= self._look_due:
            self._look_due = now + _LOOK - self.agent.ticks.period // 2
            self._look(now, utc)

    def _look(self, now: int, utc: "int | None") -> None:
        self.downward.step(now)
        if not self.purse.load(utc):
            return
        if not self._learned and self.passes is not None:
            self._learned = True
            if len(self.purse.offsets) == len(self.passes.offsets):
                self.passes.offsets = self.purse.offsets
            self.purse.offsets = self.passes.offsets
        if not self.messages.number and self.purse.first_number:
            self.messages.number = self.purse.first_number
        if self.budget.roll(utc, now):
            self.purse.ask(0, self.messages.number)
        if self.messages.number + 8 >= self.purse.numbers:
            self.purse.ask(0, self.messages.number)
        self.modem.near_us = utc or 0
        records = self._watch.changes(self.agent, utc)
        if records and self.kind != "ip":
            self.queue.put(ALARM, records, now)
            self._next_try = 0  # news do not wait for the ladder of what went before
        rows = self.kind != "ip" and self._log is None
        every = self.settings["live_s"] * SECOND if rows else 0
        if now >= self._live_due and (every or self._want_row):
            self._live_due = now + every
            self._want_row = False
            self.queue.put(LIVE, row(self.agent, now, utc), now)
        self.messages.overdue(now, self.settings["ack_s"] * SECOND)
        self._decide(now)

    # When to send.

    def alarm_waits(self) -> bool:
        """Say whether an alarm is to be sent."""
        return self.messages.on_its_way(ALARM) or self.queue.since(ALARM) is not None

    def predicted(self, now: int, lead_us: int = 0) -> "bool | None":
        """Say whether a window is predicted; None when nothing can be predicted."""
        utc = self.agent.clock.utc(now)
        if self.passes is None or utc is None:
            return None
        return self.passes.open(utc, lead_us)

    def usable(self) -> bool:
        """Say whether the modem reports a network with enough signal."""
        return self.service is True and (self.bars or 0) >= self.settings["min_signal"]

    def _decide(self, now: int) -> None:
        predicted = self.predicted(now)
        usable = self.usable()
        if self.windows.set(usable or predicted is True, predicted is True, now):
            self.budget.new_window()
            self._next_try = min(self._next_try, now + _LOOK)
        self._learn(now, predicted)
        if self.forbidden or self.kind == "ip" or not self.modem.ready or self.modem.busy:
            return
        alarm = self.alarm_waits()
        if not self._radio(now, alarm):
            return
        if now < max(self._next_try, self._rest_until) or self.purse.first_number is None:
            return
        if alarm and self._try_alarm(now):
            return
        if usable:
            self._try(_OTHERS, now)

    def _radio(self, now: int, alarm: bool) -> bool:
        """Switch the radio as needed; True while it is on."""
        power = self.settings["power"]
        soon = power != "alarms" and self.predicted(now, _LEAD) is not False
        wanted = power == "always" or alarm or soon
        if not wanted and now - self._tried_at < _LINGER:
            wanted = True
        if wanted != self._radio_on:
            self._radio_on = wanted
            self._radio_at = now
            self.service = self.bars = None
            self.modem.radio(wanted, now)
        return self._radio_on

    def _try_alarm(self, now: int) -> bool:
        """Try an alarm at once; wait only while no satellite is heard, a little after a failure.

        A session without a signal fails in any case, and one that failed with a weak signal is
        better repeated when the next satellite is up: some seconds later.
        """
        acquiring = self.service is None and now - self._radio_at < _ACQUIRE
        away = self.service is False and now - self._tried_at < WAIT and self._tried_at > 0
        since = max(self._failed_at, self.messages.waits_since(ALARM) or now)
        deaf = self.bars == 0 and now - since < _FADING
        weak = self._failed_at > 0 and (self.bars or 0) < _GOOD and now - self._failed_at < _WEAK
        if acquiring or away or deaf or weak:
            return False
        return self._try((ALARM,), now)

    def _try(self, classes: "tuple[int, ...]", now: int) -> bool:
        """Send the next part of the first class that has any, or fetch what waits."""
        alarm = classes[0] == ALARM
        down = self.price.of(LARGEST_MT) if self.kind == "sbd" else 0
        longest = self._longest(alarm, down)
        message = self.messages.pick(classes, self.purse.numbers, longest)
        if message is None:
            return self._fetch(now, down)
        part = message.parts[message.index]
        cost = self.price.of(len(part)) + down
        if not self.purse.may(cost, alarm) or not self._free(alarm, now):
            return False
        if not self.modem.send(part, message.number, now):
            return False
        self.budget.spend(cost)
        self._message, self._pledged = message, cost
        self._begin(now)
        message.tries += 1
        return True

    def _longest(self, alarm: bool, down: int) -> int:
        """Give the longest content that is worth taking: one datagram, within the budget."""
        room = max(0, self.budget.room(alarm) - down)
        return max(64, min(self.modem.largest - 4, room, 4_096))

    def _fetch(self, now: int, down: int) -> bool:
        if not self.waiting or self.kind != "sbd" or not self.purse.may(down, False):
            return False
        if not self._free(False, now):
            return False
        if not self.modem.fetch(now):
            return False
        self.budget.spend(down)
        self._message, self._pledged = None, down
        self._begin(now)
        return True

    def _free(self, alarm: bool, now: int) -> bool:
        """Say whether the receiver can spare the sky now; an alarm does not wait for it."""
        at = now
        if self._shared is not None and not alarm:
            at = self._shared.clear(now, _SESSION)
            self._next_try = max(self._next_try, at)
        return at <= now

    def _begin(self, now: int) -> None:
        if self._shared is not None:
            self._shared.announce(now, now + _SESSION)
        self.tried += 1
        self._tried_at = now
        self._next_try = now

    def _learn(self, now: int, predicted: "bool | None") -> None:
        """Correct the mask by what is heard, while the radio listens."""
        utc = self.agent.clock.utc(now)
        listening = self._radio_on and self.modem.ready and self.service is not None
        if self.passes is None or utc is None or not listening or now < self._learn_due:
            return
        if now - self._radio_at < 2 * _LEAD:
            return
        self._learn_due = now + _LEARN
        if (predicted is True) != (self.service is True):
            self.passes.learn(utc, self.service is True)

    # What the modem says.

    def _react(self, now: int) -> None:
        events = self.modem.events()
        for event in events:
            self._heard[event[0]](now, *event[1:])
        if events:
            self._decide(now)

    def _on_ready(self, now: int, ready: bool) -> None:
        self.service = self.bars = None
        self._radio_at = now
        self.agent.alarms.set("modem", not ready, "the satellite modem does not answer", now)

    def _on_signal(self, now: int, bars: int) -> None:
        if self.bars == 0 and bars > 0:
            self._next_try = min(self._next_try, now + SECOND)
        self.bars = bars
        if bars > 0 and self.service is None:
            self.service = True

    def _on_service(self, now: int, service: bool) -> None:
        if service and not self.service:
            self._next_try = min(self._next_try, now)
        self.service = service
        if self.kind == "ip" and self.agent.uplink is not None:
            self._tell_uplink(self.agent.uplink, service, now)

    def _tell_uplink(self, uplink: "Uplink", service: bool, now: int) -> None:
        """A new socket at once when the link is there, none while it is not: TCP would back off.

        A modem that does not answer says nothing of the link: then MQTT tries as it does without.
        """
        link = uplink.link
        if link.up and not (service and uplink.connected):
            self._out.append((link.port, "close", b""))
            uplink.event("closed", now)
        if service or not self.modem.ready:
            link.hurry(now)
        else:
            link.hold()

    def _on_air(self, now: int, begins: bool) -> None:
        """Nothing: a session is announced before it begins, see `_begin`."""

    def _paid(self, size: int, good: bool, paid: bool, now: int) -> None:
        self.windows.tried(size, good, now)
        self.budget.spend((self.price.of(size) if paid and size else 0) - self._pledged)
        self._pledged = 0
        self.purse.settle(self.messages.number)

    def _on_sent(self, now: int, tag: int) -> None:
        message = self._message
        self._message = None
        self.sent += 1
        if message is None:
            return
        self.ladder.reset()
        self._failed_at = 0
        self._paid(len(message.parts[message.index]), True, True, now)
        self._next_try = now
        whole = self.messages.part_sent(message, now)
        if whole and message.kind == ALARM and message.since is not None:
            self.alarm_us = now - message.since
            self.worst_alarm_us = max(self.worst_alarm_us, self.alarm_us)

    def _on_unsent(self, now: int, tag: int, word: str, why: str, paid: bool) -> None:
        message, self._message = self._message, None
        self.failed += 1
        self._failed_at = now
        self.why = why
        size = 0 if message is None else len(message.parts[message.index])
        self._paid(size, False, paid, now)
        self._rest_until = now + _RESTS.get(word, 0)
        self._next_try = now + self.ladder.pause()

    def _on_fetched(self, now: int, good: bool, why: str, paid: bool) -> None:
        self._paid(0, good, paid, now)
        self.fetched += good
        if not good:
            self.failed += 1
            self.why = why
            self._next_try = now + self.ladder.pause()

    def _on_ring(self, now: int) -> None:
        """Fetch what waits along with a row: a ring may be false, and no session is to be empty.

        Each ring that brings nothing doubles the time for which the next ones are not believed.
        """
        if self.kind == "ip" or now < self._ring_due or self.queue.since(LIVE) is not None:
            return
        self._ring_due = now + self._ring_pause
        self._ring_pause = min(2 * self._ring_pause, HOUR)
        self._live_due = now
        self._want_row = True

    def _on_down(self, now: int, size: int) -> None:
        self._ring_pause = _RING
        self.budget.spend(self.price.of(size))

    def _on_received(self, now: int, content: bytes) -> None:
        if self.kind != "sbd":
            self.budget.spend(self.price.of(len(content)))
        if self._log is not None and content[0] not in (ACK, MESSAGE):
            self._log.receipt(content, now)
            return
        message = self.messages.heard(content)
        if message:
            self.downward.take(message)

    def _on_waiting(self, now: int, count: int) -> None:
        self.waiting = count

    def _on_time(self, now: int, utc_us: int, mono_us: int) -> None:
        """Hand the network's time to the clock as a witness."""
        self.agent.clock.witness(utc_us, _NETWORK_TIME, mono_us)

    def status(self, now: int) -> object:
        """Say how the link does."""
        return report(self, now)
