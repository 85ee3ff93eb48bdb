# SPDX-License-Identifier: Apache-2.0
"""Table of commands: the name of a command and its method; other commands go to the components.

Does not decide about permissions; see `agent.remote.message.command`.

A method takes the arguments and returns the result to report, or raises `Rejection`. It is called
between two ticks, after the record of the command is durable, and must be quick. A command that is
not in the table goes to the component that declares it (`Component.COMMANDS`). If no component
declares it, it is rejected as `unsupported`.
"""

from agent.core.errors import AgentError
from agent.remote.message.canonical import has_secret
from agent.remote.message.command import ROLES
from agent.remote.message.counter import epoch_of
from agent.remote.message.reject import Rejection
from agent.remote.update import trial
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from agent.core.component.base import Component
    from agent.remote.capture import PortCapture
    from agent.remote.decommission import Decommission
    from agent.remote.export import RecordExport
    from agent.remote.message.command import SignedCommand
    from agent.remote.schedule import ScheduledChange
    from agent.remote.storage.write_queue import RemoteHost
    from agent.remote.update.software_update import SoftwareUpdate
    from protocols.cbor import Map

    class CommandHost(RemoteHost, Protocol):
        """The remote manager as the commands use it."""

        update: "SoftwareUpdate | None"
        trial_monitor: "trial.TrialMonitor | None"

        schedule: "ScheduledChange"

        def confirm(self, now: int) -> None:
            """Confirm the configuration on trial."""
            ...

        def roll_back(self, reason: str, now: int) -> None:
            """Return to the previous configuration."""
            ...


_LONGEST_CAPTURE_S = 600
_NOT_ON_TRIAL = ("autotune",)
"""Commands that would disturb the health window of a trial."""


