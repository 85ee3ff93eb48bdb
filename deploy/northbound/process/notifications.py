# SPDX-License-Identifier: Apache-2.0
"""Notifications to one receiver that confirms them: kept until it does, sent again with pauses.

While the receiver answers, each notification is sent, in order. If it does not, only the newest
one of each alarm is kept: a receiver that comes back gets the state of now. The store is bounded;
the oldest is dropped and counted. After a failure the pause is 2 s; it doubles up to 60 s. Then the
next alarm is tried, so that one that cannot be sent keeps no other back. A new notification ends a
pause: the receiver can be back, and an alarm must not wait for a minute.

An error of the function that sends is a failed attempt, also one that is no `Exception`, as those
of bacpypes3: the alarms after it are sent.

Does not send; SNMP and BACnet give the function that does. The counts of each process are in a file
of the state folder, for the metrics and for `coldloop doctor`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from deploy.northbound.process.supervisor import STOP_EXCEPTIONS
from deploy.ops.private_file import StateFile, load_state

MOST_WAITING = 256
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
_FILE = "notifications-{}.json"
_PROTOCOLS = ("snmp", "bacnet")
_Notice = TypeVar("_Notice")


@dataclass(slots=True)
class NotificationCounts:
    """Counts since the start of the process. `failed`: attempts. `waiting`: not confirmed yet.

    `replaced`: by a newer one of the same alarm. `dropped`: the store was full, or refused by the
    receiver.
    """

    protocol: str
    receiver: str
    confirmed: int = 0
    failed: int = 0
    replaced: int = 0
    dropped: int = 0
    waiting: int = 0


class NotificationQueue(Generic[_Notice]):
    """The notifications to one receiver. `sleep`: for the pauses, s."""

    def __init__(
        self,
        protocol: str,
        receiver: str,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.counts = NotificationCounts(protocol, receiver)
        self.is_down = False
        self._sleep = sleep
        self._waiting: list[tuple[str, _Notice]] = []
        self._has_notices, self._has_news = asyncio.Event(), asyncio.Event()

    def names(self) -> set[str]:
        """Return the names of the alarms whose newest notification is not confirmed."""
        return {name for name, _ in self._waiting}

    def put(self, name: str, notice: _Notice) -> None:
        """Add the newest notification of the alarm `name`."""
        self._waiting.append((name, notice))
        if self.is_down or len(self._waiting) > MOST_WAITING:
            self._keep_newest()
        while len(self._waiting) > MOST_WAITING:
            del self._waiting[0]
            self.counts.dropped += 1
        self.counts.waiting = len(self._waiting)
        self._has_notices.set()
        self._has_news.set()

    def _keep_newest(self) -> None:
        newest = {name: number for number, (name, _) in enumerate(self._waiting)}
        kept = [entry for number, entry in enumerate(self._waiting) if newest[entry[0]] == number]
        self.counts.replaced += len(self._waiting) - len(kept)
        self._waiting = kept

    async def run(self, send: Callable[[_Notice], Awaitable[bool | None]]) -> None:
        """Send for ever. `send` returns True: confirmed, False: again later, None: refused."""
        pause_s = FIRST_PAUSE_S
        while True:
            await self._has_notices.wait()
            if not self._waiting:
                self._has_notices.clear()
                continue
            entry = self._waiting[0]
            self._has_news.clear()
            try:
                answer = await send(entry[1])
            except STOP_EXCEPTIONS:
                raise
            except BaseException:  # noqa: BLE001 - see above
                answer = False
            if answer is not False:
                self._remove(entry)
                self.counts.confirmed += answer is True
                self.counts.dropped += answer is None
                self.is_down, pause_s = False, FIRST_PAUSE_S
                continue
            self.counts.failed += 1
            self.is_down = True
            self._keep_newest()
            if entry in self._waiting:
                self._remove(entry)
                self._waiting.append(entry)
            self.counts.waiting = len(self._waiting)
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _pause(self, pause_s: float) -> None:
        """Wait, until a new notification at most, but not less than the first pause."""
        clock = asyncio.get_running_loop().time
        until = clock() + FIRST_PAUSE_S
        waits = [
            asyncio.ensure_future(self._sleep(pause_s)),
            asyncio.ensure_future(self._has_news.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            has_passed = waits[0].done()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if not has_passed and clock() < until:
            await self._sleep(until - clock())

    def _remove(self, entry: tuple[str, _Notice]) -> None:
        self._waiting = [other for other in self._waiting if other is not entry]
        self.counts.waiting = len(self._waiting)


class CountFile:
    """The counts of one protocol in the state folder `state`; written if they have changed."""

    def __init__(self, state: Path, protocol: str) -> None:
        self._file = StateFile(state / _FILE.format(protocol))

    def write(self, counts: list[NotificationCounts]) -> None:
        """Write the counts. A full disk costs the counts only."""
        self._file.write(json.dumps([asdict(entry) for entry in counts]))


def read_counts(state: Path) -> Iterator[NotificationCounts]:
    """Give the counts of all protocols. A missing or damaged file has none."""
    for protocol in _PROTOCOLS:
        none: list[NotificationCounts] = []
        yield from load_state(state / _FILE.format(protocol), _counts_of, none)


def _counts_of(entries: list[dict[str, Any]]) -> list[NotificationCounts]:
    """Return the counts of a file. Raises TypeError: one of them is no text or no number."""
    for fields in entries:
        for name, value in fields.items():
            if type(value) is not (str if name in ("protocol", "receiver") else int):
                raise TypeError(name)
    return [NotificationCounts(**fields) for fields in entries]
