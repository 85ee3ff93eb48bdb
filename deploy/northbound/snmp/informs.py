# SPDX-License-Identifier: Apache-2.0
"""Informs: tells each receiver of raised, cleared and acknowledged alarms (RFC 3416, 4.2.7).

snmpinform of net-snmp sends and repeats each inform until the receiver confirms it. Each receiver
has a queue and a task of its own, so a dead receiver delays no other; see
`deploy.northbound.process.notifications`. At the start each active alarm is reported once, because
alarms can have changed while the process did not run; one that has ended meanwhile is reported as
cleared. The keys are in a private file, not in the arguments.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.northbound.process.notifications import MOST_WAITING, NotificationQueue
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
from deploy.ops.private_file import StateFile, load_state

_KINDS = {RAISED: 1, CLEARED: 2, ACKNOWLEDGED: 3}
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
    """Finds the informs of a new snapshot. A stale snapshot knows no alarms and changes nothing.

    `known`: alarms that the receivers know as active from before the start, with their rows.
    """

    def __init__(self, known: "KnownAlarms | None" = None) -> None:
        self._follower = AlarmFollower()
        self._rows: dict[str, tuple[int, ...]] = {}
        self._before = dict(known or {})
        self._sent: KnownAlarms = {}

    def update(self, snapshot: Snapshot) -> list[Inform]:
        """Return the informs since the last snapshot. An alarm that left the list has its old row.

        Its values are also those of the last record with it.
        """
        if snapshot.stale:
            return []
        rows = {alarm.id: index for index, alarm in alarm_rows(snapshot.alarms)}
        known, self._rows = {**self._rows, **rows}, rows
        changes = self._follower.update(snapshot)
        found = [Inform(_KINDS[change], known[alarm.id], alarm) for change, alarm in changes]
        still = {alarm.id for alarm in snapshot.alarms if alarm.active or alarm.state == "shelved"}
        ended = [entry for name, entry in self._before.items() if name not in still]
        self._before = {}
        informs = [Inform(_KINDS[CLEARED], index, alarm) for index, alarm in ended] + found
        self._sent |= {inform.alarm.id: (inform.index, inform.alarm) for inform in informs}
        return informs

    def known(self, waiting: Container[str] = ()) -> "KnownAlarms":
        """Return the alarms that receivers can know as active. `waiting`: with an open inform."""
        if self._before:  # no record since the start
            return self._before
        alarms = self._follower.alarms.values()
        active = {alarm.id for alarm in alarms if alarm.active or alarm.state == "shelved"}
        self._sent = {n: entry for n, entry in self._sent.items() if n in active or n in waiting}
        return self._sent


KnownAlarms = dict[str, tuple[tuple[int, ...], AlarmItem]]
"""Row and values of alarms by full code."""


class KnownFile:
    """The alarms that the receivers know as active, in the file `path`, over a restart."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, StateFile(path)

    def load(self) -> KnownAlarms:
        """Return the alarms; a damaged file has none."""
        return load_state(self._path, _known_alarms, {})

    def save(self, known: KnownAlarms) -> None:
        """Write the file if the alarms have changed. A full disk costs the memory only."""
        rows = [
            [index, a.number, a.code, a.name, a.priority, a.text, a.action]
            for index, a in known.values()
        ]
        self._file.write(json.dumps(rows))


def _known_alarms(rows: list[list[Any]]) -> KnownAlarms:
    rows = rows[:MOST_WAITING]
    found = [(tuple(int(n) for n in index), _alarm(*fields)) for index, *fields in rows]
    return {alarm.id: (index, alarm) for index, alarm in found}


def _alarm(number: int, code: str, name: str, priority: int, text: str, action: str) -> AlarmItem:
    """Return an alarm of the file as one that has ended."""
    return AlarmItem(
        int(number), str(code), str(name), int(priority), "cleared_unacknowledged", str(text),
        str(action),
    )  # fmt: skip


class InformSender:
    """Sends to one receiver, HOST:PORT. `folder`: of snmp.conf with user and keys."""

    def __init__(
        self,
        receiver: str,
        folder: Path,
        root: Oid = ROOT,
        program: str = "",
        queue: NotificationQueue[Inform] | None = None,
    ) -> None:
        self.receiver, self.folder, self.root = receiver, folder, root
        self.program = program or shutil.which("snmpinform") or "snmpinform"
        self.queue = queue or NotificationQueue("snmp", receiver)

    def put(self, inform: Inform) -> None:
        """Add an inform. An acknowledgement replaces no raise and no end of the alarm."""
        name = inform.alarm.id
        self.queue.put(name if inform.kind != _KINDS[ACKNOWLEDGED] else f"{name} seen", inform)

    async def run(self) -> None:
        """Send for ever."""
        await self.queue.run(self._send)

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