class CommandTable:
    """The commands of `manager`."""

    def __init__(self, manager: "CommandHost") -> None:
        self._manager = manager
        self._export: RecordExport | None = None
        self._capture: PortCapture | None = None
        self._decommissioning: Decommission | None = None
        self._table: dict[str, Callable[[Map, int], str]] = {
            "confirm": self._confirm,
            "rollback": self._roll_back,
            "cancel": self._cancel,
            "epoch": self._open_epoch,
            "suspend": self._suspend,
            "resume": self._resume,
            "restart": self._restart,
            "fetch": self._fetch,
            "capture": self._start_capture,
            "decommission": self._decommission,
        }

    def execute(self, message: "SignedCommand", now: int) -> str:
        """Execute a command and return its result. Raises `Rejection`."""
        handler = self._table.get(message.name)
        if handler is not None:
            return handler(message.arguments, now)
        parts = ""
        if message.name == "reset" and message.arguments.get("code") == "boot_loop":
            return self._leave_boot_loop()
        if message.name == "acknowledge":
            parts, is_done = self._acknowledge(message, now)
            if is_done:
                return "acknowledged: " + parts
        if message.name in _NOT_ON_TRIAL and self._is_on_trial():
            raise Rejection("busy", "not during a trial")
        try:
            for component in self._manager.agent.components:
                if message.name in component.COMMANDS:
                    result = self._command(component, message, now)
                    if result is not None:
                        return result + " " + parts if parts else result
        except AgentError as error:
            raise Rejection("out_of_range", str(error))
        if parts:
            return "acknowledged: " + parts
        if message.name in [name for name, _ in ROLES]:
            raise Rejection("unsupported", message.name)
        raise Rejection("unknown_key", "no command " + message.name)

    def _is_on_trial(self) -> bool:
        """Return whether a configuration or a software release is on trial."""
        manager = self._manager
        update = manager.update
        return manager.boot.slots.trial is not None or (
            update is not None and update.trial_monitor is not None
        )

    def _command(self, component: "Component", message: "SignedCommand", now: int) -> "str | None":
        """Pass a command to a component; see `agent.core.fault.guard`."""
        try:
            return component.handle_command(message.name, message.arguments, now)
        except (AgentError, Rejection):
            raise
        except Exception as error:  # noqa: BLE001 - the guard handles it
            self._manager.agent.guard.handle(component, error, now)
            raise Rejection("busy", "off after an exception")

    def _leave_boot_loop(self) -> str:
        """Start with the full configuration again. Raises `Rejection`: it runs already."""
        agent = self._manager.agent
        if "boot_loop" not in agent.alarms.codes():
            raise Rejection("out_of_range", "no boot loop")
        agent.restart(leaves_boot_loop=True)
        return "the agent starts again"

    def _acknowledge_parts(self, code: "Any") -> str:
        """Start the components again that wait for an operator after repeated exceptions."""
        containment = self._manager.agent.guard.containment
        return "" if containment is None else containment.acknowledge(code)

    def _acknowledge(self, message: "SignedCommand", now: int) -> "tuple[str, bool]":
        """Acknowledge parts and alarms. Return them, and whether one `code` was found."""
        code = message.arguments.get("code")
        parts = self._acknowledge_parts(code)
        if self._acknowledge_alarm(message, now) and not parts:
            parts = str(code)
        return parts, bool(parts) and code is not None

    def _acknowledge_alarm(self, message: "SignedCommand", now: int) -> bool:
        """Acknowledge an alarm in the list of `agent.northbound`, and as a cause of `safety`.

        Return whether there is such an alarm. Without a code all alarms of the list.
        """
        states = self._manager.agent.service("alarm_states")
        code = message.arguments.get("code")
        if states is None or not states.acknowledge(code) or code is None:
            return False
        for component in self._manager.agent.components:
            if message.name in component.COMMANDS:
                try:
                    self._command(component, message, now)
                except AgentError:
                    pass  # the alarm is no cause of an interlock
        return True

    def is_idle(self) -> bool:
        """Return whether nothing is in progress here."""
        return self._export is None and self._capture is None and self._decommissioning is None

    def tick(self, now: int) -> None:
        """Continue exports, captures and decommissioning."""
        if self._capture is not None:
            self._capture.tick(now)
            if self._capture.done:
                self._end_capture(now)
        if self._export is not None:
            self._export.tick(now)
            if self._export.done:
                self._export = None
        if self._decommissioning is not None:
            self._decommissioning.tick(now)

    def on_record(self, data: bytes, now: int) -> None:
        """Handle a record from the store."""
        if self._export is not None:
            self._export.on_record(data)

    def _confirm(self, arguments: "Map", now: int) -> str:
        manager = self._manager
        config_trial = manager.boot.slots.trial
        counter = arguments.get("counter")
        if counter is None:
            raise Rejection("malformed", "confirm needs the counter of the change")
        if config_trial is None and manager.update is not None:
            return manager.update.confirm(counter, now)
        if config_trial is None or manager.trial_monitor is None:
            raise Rejection("no_trial")
        if counter != config_trial.counter:
            raise Rejection("no_trial", "on trial is %d" % config_trial.counter)
        if manager.trial_monitor.phase != trial.CONFIRM:
            raise Rejection("not_yet", "its health is still being watched")
        manager.confirm(now)
        return "confirmed"

    def _roll_back(self, arguments: "Map", now: int) -> str:
        manager = self._manager
        if (
            manager.boot.slots.trial is None
            and manager.update is not None
            and manager.update.trial_monitor
        ):
            manager.update.roll_back("on demand", now)
            return "rolled back"
        if manager.boot.slots.trial is None:
            return self._cancel(arguments, now)
        if arguments.get("counter") not in (None, manager.boot.slots.trial.counter):
            raise Rejection("no_trial", "on trial is %d" % manager.boot.slots.trial.counter)
        manager.roll_back("on demand", now)
        return "rolled back"

    def _cancel(self, arguments: "Map", now: int) -> str:
        """Drop the change that waits for its time."""
        scheduled = self._manager.schedule.counter()
        if not scheduled or arguments.get("counter") not in (None, scheduled):
            raise Rejection("no_trial", "scheduled is %d" % scheduled if scheduled else "")
        self._manager.schedule.cancel(now)
        return "cancelled"

    def _open_epoch(self, _: "Map", now: int) -> str:
        """Do nothing more: the counter of the message has opened the epoch."""
        return "epoch %d" % epoch_of(self._manager.boot.slots.counters[0])

    def _suspend(self, arguments: "Map", now: int) -> str:
        """Accept a key no more. Two keys with the role `limits` among them must remain."""
        return self._set_suspended(arguments.get("key"), True, now)

    def _resume(self, arguments: "Map", now: int) -> str:
        return self._set_suspended(arguments.get("key"), False, now)

    def _set_suspended(self, number: "Any", is_suspended: bool, now: int) -> str:
        from agent.remote.message.keyring import has_quorum  # noqa: PLC0415 - rare

        manager = self._manager
        keys, suspended = manager.settings["keys"], manager.boot.suspended
        if number not in [key["number"] for key in keys]:
            raise Rejection("out_of_range", "key: a number of this unit")
        remaining = [key for key in suspended.accepted(keys) if key["number"] != number]
        if is_suspended and not has_quorum(remaining):
            raise Rejection("out_of_range", "key: the other keys cannot sign for limits")
        manager.write_queue.write_records([suspended.set(number, is_suspended)], now)
        return "suspended: %s" % (suspended.numbers or "none")

    def _restart(self, _: "Map", now: int) -> str:
        self._manager.write_queue.after_durable(lambda _: self._manager.agent.restart(), now)
        return "restarting"

    def _decommission(self, _: "Map", now: int) -> str:
        if self._manager.write_queue.mirror is not None:
            raise Rejection("unsupported", "a pair: take the section redundancy out before")
        from agent.remote.decommission import Decommission  # noqa: PLC0415 - once in a unit's life

        self._decommissioning = Decommission(self._manager, now)
        return "erases itself and ends"

    def _fetch(self, arguments: "Map", _: int) -> str:
        from agent.remote.export import RecordExport, record_keys  # noqa: PLC0415 - rare

        keys = record_keys(str(arguments.get("what", "audit")))
        if not keys:
            raise Rejection("out_of_range", "what: audit or capture")
        if self._export is not None:
            raise Rejection("busy", "another export is on its way")
        self._export = RecordExport(self._manager, keys)
        return "%d records" % len(keys)

    def _start_capture(self, arguments: "Map", now: int) -> str:
        from agent.remote.capture import PortCapture  # noqa: PLC0415 - rare

        agent = self._manager.agent
        name, seconds = arguments.get("port"), arguments.get("seconds", 10)
        names = agent.port_names()
        if name not in names or self._is_secret_port(str(name)):
            allowed = [other for other in names if not self._is_secret_port(other)]
            raise Rejection("out_of_range", "port: one of " + " ".join(allowed))
        if type(seconds) is not int or not 1 <= seconds <= _LONGEST_CAPTURE_S:
            raise Rejection("out_of_range", "seconds: 1 to %d" % _LONGEST_CAPTURE_S)
        if self._capture is not None:
            raise Rejection("busy", "another capture runs")
        until = now + seconds * SECOND
        self._capture = PortCapture(agent, self._manager.write_queue, names.index(name), until, now)
        return "capturing %s for %d s" % (name, seconds)

    def _is_secret_port(self, name: str) -> bool:
        """Return whether logins or the records of the unit pass on a port."""
        section = name.partition(".")[0]
        if section in ("state", "console", "remote", "broker", "throttle"):
            return True
        components = self._manager.agent.config.components
        return any(other == section and has_secret(settings) for other, settings, _ in components)

    def _end_capture(self, now: int) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            text = "%d bytes of text, %d pieces dropped" % (capture.bytes, capture.dropped)
            self._manager.audit_entry([], "captured", 0, text, now)
            self._manager.add_result("captured: " + text)
