# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus sniff`: the traffic of other devices on a serial line, with its timing.

Sends nothing and does not decode frames; see `protocols.modbus.sniffer`. It needs a tap on the line
with its transmitter off, or a second adapter that only listens. At the end a table shows for each
unit the numbers of requests and replies and the response times. With --pcapng the frames also go to
a file for Wireshark.
"""

import argparse
import contextlib
import time
from pathlib import Path

from drivers.errors import DriverError
from drivers.ports.base import make_error
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    EXCEPTIONS,
    GOOD_EXIT,
    UsageError,
    add_number,
    add_port,
    describe_port,
    format_table,
    print_error,
    print_json,
    print_line,
)
from drivers.tools.lib.exchange.pcapng import PcapngWriter, is_replaceable
from drivers.tools.lib.modbus_client import port_address
from drivers.tools.lib.open_port import HUNG_UP, OpenPort, monotonic_us
from protocols.modbus import pdu
from protocols.modbus.sniffer import (
    CRC_ERROR,
    EXCEPTION,
    NOISE,
    REPLY,
    REQUEST,
    UNANSWERED,
    UNSOLICITED,
    Sniffer,
)
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from protocols.modbus.sniffer import SniffedFrame

EXAMPLE = "coldloop modbus sniff '/dev/ttyUSB1?baud=19200&parity=E' --seconds 60"
_NAMES = {
    1: "read coils",
    2: "read discrete inputs",
    3: "read holding",
    4: "read input",
    5: "write coil",
    6: "write register",
    8: "diagnose",
    15: "write coils",
    16: "write registers",
    17: "report server ID",
    22: "mask register",
    23: "write and read",
    43: "identify",
}
_MAX_SHOWN = 16  # registers or bytes of a frame on a line


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    add_number(parser, "--seconds", 1, 1_000_000, None, None)
    add_number(parser, "--frames", 1, 1_000_000_000, None, None)
    parser.add_argument(
        "--pcapng", metavar="FILE", help="also write the frames to FILE, for Wireshark"
    )
    parser.add_argument("--quiet", action="store_true", help="print only the table at the end")
    add_number(
        parser,
        "--silent-ms",
        10,
        60_000,
        1000,
        "time after which a request counts as unanswered (1000)",
    )
    add_number(
        parser,
        "--pause-ms",
        2,
        1000,
        30,
        "pause after which bytes without a frame are discarded (30)",
    )


class TrafficTally:
    """Counters of the frames of one unit."""

    def __init__(self) -> None:
        self.requests = 0
        self.replies = 0
        self.exceptions = 0
        self.silent = 0
        self.crc = 0
        self.stray = 0
        self.response_times: list[int] = []  # us; at most _MAX_TIMES

    _MAX_TIMES = 100_000

    def add(self, frame: "SniffedFrame") -> None:
        """Count a frame of this unit."""
        kinds = {
            REQUEST: "requests",
            REPLY: "replies",
            EXCEPTION: "exceptions",
            UNANSWERED: "silent",
            CRC_ERROR: "crc",
            UNSOLICITED: "stray",
        }
        name = kinds[frame.kind]
        setattr(self, name, getattr(self, name) + 1)
        if frame.response_us >= 0 and len(self.response_times) < self._MAX_TIMES:
            self.response_times.append(frame.response_us)

    def record(self) -> "dict[str, Any]":
        """Return the counters as a JSON object; times in milliseconds."""
        response_times = sorted(self.response_times)
        record: dict[str, Any] = {
            "requests": self.requests,
            "replies": self.replies,
            "exceptions": self.exceptions,
            "silent": self.silent,
            "crc": self.crc,
            "stray": self.stray,
        }
        if response_times:
            median = response_times[len(response_times) // 2]
            for name, response_us in (
                ("min", response_times[0]),
                ("median", median),
                ("max", response_times[-1]),
            ):
                record["wait_ms_" + name] = round(response_us / MILLISECOND, 1)
        return record


class TrafficSummary:
    """Counters of the whole line: by unit, and bytes without a frame."""

    def __init__(self) -> None:
        self.units: dict[int, TrafficTally] = {}
        self.noise_bytes = 0
        self.frames = 0
        self.busy_us = 0

    def add(self, frame: "SniffedFrame") -> None:
        """Count a frame."""
        if frame.kind != UNANSWERED:
            self.busy_us += frame.end - frame.start
        if frame.kind == NOISE:
            self.noise_bytes += len(frame.data)
            return
        if frame.kind not in (UNANSWERED, CRC_ERROR):
            self.frames += 1
        self.units.setdefault(frame.unit, TrafficTally()).add(frame)

    def has_frames(self) -> bool:
        """Return whether there was any valid frame."""
        return self.frames > 0


def describe(frame: "SniffedFrame") -> str:
    """Return a frame as text, without its time."""
    if frame.kind == NOISE:
        return "noise      %d bytes  %s" % (len(frame.data), _format_bytes(frame.data))
    name = _NAMES.get(frame.function, "function %d" % frame.function)
    text = "%-9s  unit %3d  %s" % (frame.kind, frame.unit, name)
    detail = _describe_data(frame)
    return text + ("  " + detail if detail else "")


def _describe_data(frame: "SniffedFrame") -> str:
    data = frame.data[1:-2]
    if frame.kind in (REQUEST, UNANSWERED):
        return _describe_request(data)
    if frame.data[1] & 0x80 and frame.kind != CRC_ERROR and len(data) > 1:
        return "exception %d (%s)" % (data[1], EXCEPTIONS.get(data[1], "not in the standard"))
    if frame.kind == REPLY and frame.request is not None:
        return _describe_reply(frame.request.data[1:-2], data)
    return _format_bytes(frame.data)


def _describe_request(data: bytes) -> str:
    """Return the data of a request as text."""
    function = data[0]
    address = data[1] << 8 | data[2] if len(data) > 2 else 0
    if function in (*pdu.BIT_READS, *pdu.READS):
        return "%d x %d" % (address, data[3] << 8 | data[4])
    if function in (5, 6):
        return "%d = %d" % (address, data[3] << 8 | data[4])
    if function == pdu.WRITE_MULTIPLE:
        values = [data[at] << 8 | data[at + 1] for at in range(6, len(data) - 1, 2)]
        return "%d = %s" % (address, _format_values(values))
    return _format_bytes(data[1:])


def _describe_reply(request: bytes, data: bytes) -> str:
    """Return the data of a reply to `request` as text."""
    if request[0] in (*pdu.BIT_READS, *pdu.READS, pdu.READ_WRITE):
        return _format_values(list(pdu.reply_values(request, data)))
    if request[0] == pdu.DEVICE_ID:
        found, _ = pdu.parse_objects(pdu.reply_values(request, data))
        return ", ".join(content.decode("utf-8", "replace") for _, content in found)
    return "done"


def _format_values(values: "list[int]") -> str:
    text = " ".join(str(value) for value in values[:_MAX_SHOWN])
    return text + (" … (%d)" % len(values) if len(values) > _MAX_SHOWN else "")


def _format_bytes(data: bytes) -> str:
    text = " ".join("%02X" % byte for byte in data[:_MAX_SHOWN])
    return text + (" …" if len(data) > _MAX_SHOWN else "")


def build_record(frame: "SniffedFrame", base: int) -> "dict[str, Any]":
    """Return a frame as a JSON object; times in milliseconds since `base`."""
    record: dict[str, Any] = {
        "t_ms": round((frame.start - base) / MILLISECOND, 2),
        "kind": frame.kind,
        "data": frame.data.hex(),
    }
    if frame.kind != NOISE:
        record["unit"] = frame.unit
        record["function"] = frame.function
        record["text"] = _describe_data(frame)
    if frame.gap_us >= 0:
        record["gap_ms"] = round(frame.gap_us / MILLISECOND, 2)
    if frame.response_us >= 0:
        record["wait_ms"] = round(frame.response_us / MILLISECOND, 2)
    return record


def format_line(frame: "SniffedFrame", base: int) -> str:
    """Return a frame as text: time (s), gap before it, contents."""
    seconds = (frame.start - base) / SECOND
    gap = "+%.1f ms" % (frame.gap_us / MILLISECOND) if frame.gap_us >= 0 else ""
    text = describe(frame)
    if frame.kind == UNANSWERED:
        text += "  no reply"
    return "%10.4f  %11s  %s" % (seconds, gap, text)


def run(arguments: argparse.Namespace) -> int:
    """Listen until SIGINT, --seconds or --frames; return 1 without a valid frame."""
    address = port_address(arguments.port)
    if address.kind != "serial":
        text = "%s: sniff decodes RTU on a serial line, serial:/dev/…; for a network use tcpdump"
        raise UsageError(text % address.location())
    summary = TrafficSummary()
    with contextlib.ExitStack() as stack:
        capture = _open_capture(stack, arguments.pcapng, describe_port(address))
        open_port = OpenPort(address)
        stack.callback(open_port.port.close)
        base = monotonic_us()
        has_hung_up = False
        with contextlib.suppress(KeyboardInterrupt):
            has_hung_up = _listen(open_port, arguments, summary, base, capture)
    _print_summary(summary, arguments, describe_port(address), monotonic_us() - base)
    if has_hung_up:
        print_error("sniff", str(make_error(address, HUNG_UP)))
        return BAD_EXIT
    return GOOD_EXIT if summary.has_frames() else BAD_EXIT


def _open_capture(
    stack: contextlib.ExitStack, name: "str | None", port_text: str
) -> "PcapngWriter | None":
    """Create the capture file. Raises `UsageError`, also for another file with this name."""
    if name is None:
        return None
    try:
        if not is_replaceable(Path(name)):
            raise UsageError("%s: exists and is no pcapng file; name a new one" % name)
        file = Path(name).open("wb")  # noqa: SIM115  the stack closes it
        stack.callback(_close, file)
        return PcapngWriter(file, port_text)
    except OSError as error:
        raise UsageError("%s: %s; name a file that can be written" % (name, error.strerror))


def _close(file: "BinaryIO") -> None:
    """Close the capture; each frame was flushed, so a fault here is known already."""
    with contextlib.suppress(OSError):
        file.close()


def _capture_frame(capture: PcapngWriter, frame: "SniffedFrame") -> None:
    """Write a frame with its start in UTC. A missing reply has no bytes of its own.

    Raises `DriverError` if the file takes no more.
    """
    if frame.kind == UNANSWERED:
        return
    utc_us = time.time_ns() // 1000 - (monotonic_us() - frame.start)
    note = frame.kind if frame.kind in (NOISE, CRC_ERROR, UNSOLICITED) else ""
    try:
        capture.write(frame.data, utc_us, frame.kind == REQUEST, frame.kind != NOISE, note)
    except OSError as error:
        raise DriverError("the capture ends after the frames so far: %s" % error.strerror)


def _listen(
    open_port: OpenPort,
    arguments: argparse.Namespace,
    summary: TrafficSummary,
    base: int,
    capture: "PcapngWriter | None",
) -> bool:
    """Print the frames until the end; return whether the port hung up before it."""
    pause_us, timeout_us = arguments.pause_ms * MILLISECOND, arguments.silent_ms * MILLISECOND
    sniffer = Sniffer(open_port.address.char_us, pause_us, timeout_us)
    end = base + arguments.seconds * SECOND if arguments.seconds else NEVER
    while True:
        open_port.wait(min(sniffer.deadline(), end))
        data = open_port.port.read()
        now = monotonic_us()
        frames = sniffer.feed(data, now) if data else sniffer.wake(now)
        for frame in frames:
            summary.add(frame)
            if capture is not None:
                _capture_frame(capture, frame)
            if not arguments.quiet:
                _print_frame(frame, base, arguments.json)
        is_complete = arguments.frames is not None and summary.frames >= arguments.frames
        if now >= end or is_complete or data is None:
            return data is None


def _print_frame(frame: "SniffedFrame", base: int, as_json: bool) -> None:
    if as_json:
        print_json(build_record(frame, base))
    else:
        print_line(format_line(frame, base))


def _print_summary(
    traffic: TrafficSummary, arguments: argparse.Namespace, port_text: str, duration_us: int
) -> None:
    load = 100 * traffic.busy_us / max(duration_us, 1)
    units = {str(unit): traffic.units[unit].record() for unit in sorted(traffic.units)}
    if arguments.json:
        summary = {"frames": traffic.frames, "noise_bytes": traffic.noise_bytes, "units": units}
        print_json({"kind": "summary", **summary, "load_percent": round(load, 1)})
        return
    if not traffic.has_frames():
        print_line("%s: no valid frame in %.1f s" % (port_text, duration_us / SECOND))
        if traffic.noise_bytes:
            print_line("hint: %d bytes received: check baud rate and parity" % traffic.noise_bytes)
        return
    names = ("requests", "replies", "exceptions", "silent", "crc", "stray")
    time_names = ("wait_ms_min", "wait_ms_median", "wait_ms_max")
    rows: list[tuple[str, ...]] = [("unit", *names, "wait ms: min", "median", "max")]
    for unit, unit_record in units.items():
        cells = [str(unit_record.get(name, "")) for name in (*names, *time_names)]
        rows.append((unit, *cells))
    for row in format_table(rows):
        print_line(row)
    text = "%d frames, %d bytes of noise, line busy %.1f %% of %.1f s"
    print_line(text % (traffic.frames, traffic.noise_bytes, load, duration_us / SECOND))
