# SPDX-License-Identifier: Apache-2.0
"""Report of a unit on `cfg/reported`: what runs, what is on trial, results of the last messages.

Does not collect the results; see `agent.remote.manager`. The report and the configuration without
secrets are retained messages: the newest one replaces the one before.
"""

from agent.core.json_writer import JsonObject, write
from agent.remote.message import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.remote.message.reject import RejectionLog
    from agent.remote.schedule import ScheduledChange
    from agent.remote.storage.write_queue import RemoteHost
    from agent.remote.update.software_update import SoftwareUpdate
    from agent.remote.update.trial import TrialMonitor

    class ReportHost(RemoteHost, Protocol):
        """The remote manager as its report uses it."""

        has_boot_state: bool
        accepted_count: int
        rejections: "RejectionLog"
        results: "list[str]"
        schedule: "ScheduledChange"
        trial_monitor: "TrialMonitor | None"
        update: "SoftwareUpdate | None"
        report: "ReportPublisher"


REPORTED, CONFIG = "cfg/reported", "cfg/config"


class ReportPublisher:
    """Publishes after a request, and after rejections."""

    def __init__(self, manager: "ReportHost") -> None:
        self._is_due = True
        self.is_last = False
        self._manager = manager
        self._published_config = b""

    def make_due(self) -> None:
        """Publish at the next tick."""
        self._is_due = True

    def tick(self, now: int) -> None:
        """Publish if a report is due."""
        rejections = self._manager.rejections
        if self._is_due or rejections.report_due(now):
            self._is_due = False
            rejections.on_reported(now)
            self._publish()

    def _publish(self) -> None:
        manager, uplink = self._manager, self._manager.agent.uplink
        if uplink is None:
            return
        uplink.publish_latest(REPORTED, write(build_report(manager)).encode(), True)
        if self._published_config != manager.boot.config and manager.has_boot_state:
            self._published_config = manager.boot.config
            config = canonical.without_secrets(manager.boot.parsed_config())
            uplink.publish_latest(CONFIG, canonical.encode_config(config), True)

    def end(self) -> None:
        """Publish the final report of a decommissioned unit, and delete its configuration."""
        self.is_last = self._is_due = True
        self._published_config = self._manager.boot.config
        if self._manager.agent.uplink is not None:
            self._manager.agent.uplink.publish_latest(CONFIG, b"", True)

    def is_pending(self) -> bool:
        """Return whether a report or the configuration waits to be sent."""
        uplink = self._manager.agent.uplink
        topics = [] if uplink is None else [t for t in (REPORTED, CONFIG) if uplink.is_pending(t)]
        return self._is_due or bool(topics)


def build_report(manager: "ReportHost") -> JsonObject:
    """Return the report. `refused_message`: kind and counter of the last rejected message."""
    boot, monitor, audit = manager.boot, manager.trial_monitor, manager.write_queue.audit
    slots, rejections, update = boot.slots, manager.rejections, manager.update
    report: list[tuple[str, object]] = [
        ("version", slots.version),
        ("hash", canonical.hash_config(boot.config).hex()),
        ("counters", slots.counters),
        ("trial", None if slots.trial is None else slots.trial.counter),
        ("phase", None if monitor is None else monitor.phase),
        ("scheduled", manager.schedule.counter() or None),
        ("last", list(slots.last)),
        ("accepted", manager.accepted_count),
        ("refused", rejections.count),
        ("refusal", list(rejections.last)),
        ("refused_message", list(rejections.last_message)),
        ("results", manager.results),
        ("update", None if update is None else update.status()),
        ("audit", [audit.number, audit.head.hex()]),
    ]
    if manager.report.is_last:
        report.append(("decommissioned", True))
    return JsonObject(report)
