# SPDX-License-Identifier: Apache-2.0
"""Whether snmpd still answers: a discovery request of SNMPv3 (RFC 3414, section 4) to its address.

Each agent answers it with a report, without keys and without values. So a snmpd that hangs is
found. One that is only slow is not: while its time on the processor grows, it has longer to answer.
One that has never answered is left alone: the filter of the system can keep the request out.

Does not end snmpd; see `process`.
"""

import asyncio
import socket
from pathlib import Path

_FIRST_PROBE_S, _PROBE_S, _ANSWER_S = 0.3, 3.0, 1.0
_HANGS_S, _BUSY_S = 15.0, 60.0
"""Time without an answer after which snmpd hangs: without work, and while it works."""
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound


def _part(tag: int, *parts: bytes) -> bytes:
    """Return a value of ASN.1 with a short length."""
    body = b"".join(parts)
    return bytes((tag, len(body))) + body


_SEQUENCE, _INTEGER, _OCTETS, _GET = 0x30, 2, 4, 0xA0
_ZERO, _EMPTY = _part(_INTEGER, b"\0"), _part(_OCTETS)
_ID, _MAX_SIZE = _part(_INTEGER, b"\x04\xd2"), _part(_INTEGER, b"\0\xff\xe3")
_VERSION_3 = _USER_MODEL = _part(_INTEGER, b"\3")
_REPORTABLE = _part(_OCTETS, b"\4")
DISCOVERY = _part(
    _SEQUENCE,
    _VERSION_3,
    _part(_SEQUENCE, _ID, _MAX_SIZE, _REPORTABLE, _USER_MODEL),
    _part(_OCTETS, _part(_SEQUENCE, _EMPTY, _ZERO, _ZERO, _EMPTY, _EMPTY, _EMPTY)),
    _part(_SEQUENCE, _EMPTY, _EMPTY, _part(_GET, _ID, _ZERO, _ZERO, _part(_SEQUENCE))),
)
"""A request without an engine and a user; the answer names the engine."""


class DaemonWatch:
    """Watches one snmpd. `address`: at which it answers. `has_answered`: at least once."""

    def __init__(self, pid: int, address: tuple[str, int]) -> None:
        self._pid, self._address = pid, address
        self.has_answered = False

    async def wait_until_hung(self) -> None:
        """Return when snmpd has answered before and does not any more."""
        clock = asyncio.get_running_loop().time
        answered_at = worked_at = clock()
        work = -1
        while True:
            await asyncio.sleep(_PROBE_S if self.has_answered else _FIRST_PROBE_S)
            is_answered, now = await _answers(self._address), clock()
            if is_answered:
                self.has_answered = True
                answered_at = worked_at = now
                continue
            if (next_work := _work_of(self._pid)) != work:
                work, worked_at = next_work, now
            silent_s = now - answered_at
            hangs = silent_s > _BUSY_S or min(silent_s, now - worked_at) > _HANGS_S
            if self.has_answered and hangs:
                return


async def _answers(address: tuple[str, int]) -> bool:
    host = _ANY.get(address[0], address[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, (host, address[1]))
            await loop.sock_sendall(sock, DISCOVERY)
            return bool(await asyncio.wait_for(loop.sock_recv(sock, 1500), _ANSWER_S))
        except (OSError, TimeoutError):
            return False


def _work_of(pid: int) -> int:
    """Return the ticks that a process has used; -1: not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return -1
