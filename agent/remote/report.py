# SPDX-License-Identifier: Apache-2.0
"""Report of a unit on `cfg/reported`: what runs, what is on trial, results of the last messages.

Does not collect the results; see `agent.remote.manager`. The report and the configuration without
secrets are retained messages: the newest one replaces the one before.

A unit with a key (`agent.remote.storage.unit_key`) signs its report, which then has the hash of the
published configuration, too. A signature is made in slices; a newer report waits for its end.
"""

from agent.core.json_writer import JsonObject, write
from agent.remote import module_unload
from agent.remote.message import canonical
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.core.context import UplinkView
    from agent.remote.message.reject import RejectionLog
    from agent.remote.report_signer import ReportSigner
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
SLICE_US = 4 * MILLISECOND
"""Time between two slices of a signature or a verification."""
BOARD_SLICE_US = 16 * MILLISECOND
"""Longest slice on an RP2040 (measured: see docs/engineer/firmware.md), with a reserve."""


def next_slice(host: "RemoteHost", now: int, need: int) -> int:
    """Return when a slice of `need` µs can begin: now, on a board perhaps after the next tick."""
    due = host.agent.ticks.due
    if not host.boot.small_slices or due - now >= need:
        return now
    return (due if due + SLICE_US > now else now) + SLICE_US


class ReportPublisher:
    """Publishes after a request, and after rejections.

    `due`: time of the next slice of a signature, `NEVER` if none is in progress.
    """

    def __init__(self, manager: "ReportHost") -> None:
        self.due = NEVER
        self._is_due = True
        self.is_last = False
        self._manager = manager
        self._published_config = b""
        self._public_hash = ""
        self._signer: ReportSigner | None = None
        self._config_waits = False

    def make_due(self) -> None:
        """Publish at the next tick."""
        self._is_due = True

    def tick(self, now: int) -> None:
        """Publish if a report is due and none is being signed."""
        rejections = self._manager.rejections
        if self._manager.write_queue.is_saving(now):
            return  # a power cut must not undo what was reported
        if self._signer is None and (self._is_due or rejections.report_due(now)):
            self._is_due = False
            rejections.on_reported(now)
            self._publish(now)
        elif self._config_waits and self._manager.agent.uplink is not None:
            self._config_waits = False
            self._publish_config(self._manager.agent.uplink)

    def _publish(self, now: int) -> None:
        manager, uplink = self._manager, self._manager.agent.uplink
        if uplink is None:
            return
        # Both controllers of a pair have an audit log of their own, so no number that only rises.
        if manager.boot.unit_key is not None and manager.write_queue.mirror is None:
            self._publish_config(uplink)
            self._start_signature(manager.boot.unit_key, now)
            return
        uplink.publish_latest(REPORTED, write(build_report(manager)).encode(), True)
        if manager.boot.small_slices:
            self._config_waits = True  # a board publishes it in another tick
        else:
            self._publish_config(uplink)

    def _publish_config(self, uplink: "UplinkView") -> None:
        manager = self._manager
        if self._published_config != manager.boot.config and manager.has_boot_state:
            self._published_config = manager.boot.config
            config = canonical.without_secrets(manager.boot.parsed_config())
            payload = canonical.encode_config(config)
            self._public_hash = canonical.hash_config(payload).hex()
            uplink.publish_latest(CONFIG, payload, True)

    def _start_signature(self, key: "tuple[bytes, bytes]", now: int) -> None:
        from agent.remote.report_signer import ReportSigner  # noqa: PLC0415 - see `agent.remote.module_unload`

        config = self._manager.agent.config
        report = build_report(self._manager)
        report.pairs.append(("config", self._public_hash))
        unit = config.site + "/" + config.unit
        self._signer = ReportSigner(key, unit, write(report).encode())
        self.due = now

    def step(self, now: int) -> None:
        """Do the next slice of a signature; publish the report when it is complete."""
        signer, uplink = self._signer, self._manager.agent.uplink
        if signer is None:
            return
        self.due = next_slice(self._manager, now, BOARD_SLICE_US)
        if self.due > now:
            return
        self.due = now + SLICE_US
        if signer.step(self._manager.boot.small_slices):
            self._signer = None
            self.due = NEVER
            module_unload.unload_verifier()
            if uplink is not None:
                uplink.publish_latest(REPORTED, signer.payload, True)

    def end(self) -> None:
        """Publish the final report of a decommissioned unit, and delete its configuration."""
        self.is_last = self._is_due = True
        self._config_waits = False
        self._signer = None
        self.due = NEVER
        self._published_config = self._manager.boot.config
        self._public_hash = ""
        if self._manager.agent.uplink is not None:
            self._manager.agent.uplink.publish_latest(CONFIG, b"", True)

    def is_pending(self) -> bool:
        """Return whether a report or the configuration waits to be sent."""
        uplink = self._manager.agent.uplink
        topics = [] if uplink is None else [t for t in (REPORTED, CONFIG) if uplink.is_pending(t)]
        return self._is_due or self._config_waits or self._signer is not None or bool(topics)


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
    if manager.write_queue.mirror is not None:
        report.append(("pair", "alone" if manager.write_queue.mirror.is_alone else "both"))
    if manager.report.is_last:
        report.append(("decommissioned", True))
    return JsonObject(report)
