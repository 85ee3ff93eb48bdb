# SPDX-License-Identifier: Apache-2.0
"""The telemetry log as a component: its records survive power cuts until the ground relay has them.

    rows ─▶ block builder ─▶ blocks ─┐
    alarms, events ──────────────────┴▶ record store (RAM, then flash) ─▶ sender ─▶ a carrier
                                          ▲▼ compactor: longer blocks of the backlog
                                          ▲ deleted only after a receipt of the ground relay

Does not send: the uplink and the satellite link take messages from `sender`.

A power cut destroys data that is not on flash: rows of at most `at_risk_s`, and the write in
progress. A record is sent only when it is durable, so that no number is used twice.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject, write
from agent.log.block_builder import COLUMNS_PER_STEP, BlockBuilder, take_row, unit_schema
from agent.log.record_store import SMALL_SLICE, RecordStore
from agent.log.sender import Sender
from protocols.telemetry.message import (
    ALARM,
    BULK,
    CLASSES,
    JSON_EVENT,
    LIVE,
    ROWS,
    SCHEMA,
    SUMMARY,
)
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Actions
    from agent.core.context import Context
    from agent.log.compactor import BlockCompactor
    from protocols.telemetry.schema import Schema
    from protocols.telemetry.summary import Summary

_SLICE_US = 4 * MILLISECOND
_SMALL_BOARD_US = 60 * MILLISECOND
"""A slice of a small board begins at least so long before a tick. Four columns of 33 rows took
24 ms of an RP2040."""
_MAX_ROWS = 600
_SCHEMA_INTERVAL_US = 60 * SECOND
"""Shortest interval between two copies of the schema, when the ground relay reports that it lacks
one."""


def _make_compactor(rows: int) -> "BlockCompactor":
    from agent.log.compactor import BlockCompactor  # noqa: PLC0415 - not on every unit

    return BlockCompactor(rows)


def _make_summary(schema: "Schema", with_bounds: bool) -> "Summary":
    from protocols.telemetry.summary import Summary  # noqa: PLC0415 - seldom used

    return Summary(schema, with_bounds)


class LogComponent(Component):
    """The log; see the module. `settings` is the section `log` of the configuration."""

    PORTS = ("store",)
    PROVIDES = ("sender",)

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        config = agent.config
        period_us = config.ticks_per_row * config.tick_us
        self._max_rows = max(1, min(settings["at_risk_s"] * SECOND // period_us, _MAX_ROWS))
        self._rows_mode: str = settings["rows"]
        self._schema = unit_schema(agent.fieldbus, [])
        self._compactor: BlockCompactor | None = None
        if settings["merge_rows"] and self._rows_mode != "none":
            self._compactor = _make_compactor(settings["merge_rows"])
        unit = config.site + "/" + config.unit
        self.record_store = RecordStore(unit, settings, self._compactor)
        self.sender = Sender(self.record_store, bytes.fromhex(settings.get("ack_key", "")))
        self.link_up = False
        """True while a carrier is connected. New blocks are then sent before the backlog."""
        self._builder = BlockBuilder(self._schema, self._max_rows, 0)
        self._summary: Summary | None = None
        if settings["summary_s"]:
            self._summary_rows = max(1, settings["summary_s"] * SECOND // period_us)
        self._due = NEVER
        self._schema_not_before = 0
        self._is_started = False
        self._columns, self._slice_needs_us = COLUMNS_PER_STEP, 0
        agent.telemetry.stop_queue()
        agent.alarms.add_listener(self._on_alarm)
        if agent.uplink is not None:
            agent.uplink.send_from_log(self.sender, self._on_link)
            # The log holds the names of the columns, so the retained birth message can be short.
            agent.uplink.set_birth(write(JsonObject([("online", True), ("log", True)])).encode())

    def use_small_slices(self) -> None:
        """Read, write and send a few records in a call: a tick of a small board must not wait."""
        self.record_store.records_per_slice = self.sender.max_records = SMALL_SLICE
        self._columns, self._slice_needs_us = 1, _SMALL_BOARD_US

    def start(self, now: int) -> None:
        """Make the schema; now all components are there, and no row is taken before."""
        settings, telemetry = self.settings, self.agent.telemetry
        self._schema = unit_schema(self.agent.fieldbus, telemetry.components)
        self._builder = BlockBuilder(self._schema, self._max_rows, 0)
        if self._compactor is not None:
            self._compactor.set_schema(self._schema.number, len(self._schema.entries))
        if settings["summary_s"]:
            self._summary = _make_summary(self._schema, bool(settings["summary_bounds"]))
            self._summary_builder = BlockBuilder(
                self._summary.schema_out, settings["summary_rows"], 0
            )

    # Inputs.

    def tick(self, now: int) -> None:
        """Add a row if one is due."""
        self.record_store.set_time(now)
        self._log_start(now)
        agent = self.agent
        if agent.ticks.tick_number % agent.config.ticks_per_row:
            return
        self._check_schema(now)
        utc, clock = agent.clock.utc(now), agent.clock.state(now)
        oldest_read_at = now - agent.config.stale_us
        row = take_row(agent.fieldbus, utc, clock, agent.supervisor.state, oldest_read_at)
        row.extend(agent.telemetry.component_values(now))
        if self._rows_mode != "none":
            self._builder.add(row, now)
        summary = self._summary
        if summary is not None:
            summary.add(row)
            if summary.rows >= self._summary_rows:
                self._summary_builder.add(summary.take_row(), now)
        self._schedule_slice(now)

    def _check_schema(self, now: int) -> None:
        """Log the schemas once, and again when the ground relay lacks one."""
        is_missing = self.sender.schema_missing and now >= self._schema_not_before
        if not self.record_store.ready:
            return
        if not self._builder.start_number:
            self._set_start_number()
        numbers = self._schema.number
        if self._summary is not None:
            numbers += self._summary.schema_out.number
        if self.record_store.schema == numbers and not is_missing:
            return
        self.sender.take_schema_request()
        self._schema_not_before = now + _SCHEMA_INTERVAL_US
        self.record_store.append(ALARM, SCHEMA, self._schema.text, now)
        if self._summary is not None:
            self.record_store.append(ALARM, SCHEMA, self._summary.schema_out.text, now)
        self.record_store.set_schema(numbers)

    def _set_start_number(self) -> None:
        """Number this start: by the records of the starts before, so that no two are equal."""
        next_ids = [class_index.next_id for class_index in self.record_store.class_indexes]
        number = sum(next_ids) - len(next_ids) + 1
        self._builder.set_start_number(number)
        if self._summary is not None:
            self._summary_builder.set_start_number(number)

    def _log_start(self, now: int) -> None:
        """Log the start before the first alarm: no alarm of an earlier start is active any more."""
        if not self._is_started:
            self._is_started = True
            fields: list[tuple[str, object]] = [("event", "start")]
            fields.extend(self.agent.start_notes)
            self.log_event(ALARM, fields, self.agent.clock.utc(now), now)

    def _on_alarm(self, now: int, change: str, code: str, text: str) -> None:
        self._log_start(now)
        utc = self.agent.clock.utc(now)
        self.log_event(ALARM, [("alarm", change), ("code", code), ("text", text)], utc, now)

    def log_event(
        self, group: int, fields: "list[tuple[str, object]]", utc: "int | None", now: int
    ) -> None:
        """Log an event as JSON: `t` (UTC in ms or null), `m` (monotonic ms), and `fields`."""
        head: list[tuple[str, object]] = [
            ("t", None if utc is None else utc // MILLISECOND),
            ("m", now // MILLISECOND),
        ]
        self.record_store.append(group, JSON_EVENT, write(JsonObject(head + fields)).encode(), now)

    def _on_link(self, up: bool, now: int) -> None:
        """Handle a carrier that connected or disconnected. Close the open block, so that it is sent
        soon.
        """
        if up and not self.link_up and self.record_store.schema:
            self._builder.close_block()
            self._schedule_slice(now)
        self.link_up = up

    # Encoding, in slices.

    def _schedule_slice(self, now: int) -> None:
        is_coding = self._builder.is_coding() or (
            self._summary is not None and self._summary_builder.is_coding()
        )
        is_coding = is_coding or (self._compactor is not None and self._compactor.is_coding())
        is_coding = is_coding or self.record_store.is_scanning
        self._due = now + _SLICE_US if is_coding else NEVER

    def wake(self, now: int) -> None:
        """Encode a slice; send records again whose receipt is overdue."""
        if now >= self.sender.deadline():
            self.sender.wake(now)
        if now < self._due:
            return
        if self.agent.ticks.due - now < self._slice_needs_us:
            self._due = self.agent.ticks.due
            return
        if self.record_store.is_scanning:
            self.record_store.step(now)
        elif self._builder.is_coding():
            block = self._builder.step(self._columns)
            if block is not None:
                live = self._rows_mode == "live" and self.link_up
                self.record_store.append(LIVE if live else BULK, ROWS, block[0], now, block[1])
        elif self._summary is not None and self._summary_builder.is_coding():
            block = self._summary_builder.step(self._columns)
            if block is not None:
                self.record_store.append(LIVE, SUMMARY, block[0], now, block[1])
        elif self._compactor is not None and self._compactor.is_coding():
            self._compactor.step()
            self.record_store.advance(now)
        self._schedule_slice(now)

    def deadline(self) -> int:
        """Return the time of the next slice or of the next overdue receipt."""
        return min(self._due, self.sender.deadline())

    # The store.

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store."""
        self.record_store.event(kind, now)

    def receive(self, data: bytes, now: int) -> None:
        """Handle an answer of the store."""
        self.record_store.receive(data, now)
        if self._due == NEVER:
            self._schedule_slice(now)

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        return [(self.port, op, data) for op, data in self.record_store.outbox()]

    def unsaved_age_s(self, now: int) -> int:
        """Return the age of the oldest row that a power cut would destroy now, in s."""
        times = [self._builder.oldest_row_at(), self.record_store.oldest_unsaved()]
        known = [time for time in times if time is not None]
        return (now - min(known)) // SECOND if known else 0

    def status(self, now: int) -> JsonObject:
        """Return counts of waiting and lost records, of receipts, and the unsaved data age."""
        record_store, sender = self.record_store, self.sender
        waiting = [
            (CLASSES[class_index.group], class_index.unacked_count())
            for class_index in record_store.class_indexes
        ]
        lost = [
            (CLASSES[class_index.group], class_index.lost)
            for class_index in record_store.class_indexes
        ]
        return JsonObject(
            [
                ("ready", record_store.ready),
                (
                    "latency",
                    [
                        [CLASSES[group], carrier, counts]
                        for group, carrier, counts in sender.latency.rows()
                    ],
                ),
                ("waiting", JsonObject(waiting)),  # type: ignore[arg-type]
                ("lost", JsonObject(lost)),  # type: ignore[arg-type]
                (
                    "expired",
                    sum([class_index.expired for class_index in record_store.class_indexes]),
                ),
                (
                    "damaged",
                    sum([class_index.damaged for class_index in record_store.class_indexes]),
                ),
                ("torn", record_store.truncated),
                ("bytes", record_store.size()),
                ("at_risk_s", self.unsaved_age_s(now)),
                ("failures", record_store.failures),
                ("resent", sender.resent_records),
                ("receipts", self._receipt_status()),
            ]
        )

    def _receipt_status(self) -> JsonObject:
        sender = self.sender
        return JsonObject(
            [
                ("forged", sender.forged_receipts),
                ("foreign", sender.foreign_receipts),
                ("unsent", sender.unsent_receipts),
                ("idle", sender.redundant_receipts),
            ]
        )
