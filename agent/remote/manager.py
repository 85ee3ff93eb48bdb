# SPDX-License-Identifier: Apache-2.0
"""Component `remote`: receives, verifies and executes the messages of operators.

    broker ──cfg/desired, cmd──▶ queue ─▶ verification (in slices) ─▶ waits for its time
                                              │ rejected                       │
    cfg/reported ◀── what runs, rejected messages with reason       slots ─▶ trial ─▶ confirmed
                                                                                └─▶ rolled back

Does not verify (see `agent.remote.message_queue` and `agent.remote.message.verifier`), does not
define the formats (see
`agent.remote.message.patch`), does not order the writes (see `agent.remote.storage`), and does not
contain the commands (see `agent.remote.command_table`).

A change that the running agent can apply (`agent.core.tunable`) is applied when it is durable. Any
other change requests a restart; the trial continues afterwards. A command is executed when its
record is durable: at most once, also with power cuts.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from agent.remote import module_unload
from agent.remote.message.reject import Rejection, RejectionLog
from agent.remote.message_clock import MessageClock
from agent.remote.message_queue import LONG_SLICE_US, NO_BOOT_STATE, MessageQueue
from agent.remote.report import ReportPublisher, build_report, next_slice
from agent.remote.schedule import ScheduledChange
from agent.remote.storage.boot_state import BootState
from agent.remote.storage.config_slots import MAX_ALARMS, ConfigSlots, ConfigTrial
from agent.remote.storage.unit_key import site_trial_write
from agent.remote.storage.write_queue import WriteQueue
from agent.remote.update.output_oscillation import OutputOscillation
from protocols.signed_message import COMMAND, MANIFEST
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    from agent.core.component.base import Actions
    from agent.core.config_records import Config
    from agent.remote.command_table import CommandTable
    from agent.remote.message.command import SignedCommand
    from agent.remote.message.manifest import Manifest
    from agent.remote.message.patch import Patch
    from agent.remote.message.verifier import MessageVerification
    from agent.remote.storage.write_queue import RemoteContext
    from agent.remote.update.software_update import SoftwareUpdate
    from agent.remote.update.trial import TrialMonitor

    class SiteWritesView(Protocol):
        """Service `site_writes`: limits of a site key; see `agent.northbound.site_writes`."""

        def check(self, message: Any) -> None:
            """Raise `Rejection` if the unit does not permit the message to a site key."""
            ...

        def on_accepted(self, message: Any, now: int) -> None:
            """Record an accepted message."""
            ...


CHUNKS = "cfg/chunk"
DESIRED, COMMANDS = "cfg/desired", "cmd"
_START_GRACE_S = 10
"""Time after a start before a fault counts against a trial, s. There are no readings yet."""
_MAX_RESULTS = 8
_STORE_TIMEOUT_US = 60 * SECOND
"""A store that cannot be written does not keep a trial running. The next start ends it."""


class RemoteManager(Component):
    """The component; see the module. `settings` is the section `remote` of the configuration."""

    PORTS = ("store",)
    PROVIDES = ("message", "write_queue")
    agent: "RemoteContext"

    def __init__(self, agent: "RemoteContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.boot: BootState = agent.boot or BootState(b"", ConfigSlots(b""))
        self.has_boot_state = agent.boot is not None
        self.accepted_count = 0
        self.rejections = RejectionLog()
        self.message_clock = MessageClock(agent)
        self.oscillation = OutputOscillation()
        self.trial_monitor: TrialMonitor | None = None
        self.results: list[str] = []
        self.write_queue = WriteQueue(
            port, self.boot.audit, lambda now: next_slice(self, now, LONG_SLICE_US)
        )
        self._previous_config: tuple[Config, bytes] | None = None
        self.queue = MessageQueue(self)
        self.schedule = ScheduledChange(self)
        self._restart_at = NEVER
        self.report = ReportPublisher(self)
        self._commands: CommandTable | None = None
        if agent.uplink is not None:
            agent.uplink.listen(DESIRED, self.message)
            agent.uplink.listen(COMMANDS, self.message)
            agent.uplink.listen(CHUNKS, self.on_chunk)
        self.update: SoftwareUpdate | None = None
        if self.boot.releases is not None:
            self._load_update()

    def _load_update(self) -> "SoftwareUpdate":
        if self.update is None:
            from agent.remote.update.software_update import SoftwareUpdate  # noqa: PLC0415 - most units have none

            self.update = SoftwareUpdate(self, self.boot.releases, self.boot.received_chunks)
        return self.update

    def start(self, now: int) -> None:
        """Continue a trial that a restart interrupted."""
        module_unload.unload_modules(True, collects=False)  # the first tick does not wait
        if self.update is not None:
            self.update.start(now)
        slots, trial = self.boot.slots, self.boot.slots.trial
        self.message_clock.start(slots.counters, now)
        if self.boot.writes or trial is not None:
            text = "on trial %d" % trial.counter if trial else " ".join(slots.last[1:])
            self.audit_entry([], "start", slots.version, text, now)
        self.write_queue.write_records(self.boot.writes, now)
        if trial is not None:
            self._start_monitor(now, trial, _START_GRACE_S, None, 1)
            if trial.counter == self.boot.site_trial and self.site_check() is not None:
                self.agent.service("site_writes").continue_trial(trial.counter)

    def _start_monitor(
        self,
        now: int,
        config_trial: ConfigTrial,
        grace_s: int,
        before: "OutputOscillation | None",
        soak: int,
    ) -> None:
        health_s = soak * int(self.settings["health_s"])
        from agent.remote.update.trial import TrialMonitor  # noqa: PLC0415 - see `agent.remote.module_unload`

        self.trial_monitor = TrialMonitor(
            self.agent, config_trial.confirm_s, config_trial.alarms, now, health_s, grace_s, before
        )
        self.report.make_due()

    def audit_entry(
        self, signers: "list[int]", action: str, counter: int, result: str, now: int
    ) -> None:
        """Write an entry of the audit log."""
        self.write_queue.audit_entry(
            (self.trusted_utc_s(now), signers, action, counter, result), now
        )

    # Inputs: messages, the store, time.

    def message(self, data: bytes, now: int) -> None:
        """Add a message of any carrier to the queue."""
        self.queue.add(data, now)

    def on_chunk(self, data: bytes, now: int) -> None:
        """Handle a chunk of an application update."""
        if self.update is not None:
            self.update.on_chunk(data, now)

    def receive(self, data: bytes, now: int) -> None:
        """Handle a requested record."""
        if self._commands is not None:
            self._commands.on_record(data, now)

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store."""
        self.write_queue.event(kind, now)

    def tick(self, now: int) -> None:
        """Process messages, trials and reports."""
        self.write_queue.tick(now)
        self.queue.tick(now)
        if self.trial_monitor is None:
            self.oscillation.tick(self.agent, now)
        self.schedule.tick(now)
        self._step_trial(now)
        if now >= self._restart_at:
            self._restart_at = NEVER
            self.agent.restart()
        if self._commands is not None:
            self._commands.tick(now)
        if self.update is not None:
            self.update.tick(now)
        if self.rejections.audit_due(now):
            count, text = self.rejections.take_unaudited(now)
            self.audit_entry([], "refused", count, text, now)
        self.report.tick(now)

    def wake(self, now: int) -> None:
        """Do the next slice."""
        self.write_queue.step(now)
        self.queue.step(now)
        self.report.step(now)

    def deadline(self) -> int:
        """Return the time of the next slice."""
        return min(self.write_queue.due, self.queue.due, self.report.due)

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        return self.write_queue.outbox()

    def trusted_utc_s(self, now: int) -> int:
        """Return the trusted UTC in seconds since 1970, 0 without one."""
        return self.message_clock.utc_s(now)

    def accepted_keys(self) -> "list[dict[str, Any]]":
        """Return the keys of operators that are not suspended."""
        return self.boot.suspended.accepted(self.settings["keys"])

    def site_check(self) -> "Callable[[Any], None] | None":
        """Return the check of messages of a site key; None: such a key signs nothing here."""
        site: SiteWritesView | None = self.agent.service("site_writes")
        return None if site is None else site.check

    # Messages and trials.

    def drop_commands(self) -> bool:
        """Drop the table of commands if none is in progress; return whether it is dropped."""
        if self._commands is not None and not self._commands.is_idle():
            return False
        self._commands = None
        return True

    def act_slices(self, verification: "MessageVerification", now: int) -> "Iterator[None]":
        """Execute a verified message, which begins now. A board ticks between two slices."""
        message, signers = verification.message, verification.signers
        self.report.make_due()
        self.message_clock.on_accepted(message.counter, now)
        if verification.is_site:
            self.agent.service("site_writes").on_accepted(message, now)
        if verification.kind == COMMAND:
            self._execute(message, signers, now)  # type: ignore[arg-type]
            return
        slots = self.boot.slots
        try:
            if slots.trial is not None or (self.update is not None and self.update.is_on_trial()):
                raise Rejection("busy", "one trial at a time")
            if verification.kind == MANIFEST:
                if self.write_queue.mirror is not None:
                    raise Rejection("unsupported", "a pair is updated by hand, the standby first")
                self._load_update().start_fetch(message, now)  # type: ignore[arg-type]
                self.audit_entry(signers, message.describe(), message.counter, "taken", now)
                self.write_queue.write_records([slots.mark_taken(MANIFEST, message.counter)], now)
            else:
                writes = [site_trial_write(message.counter)] if verification.is_site else []
                yield from self._trial_slices(verification, writes, now)
            self.accepted_count += 1
        except Rejection as rejection:
            self.reject(rejection, message, signers, now)
            if verification.kind == MANIFEST:
                record = slots.mark_taken(MANIFEST, message.counter)
            else:
                record = slots.mark_rejected(message.counter, rejection.reason)
            self.write_queue.write_records([record], now)

    def _trial_slices(
        self,
        verification: "MessageVerification",
        writes: "list[tuple[str, bytes]]",
        now: int,
    ) -> "Iterator[None]":
        message: Patch = verification.message  # type: ignore[assignment]
        boot, applies_live = self.boot, message.applies_live()
        boot.day.expire(now)
        from agent.remote.message.patch import encode_changed  # noqa: PLC0415 - see `agent.remote.module_unload`

        raw = boot.parsed_config()
        yield
        raw = message.apply_to(raw, boot.day, verification.has_quorum)
        yield
        data = encode_changed(raw)
        if not boot.has_full_checker:
            raw = {}
        yield
        if boot.check is None:
            raise Rejection("store", NO_BOOT_STATE)
        config = self.agent.running_config()
        if applies_live or boot.has_full_checker:
            from agent.remote.update.live_change import check_change  # noqa: PLC0415 - see `agent.remote.module_unload`

            config = check_change(message, raw, boot, config)
        yield
        self.audit_entry(verification.signers, message.describe(), message.counter, "taken", now)
        alarms = self.agent.alarms.codes()[:MAX_ALARMS]
        writes += boot.day.add(message.moves, now)
        writes += boot.slots.start_trial(message.counter, message.confirm_s, alarms, data)

        def durable(then: int) -> None:
            self._previous_config = (self.agent.running_config(), self.boot.config)
            if not applies_live:
                self.agent.restart()
                return
            self._run_config(config, data)
            running = self.boot.slots.trial
            if running is not None:
                self._start_monitor(then, running, 0, self.oscillation, message.soak_factor())

        self.write_queue.write_records(writes, now)
        self.write_queue.after_durable(durable, now)

    def _run_config(self, config: "Config", data: bytes) -> None:
        self.agent.apply_live_config(config)
        self.boot.set_config(data)
        self.report.make_due()

    # The trial.

    def _step_trial(self, now: int) -> None:
        monitor, config_trial = self.trial_monitor, self.boot.slots.trial
        if monitor is None or config_trial is None:
            return
        phase = monitor.phase
        reason = monitor.guarded_step(now)
        if reason:
            self.roll_back(reason + (" " + monitor.reason if monitor.reason else ""), now)
            return
        if monitor.phase != phase:
            self.report.make_due()
        remaining_s = monitor.confirm_time_to_save(now)
        if remaining_s is not None and not self.write_queue.is_busy():
            self.write_queue.write_records([self.boot.slots.save_confirm_time(remaining_s)], now)

    def roll_back(self, reason: str, now: int) -> None:
        """Return to the previous configuration immediately; the store is written afterwards."""
        slots = self.boot.slots
        counter = slots.trial.counter if slots.trial is not None else 0
        self.audit_entry([], "rolled back", counter, reason, now)
        write = slots.roll_back(reason)
        self.trial_monitor = None
        self.report.make_due()
        previous, self._previous_config = self._previous_config, None
        if previous is not None:
            self._run_config(*previous)
        self.write_queue.write_records([write], now)
        if previous is None:
            self.restart_when_stored(now)

    def restart_when_stored(self, now: int) -> None:
        """Restart when all records are stored, at the latest after `_STORE_TIMEOUT_US`."""
        self._restart_at = now + _STORE_TIMEOUT_US
        self.write_queue.after_durable(self._restart_now, now)

    def _restart_now(self, now: int) -> None:
        self._restart_at = NEVER
        self.agent.restart()

    def confirm(self, now: int) -> None:
        """Confirm the configuration on trial."""
        slots = self.boot.slots
        counter = slots.trial.counter if slots.trial is not None else 0
        self.audit_entry([], "confirmed", counter, "version %d" % (slots.version + 1), now)
        self.write_queue.write_records([slots.confirm()], now)
        self.trial_monitor, self._previous_config = None, None
        self.report.make_due()

    def _execute(self, message: "SignedCommand", signers: "list[int]", now: int) -> None:
        """Execute a command when its record is durable."""
        if self._commands is None:
            from agent.remote.command_table import CommandTable  # noqa: PLC0415 - see `agent.remote.module_unload`

            self._commands = CommandTable(self)
        commands = self._commands

        def execute_durable(then: int) -> None:
            try:
                result = commands.execute(message, then)
                self.accepted_count += 1
            except Rejection as refusal:
                refusal.message = (COMMAND, message.counter)
                self.rejections.add(refusal, True)
                result = str(refusal)
            self.add_result("%d %s: %s" % (message.counter, message.name, result))
            self.audit_entry(signers, "done " + message.name, message.counter, result, then)

        self.audit_entry(signers, "command " + message.name, message.counter, "taken", now)
        self.write_queue.write_records([self.boot.slots.mark_taken(COMMAND, message.counter)], now)
        self.write_queue.after_durable(execute_durable, now)

    # Reports.

    def request_report(self) -> None:
        """Publish the report at the next tick; then drop the code that only messages need."""
        self.report.make_due()
        self.queue.keep_loaded()

    def send_final_report(self) -> None:
        """Publish the final report of a decommissioned unit."""
        self.report.end()

    def is_report_pending(self) -> bool:
        """Return whether a report or the configuration waits to be sent."""
        return self.report.is_pending()

    def add_result(self, result: str) -> None:
        """Report the result of a command."""
        self.results = (self.results + [result])[-_MAX_RESULTS:]
        self.report.make_due()

    def reject(
        self,
        rejection: Rejection,
        message: "Patch | SignedCommand | Manifest | None" = None,
        signers: "list[int] | None" = None,
        now: int = 0,
    ) -> None:
        """Count and report a rejection. A signed message gets an audit entry of its own."""
        if message is not None:
            rejection.message = (message.KIND, message.counter)
        self.rejections.add(rejection, message is not None)
        if message is not None:
            self.audit_entry(
                signers or [], message.describe(), message.counter, str(rejection), now
            )

    def status(self, _: int) -> JsonObject:
        """Return the report, with the last rejections: the servers follow their messages."""
        report = build_report(self)
        report.pairs.append(("refusals", [list(entry) for entry in self.rejections.recent]))
        return report
