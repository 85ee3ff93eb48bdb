# SPDX-License-Identifier: Apache-2.0
"""Asks snmpd each 2 s whether it runs, and kills it when it does not answer for 12 s.

Does not start it again; see `process`. The question is the discovery of the engine (RFC 3414,
section 4): it needs no user, and each manager sends it. snmpd answers with a report, and counts it
in usmStatsUnknownEngineIDs. A program that only waits for its process does not find a stopped one.

snmpd has a socket in a private folder for these questions, beside its port: a flood fills the
queue of the port, and a program that answers others all the time does not hang.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

_ASK_S, _START_S = 2.0, 20.0
HUNG_S = 12.0
"""Longest time without an answer, s; with the interval of the questions less than 15 s."""
SOCKET = "alive.sock"
"""The socket in the folder of snmpd; its path can be longer than that of a socket."""
_LONGEST_ANSWER = 2048
DISCOVERY = bytes.fromhex(
    "303e 020103"  # SNMPv3
    "3011 0204636f6f6c 020300ffe3 040104 020103"  # reportable, user-based security
    "0410 300e 0400 020100 020100 0400 0400 0400"  # no engine, no user
    "3014 0400 0400 a00e 0204636f6f6c 020100 020100 3000"  # GetRequest without variables
)


@dataclass(frozen=True, slots=True)
class LivenessTimes:
    """Interval of the questions, longest silence, and time for a start, s."""

    ask_s: float = _ASK_S
    hung_s: float = HUNG_S
    start_s: float = _START_S


class HangWatch:
    """Kills a hanging snmpd. `times`: None gives the defaults. `had_answer`: one has answered.

    Before the first answer of all, nothing is killed: an snmpd without this socket stays.
    """

    def __init__(self, times: LivenessTimes | None = None) -> None:
        self._times = times or LivenessTimes()
        self.had_answer = False

    async def run(self, pid: int, folder: Path) -> None:
        """Ask a new snmpd until cancelled. If it is silent, it gets SIGKILL."""
        loop, times = asyncio.get_running_loop(), self._times
        silent_since = loop.time() + times.start_s - times.hung_s
        while True:
            asked = loop.time()
            answers = await self._ask(folder)
            await asyncio.sleep(max(0.0, asked + times.ask_s - loop.time()))
            was_late = loop.time() - asked > times.ask_s + times.hung_s / 3
            if answers:
                self.had_answer = True
                silent_since = asked
            elif was_late:  # this process may not have read the answer
                silent_since = max(asked, silent_since)
            elif self.had_answer and loop.time() - silent_since > times.hung_s:
                print("coldloop northbound: snmpd hangs", file=sys.stderr, flush=True)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                silent_since = loop.time()

    async def _ask(self, folder: Path) -> bool:
        """Return whether snmpd answers before the next question."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            try:
                folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    sock.connect(f"/proc/self/fd/{folder_fd}/{SOCKET}")
                finally:
                    os.close(folder_fd)
                async with asyncio.timeout(self._times.ask_s):
                    await loop.sock_sendall(sock, DISCOVERY)
                    return bool(await loop.sock_recv(sock, _LONGEST_ANSWER))
            except OSError:  # TimeoutError too: no socket yet, or too many questions are open
                return False
