"""The telemetry log as a part of the agent: what is in it survives, until the ground has it.

    rows ─▶ feed ─▶ blocks ─┐
    alarms, events ─────────┴▶ keeper (RAM, then flash) ─▶ sender ─▶ a carrier ─▶ ground
                                  ▲▼ longer blocks, of what has to wait: merger
                                  ▲ deleted only when a receipt says that the ground has it

Not a carrier: the uplink, and carriers of messages, take from `sender`. At risk is what is not on
flash yet: rows of at most `at_risk_s`, and what the flash is busy with. Nothing is sent before it
is durable, so that no number is ever given twice.
"""

from agent.core.component import Part
from agent.core.json_writer import Object, write
from agent.log.block_builder import Feed, row_of, schema_of
from agent.log.record_store import Keeper
from agent.log.sender import Sender
from protocols.telemetry.message import ALARM, BULK, CLASSES, LIVE, NOTE, ROWS, SCHEMA, SUMMARY
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Actions, Agent
    from agent.log.compactor import Merger
    from protocols.telemetry.summary import Summary

_SLICE_US = 4 * MILLISECOND
_MOST_ROWS = 600
_SCHEMA_EVERY = 60 * SECOND
"""A ground that says it lacks the schema gets it at most this often."""


class Log(Part):
    """See the module's docstring. `settings` is the section `log` of the configuration."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        config = agent.config
        self.keeper = Keeper(config.site + "/" + config.unit, settings)
        self.sender = Sender(self.keeper, bytes.fromhex(settings.get("ack_key", "")))
        self.live = False
        """Whether a carrier is up: what is fresh then goes before the backlog."""
        self._schema = schema_of(agent.fieldbus)
        period_us = config.ticks_per_row * config.tick_us
        self._most = max(1, min(settings["at_risk_s"] * SECOND // period_us, _MOST_ROWS))
        self._rows: str = settings["rows"]
        self._merger: Merger | None = None
        if settings["merge_rows"] and self._rows != "none":
            from agent.log.compactor import Merger as Longer  # noqa: PLC0415 - not on every unit

            schema = self._schema
            self._merger = Longer(settings["merge_rows"], schema.number, len(schema.entries))
            self.keeper.merger = self._merger
        self._feed = Feed(self._schema, self._most, 0)
        self._summary: Summary | None = None
        if settings["summary_s"]:
            from protocols.telemetry.summary import Summary as Kind  # noqa: PLC0415 - seldom used

            self._summary = Kind(self._schema, bool(settings["summary_bounds"]))
            self._summary_rows = max(1, settings["summary_s"] * SECOND // period_us)
            self._summaries = Feed(self._summary.schema_out, settings["summary_rows"], 0)
        self._due = NEVER
        self._schema_after = 0
        agent.telemetry.plain = False
        agent.alarms.listeners.append(self._alarm)
        if agent.uplink is not None:
            agent.uplink.send_from(self.sender, self._linked)
            # What the rows' columns are stands in the log: the retained message can be short.
            agent.uplink.announce(write(Object([("online", True), ("log", True)])).encode())

    # What comes in.

    def tick(self, now: int) -> None:
        """Take a row when one is due."""
        self.keeper.now = now
        agent = self.agent
        if agent.ticks.number % agent.config.ticks_per_row:
            return
        self._check_schema(now)
        utc, clock = agent.clock.utc(now), agent.clock.state(now)
        oldest = now - agent.config.stale_us
        row = row_of(agent.fieldbus, utc, clock, agent.supervisor.state, oldest)
        if self._rows != "none":
            self._feed.add(row, now)
        summary = self._summary
        if summary is not None:
            summary.add(row)
            if summary.rows >= self._summary_rows:
                self._summaries.add(summary.take(), now)
        self._plan(now)

    def _check_schema(self, now: int) -> None:
        """Log the schemas once, and again when the ground says that it lacks one."""
        lacks = self.sender.lacks_schema and now >= self._schema_after
        if not self.keeper.ready:
            return
        numbers = self._schema.number
        if self._summary is not None:
            numbers += self._summary.schema_out.number
        if self.keeper.schema == numbers and not lacks:
            return
        self.sender.lacks_schema = False
        self._schema_after = now + _SCHEMA_EVERY
        self.keeper.put(ALARM, SCHEMA, self._schema.text, now)
        if self._summary is not None:
            self.keeper.put(ALARM, SCHEMA, self._summary.schema_out.text, now)
        self.keeper.logged(numbers)

    def _alarm(self, now: int, change: str, code: str, text: str) -> None:
        utc = self.agent.clock.utc(now)
        self.note(ALARM, [("alarm", change), ("code", code), ("text", text)], utc, now)

    def note(
        self, group: int, fields: "list[tuple[str, object]]", utc: "int | None", now: int
    ) -> None:
        """Log what happened, as JSON: `t` (UTC, ms, or null), `m` (monotonic ms), and `fields`."""
        head: list[tuple[str, object]] = [
            ("t", None if utc is None else utc // MILLISECOND),
            ("m", now // MILLISECOND),
        ]
        self.keeper.put(group, NOTE, write(Object(head + fields)).encode(), now)

    def _linked(self, up: bool, now: int) -> None:
        """A carrier came up or went: close the block at hand, so that what is fresh is not late."""
        if up and not self.live and self.keeper.schema:
            self._feed.cut()
            self._plan(now)
        self.live = up

    # Coding, in slices.

    def _plan(self, now: int) -> None:
        busy = self._feed.busy() or (self._summary is not None and self._summaries.busy())
        busy = busy or (self._merger is not None and self._merger.busy())
        self._due = now + _SLICE_US if busy else NEVER

    def wake(self, now: int) -> None:
        """Code a slice; look after receipts that do not come."""
        if now >= self.sender.deadline():
            self.sender.wake(now)
        if now < self._due:
            return
        if self._feed.busy():
            block = self._feed.step()
            if block is not None:
                live = self._rows == "live" and self.live
                self.keeper.put(LIVE if live else BULK, ROWS, block[0], now, block[1])
        elif self._summary is not None and self._summaries.busy():
            block = self._summaries.step()
            if block is not None:
                self.keeper.put(LIVE, SUMMARY, block[0], now, block[1])
        elif self._merger is not None and self._merger.busy():
            self._merger.step()
            self.keeper.pump(now)
        self._plan(now)

    def deadline(self) -> int:
        """Give the time of the next slice or the next late receipt."""
        return min(self._due, self.sender.deadline())

    # The store.

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self.keeper.event(kind, now)

    def receive(self, data: bytes, now: int) -> None:
        """Take what the store answers."""
        self.keeper.receive(data, now)
        if self._due == NEVER:
            self._plan(now)

    def outbox(self) -> "Actions":
        """Hand over what the store is asked."""
        return [(self.port, op, data) for op, data in self.keeper.outbox()]

    def at_risk_s(self, now: int) -> int:
        """Give the seconds of rows that a power cut would cost now."""
        times = [self._feed.oldest(), self.keeper.at_risk()]
        known = [time for time in times if time is not None]
        return (now - min(known)) // SECOND if known else 0

    def status(self, now: int) -> Object:
        """Show what waits, what was lost and why, what is at risk, what the ground said."""
        keeper, sender = self.keeper, self.sender
        waiting = [(CLASSES[s.group], s.waiting()) for s in keeper.shelves]
        lost = [(CLASSES[s.group], s.lost) for s in keeper.shelves]
        return Object(
            [
                ("ready", keeper.ready),
                ("waiting", Object(waiting)),  # type: ignore[arg-type]
                ("lost", Object(lost)),  # type: ignore[arg-type]
                ("expired", sum([s.expired for s in keeper.shelves])),
                ("damaged", sum([s.damaged for s in keeper.shelves])),
                ("torn", keeper.torn),
                ("bytes", keeper.size()),
                ("at_risk_s", self.at_risk_s(now)),
                ("failures", keeper.failures),
                ("resent", sender.resent),
                ("receipts", self._receipts()),
            ]
        )

    def _receipts(self) -> Object:
        sender = self.sender
        return Object(
            [
                ("forged", sender.forged),
                ("foreign", sender.foreign),
                ("unsent", sender.unsent),
                ("idle", sender.idle),
            ]
        )
