# SPDX-License-Identifier: Apache-2.0
"""One RS-485 line with emulated Modbus RTU servers.

pymodbus decodes and builds the frames (its CRC, PDU classes and framer). So an error in the agent's
frame code cannot be hidden by the same error here.

Unlike the server of pymodbus, this one shares its line. It recognises and ignores requests to other
units and replies of real devices. It skips invalid bytes before a frame, and it accepts a frame in
several pieces. Any unit can be handed to a real port while the others continue. The line caches
decoded requests, because a client repeats them. It also caches the last reply to each request until
the tables of the server change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from hil.devices.base import MILLISECOND, NEVER, EmulatedDevice, FaultTarget, Replies
from hil.devices.modbus.frames import FrameScanner
from hil.devices.modbus.requests import (
    ModbusRequest,
    decode_request,
    execute_broadcast,
    execute_request,
)
from hil.devices.modbus.server import ModbusServer

_MAX_CACHE = 512


class ModbusLine(FaultTarget):
    """The emulated part of a multidrop RTU line; implements `EmulatedDevice`.

    Faults: `silent` (no reply from the whole line, as with a cut cable), `echo` (every request
    returns before the reply, as with an adapter that receives its own bytes). Each server has its
    own faults. Counters: `request_count` (requests to emulated units), `foreign_frames` (frames of
    others), `discarded_bytes` (bytes outside frames).
    """

    FAULTS: ClassVar = frozenset(("silent", "echo"))

    def __init__(
        self,
        servers: Sequence[ModbusServer],
        gap_us: int = 50 * MILLISECOND,
        other_devices: Sequence[EmulatedDevice] = (),
    ) -> None:
        """`other_devices` also send on the line, for example a second master.

        Incomplete frames are discarded after a pause of `gap_us`. A real server discards them after
        3.5 characters; a pseudo-terminal is not accurate enough for this.
        """
        self.servers = {server.unit: server for server in servers}
        if len(self.servers) != len(servers):
            raise ValueError("two servers have the same unit id")
        self.other_devices = list(other_devices)
        self._servers = list(servers)
        self._timed_servers = [s for s in servers if type(s).deadline is not ModbusServer.deadline]
        self.silent = False
        self.echo = False
        self.request_count = 0
        self.foreign_frames = 0
        self._frames = FrameScanner(gap_us)
        self._framer = FramerRTU(DecodePDU(True))
        self._cache: dict[bytes, ModbusRequest] = {}
        self._real_units: dict[int, Callable[[bytes], None]] = {}
        self._observe: Callable[[bytes], None] | None = None

    @property
    def discarded_bytes(self) -> int:
        """Number of bytes outside frames."""
        return self._frames.discarded_bytes

    # Real devices.

    def attach_real(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Hand a unit to a real port: `send` gets every request to it, byte for byte.

        The emulated server of that unit does not reply any more; broadcasts go to both.
        """
        self._real_units[unit] = send

    def restore_emulated(self, unit: int) -> None:
        """Let the emulated server of a unit reply again."""
        self._real_units.pop(unit, None)

    def set_observer(self, observe: Callable[[bytes], None]) -> None:
        """Give `observe` the bytes of the client before the line processes them."""
        self._observe = observe

    # Device interface.

    def receive(self, data: bytes, now: int) -> Replies:
        """Process bytes of the client, or of real devices on the same line."""
        if self._observe is not None:
            self._observe(data)
        replies: Replies = [(0, data)] if self.echo else []
        if not self._frames.buffer:
            request = self._cache.get(data)
            if request is not None:
                server_replies = self._serve(request, data, now)
                return replies + server_replies if replies else server_replies
        for frame in self._frames.extract_frames(data, now):
            replies += self._serve(self._decode_cached(frame), frame, now)
        return replies

    def wake(self, now: int) -> Replies:
        """Wake servers and other devices whose deadline has passed."""
        for server in self.servers.values():
            if server.deadline() <= now:
                server.wake(now)
        replies: Replies = []
        for device in self.other_devices:
            if device.deadline() <= now:
                replies += device.wake(now)
        return [] if self.silent else replies

    def deadline(self) -> int:
        """Return the earliest deadline on the line."""
        due = NEVER
        for server in self._servers:
            if server.delayed_writes and server.delayed_writes[0][0] < due:
                due = server.delayed_writes[0][0]
        for timed in self._timed_servers:
            at = timed.deadline()
            if at < due:
                due = at
        for device in self.other_devices:
            due = min(due, device.deadline())
        return due

    # Requests.

    def _decode_cached(self, frame: bytes) -> ModbusRequest:
        """Return the request in a frame, from the cache or decoded."""
        request = self._cache.get(frame)
        if request is None:
            unit = frame[0]
            request = decode_request(frame[1:-2], unit, self.servers.get(unit))
            if len(self._cache) >= _MAX_CACHE:
                self._cache.clear()
            self._cache[frame] = request
        return request

    def _serve(self, request: ModbusRequest, frame: bytes, now: int) -> Replies:
        """Execute a request; return its reply with the server's delay, or nothing."""
        server = request.server
        if self.silent or (self._real_units and self._forward(request.unit, frame)):
            return []
        if server is None:
            self._handle_unserved(request, now)
            return []
        if server.dead or now < server.silent_until:
            return []
        self.request_count += 1
        server.begin_request(now)
        reply = execute_request(request, server, now, self._framer.buildFrame)
        if (
            server.noise
            or server.corrupted_replies
            or server.truncated_replies
            or server.duplicated_replies
            or server.reply_unit is not None
        ):
            if server.reply_unit is not None:
                reply = self._framer.encode(reply[1:-2], server.reply_unit, 0)
            reply = server.apply_reply_faults(reply)
        return [(server.turnaround_us + server.extra_delay_us, reply)]

    def _forward(self, unit: int, frame: bytes) -> bool:
        """Pass a frame to a real port; return true if the emulated server must ignore it."""
        if unit == 0:
            for send in set(self._real_units.values()):
                send(frame)
            return False
        send_real = self._real_units.get(unit)
        if send_real is None:
            return False
        send_real(frame)
        return True

    def _handle_unserved(self, request: ModbusRequest, now: int) -> None:
        """Let all servers execute a broadcast without a reply; count a frame for another unit."""
        if request.unit != 0:
            self.foreign_frames += 1
            return
        for unit, server in self.servers.items():
            if unit not in self._real_units and not server.dead and now >= server.silent_until:
                server.on_request(now)
                execute_broadcast(request, server, now)
