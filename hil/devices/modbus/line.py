"""One RS-485 line with emulated Modbus RTU slaves on it.

Frames are taken apart and put together by pymodbus (its CRC, its PDU classes, its framer), never by
code of ours, so that a mistake in the agent's frames cannot hide behind the same mistake here.

What pymodbus' own server does not do is done here: it shares the line. Requests to units that are
not emulated, and replies of real devices to them, are recognised and passed over; garbage before a
frame is skipped; a frame may come in pieces. Any unit may be handed to a real port while the rest
goes on. Decoded requests are kept (a master repeats itself), and so is the last reply to each, for
as long as the slave's tables stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    """The emulated half of a multidrop RTU line; a `EmulatedDevice`.

    Faults: `silent` (nothing on the line answers, as with a cut cable), `echo` (an adapter that
    hears itself: every request comes back before the reply). Each slave has its own. Counters:
    `request_count` (requests to emulated units), `foreign_frames` (frames of others),
    `discarded_bytes` (bytes that were part of no frame).
    """

    FAULTS = frozenset(("silent", "echo"))

    def __init__(
        self,
        servers: Sequence[ModbusServer],
        gap_us: int = 50 * MILLISECOND,
        other_devices: Sequence[EmulatedDevice] = (),
    ) -> None:
        """`other_devices` also talk on the line (another master). Bytes that make no frame are
        dropped after a pause of `gap_us`.

        A real slave drops them after 3.5 characters; a pseudo-terminal cannot keep such times.
        """
        self.servers = {server.unit: server for server in servers}
        if len(self.servers) != len(servers):
            raise ValueError("two slaves have the same unit id")
        self.other_devices = list(other_devices)
        self.silent = False
        self.echo = False
        self.request_count = 0
        self.foreign_frames = 0
        self._frames = FrameScanner(gap_us)
        self._framer = FramerRTU(DecodePDU(True))
        self._cache: dict[bytes, ModbusRequest] = {}
        self._real_units: dict[int, Callable[[bytes], None]] = {}

    @property
    def discarded_bytes(self) -> int:
        """Bytes that were part of no frame."""
        return self._frames.discarded_bytes

    # Real devices.

    def attach_real(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Give a unit to a real port: `send` gets every request to it, byte for byte.

        The emulated slave of that unit is silent from now on; broadcasts go to both.
        """
        self._real_units[unit] = send

    def restore_emulated(self, unit: int) -> None:
        """Let the emulated slave answer again."""
        self._real_units.pop(unit, None)

    # The device.

    def receive(self, data: bytes, now: int) -> Replies:
        """Bytes from the master (or from real devices on the same line)."""
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
        """Let the slaves' own clocks act, and others talk."""
        for server in self.servers.values():
            if server.deadline() <= now:
                server.wake(now)
        replies: Replies = []
        for device in self.other_devices:
            if device.deadline() <= now:
                replies += device.wake(now)
        return [] if self.silent else replies

    def deadline(self) -> int:
        """The earliest deadline on the line."""
        due = NEVER
        for server in self.servers.values():
            at = server.deadline()
            if at < due:
                due = at
        for device in self.other_devices:
            due = min(due, device.deadline())
        return due

    # Requests.

    def _decode_cached(self, frame: bytes) -> ModbusRequest:
        """The request in a frame, from the cache or decoded."""
        request = self._cache.get(frame)
        if request is None:
            unit = frame[0]
            request = decode_request(frame[1:-2], unit, self.servers.get(unit))
            if len(self._cache) >= _MAX_CACHE:
                self._cache.clear()
            self._cache[frame] = request
        return request

    def _serve(self, request: ModbusRequest, frame: bytes, now: int) -> Replies:
        """Carry a request out; its reply with the slave's delay, or nothing."""
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
        """Pass a frame on to a real port; true when the emulated slave has no part in it."""
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
        """A broadcast is obeyed by all without a reply; the rest is not for us."""
        if request.unit != 0:
            self.foreign_frames += 1
            return
        for unit, server in self.servers.items():
            if unit not in self._real_units and not server.dead and now >= server.silent_until:
                server.on_request(now)
                execute_broadcast(request, server, now)
