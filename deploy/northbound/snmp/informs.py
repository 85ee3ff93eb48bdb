# SPDX-License-Identifier: Apache-2.0
"""Informs: tells each receiver of raised, cleared and acknowledged alarms (RFC 3416, 4.2.7).

snmpinform of net-snmp sends and repeats each inform until the receiver confirms it. Each receiver
has a queue and a task of its own, so a dead receiver delays no other. The queue is bounded: the
oldest inform is dropped and counted. At the start each active alarm is reported once, because
alarms can have changed while the process did not run. The keys are in a private file,
not in the arguments.
"""

import asyncio
import os
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.northbound.snapshot import (
    ACKNOWLEDGED,
    CLEARED,
    RAISED,
    AlarmFollower,
    AlarmItem,
    Snapshot,
)
from deploy.northbound.snmp.tree import (
    ALARMS,
    NOTIFICATIONS,
    ROOT,
    Oid,
    alarm_rows,
    alarm_values,
    moved,
)

_KINDS = {RAISED: 1, CLEARED: 2, ACKNOWLEDGED: 3}
_QUEUE_LENGTH = 256
_RETRIES, _TIMEOUT_S = 5, 2
_LONGEST_SEND_S = 30.0
_NOTIFIED_COLUMNS = (3, 4, 5, 6, 7)  # as mib_text.NOTIFIED
_TYPE_LETTERS = {"string": "s", "integer": "i"}


@dataclass(frozen=True, slots=True)
class Inform:
    """A notification of an alarm. `index`: of its row in the table of alarms."""

    kind: int
    index: tuple[int, ...]
    alarm: AlarmItem

    def arguments(self, root: Oid = ROOT) -> list[str]:
        """Return the arguments of snmpinform after the receiver. `root`: of the MIB."""
        result = ["", _format_oid(moved((*NOTIFICATIONS, self.kind), root))]
        values = alarm_values(self.alarm)
        for column in _NOTIFIED_COLUMNS:
            value = values[column]
            if value is not None:
                oid = _format_oid(moved((*ALARMS, 1, 1, column, *self.index), root))
                result += [oid, _TYPE_LETTERS[value.kind], value.text]
        return result


class AlarmChanges:
    """Finds the informs of a new snapshot. A stale snapshot knows no alarms and changes nothing."""

    def __init__(self) -> None:
        self._follower = AlarmFollower()
        self._rows: dict[str, tuple[int, ...]] = {}

    def update(self, snapshot: Snapshot) -> list[Inform]:
        """Return the informs since the last snapshot. An alarm that left the list has its old row.

        Its values are also those of the last record with it.
        """
        if snapshot.stale:
            return []
        rows = {alarm.id: index for index, alarm in alarm_rows(snapshot.alarms)}
        known, self._rows = {**self._rows, **rows}, rows
        changes = self._follower.update(snapshot)
        return [Inform(_KINDS[change], known[alarm.id], alarm) for change, alarm in changes]


@dataclass(slots=True)
class InformCounters:
    """Informs since the start."""

    confirmed: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(slots=True)
class InformSender:
    """Sends to one receiver, HOST:PORT. `folder`: of snmp.conf with user and keys."""

    receiver: str
    folder: Path
    root: Oid = ROOT
    program: str = field(default_factory=lambda: shutil.which("snmpinform") or "snmpinform")
    counters: InformCounters = field(default_factory=InformCounters)
    _queue: deque[Inform] = field(default_factory=lambda: deque(maxlen=_QUEUE_LENGTH))
    _has_informs: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, inform: Inform) -> None:
        """Append an inform; the oldest one is dropped if the queue is full."""
        if len(self._queue) == _QUEUE_LENGTH:
            self.counters.dropped += 1
        self._queue.append(inform)
        self._has_informs.set()

    async def run(self) -> None:
        """Send for ever, in order."""
        while True:
            await self._has_informs.wait()
            self._has_informs.clear()
            while self._queue:
                if await self._send(self._queue.popleft()):
                    self.counters.confirmed += 1
                else:
                    self.counters.failed += 1

    async def _send(self, inform: Inform) -> bool:
        """Send one inform; return whether the receiver has confirmed it."""
        command = [self.program, "-v3", "-r", str(_RETRIES), "-t", str(_TIMEOUT_S), self.receiver]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *inform.arguments(self.root),
                env=client_environment(self.folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:
            return False
        try:
            return await asyncio.wait_for(process.wait(), _LONGEST_SEND_S) == 0
        except TimeoutError:
            return False
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def client_environment(folder: Path) -> Mapping[str, str]:
    """Return the environment of a client program. A text that begins with - is no option."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "SNMPCONFPATH": str(folder / "client"),
        "SNMP_PERSISTENT_DIR": str(folder / "client"),
        "MIBS": "",
        "POSIXLY_CORRECT": "1",
    }


def _format_oid(oid: tuple[int, ...]) -> str:
    return "." + ".".join(map(str, oid))
