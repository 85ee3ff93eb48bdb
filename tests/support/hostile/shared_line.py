# SPDX-License-Identifier: Apache-2.0
"""A line with a second master, or with a reader that stalls, in virtual time.

Not a test. On this line frames follow each other: those of another master, replies, copies. The
other master asks at any time, also with functions whose reply is equal to the request. A stalled
reader takes all that came meanwhile as one chunk. `TRAITS` names what a line of each scenario does.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from drivers.modbus.bus import Bus
from drivers.modbus.transaction import STOP, WRITE
from protocols.modbus import pdu
from protocols.time_units import MILLISECOND, NEVER, SECOND
from tests.support.hostile.case import HOSTILE_S, UNITS, Chunk, HostileCase, HostileDevice

_SERVICE_US = 5 * MILLISECOND
_ADAPTER_US = 90 * MILLISECOND
"""An adapter or a stall is late by less than 100 ms beside another master: see the guard."""
_LATE_US = 5 * SECOND
"""An exception can be the late one to an equal request of ours."""
_MOST_STEPS = 60_000
_THEIRS = (3, 3, 3, 4, 1, 5, 6, 8, 16, 17, 22, 23, 43)

TRAITS = {
    "second master": {"master"},
    "second master, late": {"master", "late"},
    "second master, cut": {"master", "cut", "halves"},
    "second master, copies": {"master", "cut", "copies"},
    "second master, behind": {"master", "cut", "halves", "behind"},
    "second master, busy": {"master", "busy"},
    "second master, stalls": {"master", "cut", "halves", "stalls"},
    "second master, lost": {"master", "halves", "lost"},
    "second master, 40 blocks": {"master", "cut", "40 blocks"},
}
"""Scenarios of a line with another master."""
ALONE_TRAITS = {
    "busy": {"busy", "lost"},
    "stalls": {"stalls", "late", "lost"},
    "40 blocks": {"40 blocks", "lost"},
}
"""Scenarios without one, also for TCP."""


@dataclass
class Asked:
    """A request on its way to a device."""

    device: HostileDevice
    request: bytes
    transaction: bytes  # number of TCP
    is_theirs: bool


def _unused(*_: object) -> list[Chunk]:
    raise AssertionError("a shared line serves its requests itself")


class SharedLineCase(HostileCase):
    """One bus with two devices on a line with these traits."""

    def __init__(self, framing: str, traits: set[str], seed: int, sizes: str = "mixed") -> None:
        super().__init__(framing, _unused, seed, sizes)
        self.traits = traits
        # 40 blocks take about a second at 19200 baud.
        baud = self.rng.choice((38400, 115200) if "40 blocks" in traits else (9600, 19200, 115200))
        self.char_us = 11 * SECOND // baud
        self.chunk_size = self.rng.choice((1, 8, 14, 16, 256))
        if "copies" in traits:  # a device whose line keeps back whole frames has no timing
            self.chunk_size = min(self.chunk_size, 16)
        timeout_us = self.rng.choice((100, 200, 300, 1000)) * MILLISECOND
        self.bus = Bus(4, framing, baud, 11, timeout_us=timeout_us)
        self.on_the_way: dict[int, Asked] = {}  # by the order of arrival
        self.refused: list[tuple[int, int, bytes, int]] = []  # time, unit, request, code
        if "40 blocks" in traits:
            self.blocks = [(UNITS[0], pdu.read_holding(3 * i, 1 + i % 2)) for i in range(40)]

    # The other master.

    def disturb(self) -> None:
        """Let the other master ask, and give the bus more writes."""
        end = (self.now // SECOND + 1) * SECOND
        for _ in range(self.rng.choice((0, 1, 2, 5)) if "master" in self.traits else 0):
            self._run_until(min(end, self.now + self.rng.randrange(300) * MILLISECOND))
            self._ask_theirs()
        for _ in range(self.rng.randrange(6) if "busy" in self.traits else 0):
            self._submit_write(self.rng.choice((WRITE, STOP)))

    def _their_request(self) -> bytes:
        rng, function = self.rng, self.rng.choice(_THEIRS)
        address, count = rng.choice((160, 170, 200, 410)), rng.choice((1, 2, 5))
        if function == pdu.READ_WRITE:
            return pdu.read_write(address, count, 400, (5,))
        if function in (*pdu.READS, *pdu.BIT_READS):
            return bytes((function, address >> 8, address & 0xFF, 0, count))
        return {
            pdu.WRITE_COIL: pdu.write_coil(400, rng.randrange(2)),
            pdu.WRITE_SINGLE: pdu.write_single(400, rng.randrange(9)),
            pdu.DIAGNOSTICS: pdu.diagnostics_echo(rng.randrange(0x10000)),
            pdu.WRITE_MULTIPLE: pdu.write_multiple(400, (rng.randrange(5),)),
            pdu.REPORT_ID: bytes((pdu.REPORT_ID,)),
            pdu.MASK_WRITE: pdu.mask_write(400, 1, 2),
            pdu.DEVICE_ID: bytes((pdu.DEVICE_ID, 14, 1, 0)),
        }[function]

    def _ask_theirs(self) -> None:
        """Send a request of the other master: whole, in two parts, or cut short."""
        device, request = self.devices[self.rng.choice(UNITS)], self._their_request()
        frame = self.wrap(device.unit, request)
        start, kind = max(self.now, self.line_free_at), self.rng.randrange(4)
        at = self.rng.randrange(1, len(frame))
        if kind == 0 and "cut" in self.traits:
            self.schedule(start, frame[:at])  # no device answers it
            return
        if kind == 1 and "halves" in self.traits:
            self.schedule(start, frame[:at])
            self.schedule(self.line_free_at + self.rng.randrange(_ADAPTER_US), frame[at:])
        else:
            self.schedule(start, frame)
        self._send(Asked(device, request, b"", True), start + len(frame) * self.char_us)

    # The devices.

    def _send(self, asked: Asked, at: int) -> None:
        self.order += 1
        insort(self.arriving, (at, self.order, b""))
        self.on_the_way[self.order] = asked

    def _serve(self, frame: bytes) -> None:
        unit, request = self.take_request(frame)
        wire_us = len(frame) * self.char_us if self.framing != "tcp" else 100
        self._send(Asked(self.devices[unit], request, frame[:2], False), self.now + wire_us)

    def _answer(self, asked: Asked, now: int) -> None:
        """Let a request arrive at its device."""
        device, self.transaction = asked.device, asked.transaction
        rng, traits = self.rng, self.traits if now < HOSTILE_S * SECOND else set()
        if "lost" in traits and not asked.is_theirs and rng.randrange(4) == 0:
            return
        if traits == set():
            device.owed.clear()
        body = device.reply(asked.request, now)
        if "busy" in traits and rng.randrange(3) == 0:
            device.forget_last()
            body = bytes((asked.request[0] | 0x80, rng.choice((1, 2, 4, 5, 6, 6, 6))))
            if not asked.is_theirs:
                self.refused.append((now, device.unit, asked.request, body[1]))
        delay = rng.choice((1, 5, 5, 20)) * MILLISECOND if traits else _SERVICE_US
        if "late" in traits and rng.randrange(4) == 0:
            delay = rng.randrange(700) * MILLISECOND
        elif "master" in traits and rng.randrange(4) == 0:
            delay = rng.randrange(400) * MILLISECOND
        if "lost" in traits and rng.randrange(4) == 0:
            return
        device.busy_until = max(now, device.busy_until) + delay
        self._reply(device, self.wrap(device.unit, body), traits)

    def _reply(self, device: HostileDevice, frame: bytes, traits: set[str]) -> None:
        if "behind" in traits:
            if self.rng.randrange(5) == 0:
                device.behind = self.rng.randrange(4)
            device.owed.append(frame)
            count = max(0, len(device.owed) - device.behind)
            sent, device.owed = device.owed[:count], device.owed[count:]
        else:
            sent = [frame] * (1 + ("copies" in traits and self.rng.randrange(4) == 0))
        at = device.busy_until
        for each in sent:
            self.schedule(at, each)
            at = self.line_free_at + self.rng.randrange(1000)

    # The bus.

    def _run_until(self, until: int) -> None:
        for _ in range(_MOST_STEPS):
            due, at = self.bus.deadline(), self.arriving[0][0] if self.arriving else NEVER
            if min(due, at) > until:
                self.now = max(self.now, until)
                return
            self._step(due, at)
        raise AssertionError("the bus does not come to rest")

    def _stall_us(self) -> int:
        is_hostile = self.now < HOSTILE_S * SECOND
        if not is_hostile or "stalls" not in self.traits or self.rng.randrange(3):
            return 0
        most_us = _ADAPTER_US if "master" in self.traits else 500 * MILLISECOND
        return self.rng.randrange(most_us)

    def _step(self, due: int, at: int) -> None:
        """Deliver the next chunk or wake the bus; a stall makes one chunk of all that comes."""
        stall_us, data = self._stall_us(), b""
        end = max(self.now, min(due, at)) + stall_us
        taken_until = end if stall_us else at if at <= due else -1
        while self.arriving and self.arriving[0][0] <= taken_until:
            arrived_at, order, part = self.arriving.pop(0)
            data += part
            if order in self.on_the_way:
                self._answer(self.on_the_way.pop(order), arrived_at)
            if not stall_us:
                break
        self.now = end
        if data and self.bus.open:
            self.bus.receive(data, end)
            self._take_actions()
        if self.bus.deadline() <= end and (due < at or stall_us):
            self.bus.wake(end)
            self._take_actions()

    def _take_actions(self) -> None:
        for result in self.bus.take_results():
            self._judge(result)
        for _, op, frame in self.bus.outbox():
            if op == "write":
                self._serve(frame)
            else:
                self.arriving.clear()

    def _judge(self, result: object) -> None:
        """Also count an exception that the device did not send to this request or an equal one."""
        super()._judge(result)
        tag, code = result.tag, result.code  # type: ignore[attr-defined]
        if result.status not in ("exception", "busy"):  # type: ignore[attr-defined]
            return
        request = tag[2] if tag[0] == "write" else tag[1]
        sent = (result.unit, request, code)  # type: ignore[attr-defined]
        since = self.asked[tag][1] - _LATE_US
        if not [1 for at, *refused in self.refused if at >= since and tuple(refused) == sent]:
            self.false_refusal += 1
