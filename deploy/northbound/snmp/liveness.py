# SPDX-License-Identifier: Apache-2.0
"""Asks snmpd each 2 s whether it runs, and kills it when it does not answer for 12 s.

Does not start it again; see `process`. The question is the discovery of the engine (RFC 3414,
section 4): it needs no user, and each manager sends it. snmpd answers with a report, and counts it
in usmStatsUnknownEngineIDs. A program that only waits for its process does not find a stopped one.
"""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import sys
from dataclasses import dataclass

_ASK_S, _START_S = 2.0, 20.0
HUNG_S = 12.0
"""Longest time without an answer, s; with the interval of the questions less than 15 s."""
_FIRST_SOCKET = 3
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


class _Answers(asyncio.DatagramProtocol):
    """Notes the answers. Errors, such as a closed port, are no answer."""

    def __init__(self) -> None:
        self.count = 0

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        """Count an answer; only snmpd can send on this connected socket."""
        self.count += 1


class HangWatch:
    """Kills a hanging snmpd. `times`: None gives the defaults.

    Before the first answer of all, nothing is killed: a packet filter can stop the questions.
    """

    def __init__(self, times: LivenessTimes | None = None) -> None:
        self._times = times or LivenessTimes()
        self._can_ask = False

    async def run(self, pid: int, address: tuple[str, int]) -> None:
        """Ask a new snmpd until cancelled. If it is silent, it gets SIGKILL."""
        loop, times = asyncio.get_running_loop(), self._times
        answers: _Answers
        transport, answers = await loop.create_datagram_endpoint(_Answers, remote_addr=address)
        try:
            seen, silent_since = 0, loop.time() + times.start_s - times.hung_s
            while True:
                asked = loop.time()
                with contextlib.suppress(OSError):
                    transport.sendto(DISCOVERY)
                await asyncio.sleep(times.ask_s)
                was_late = loop.time() - asked > times.ask_s + times.hung_s / 3
                if answers.count != seen:
                    self._can_ask = True
                    seen, silent_since = answers.count, asked
                elif was_late:  # this process may not have read the answers
                    silent_since = max(asked, silent_since)
                elif self._can_ask and loop.time() - silent_since > times.hung_s:
                    print("coldloop northbound: snmpd hangs", file=sys.stderr, flush=True)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    silent_since = loop.time()
        finally:
            transport.close()


def local_address(address: str, port: int, listen: int = 0) -> tuple[str, int]:
    """Return where snmpd answers on this machine. `listen`: sockets that systemd has passed."""
    for descriptor in range(_FIRST_SOCKET, _FIRST_SOCKET + listen):
        with socket.socket(fileno=os.dup(descriptor)) as passed:
            if passed.type == socket.SOCK_DGRAM:
                address, port = passed.getsockname()[:2]
                break
    found = ipaddress.ip_address(address)
    if found.is_unspecified:
        return ("127.0.0.1" if found.version == 4 else "::1"), port
    return address, port
