"""`coldloop modbus sniff`: what others say on a serial line, paired and timed; nothing is sent.

Not the decoder (that is `protocols.modbus.sniffer`): here are the port, the words and the sums. A tap
on the line is needed whose transmitter is off, or a second adapter that only listens. At the end,
or when interrupted, a table says for each unit how often it was asked and answered, and how fast.
"""

import argparse
import contextlib

from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    UseError,
    add_port,
    bounded,
    settings,
    show,
    show_json,
    table,
)
from drivers.tools.lib.modbus_client import port_address
from drivers.tools.lib.open_port import Opened, clock
from protocols.modbus import pdu
from protocols.modbus import sniffer as sniff
from protocols.modbus.pdu import EXCEPTIONS
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.modbus.sniffer import Event

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
    22: "mask register",
    23: "write and read",
    43: "identify",
}
_SHOWN = 16  # registers or bytes of a frame on a line
_BITS = (1, 2)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    parser.add_argument("--seconds", type=bounded("--seconds", 1, 1_000_000), metavar="N")
    parser.add_argument("--frames", type=bounded("--frames", 1, 1_000_000_000), metavar="N")
    parser.add_argument("--quiet", action="store_true", help="only the table at the end")
    parser.add_argument(
        "--silent-ms",
        type=bounded("--silent-ms", 10, 60_000),
        default=1000,
        metavar="N",
        help="after this time a request counts as not answered (1000)",
    )
    parser.add_argument(
        "--pause-ms",
        type=bounded("--pause-ms", 2, 1000),
        default=30,
        metavar="N",
        help="after this pause bytes without a frame are given up (30)",
    )


class Tally:
    """What was heard of one unit."""

    def __init__(self) -> None:
        self.requests = 0
        self.replies = 0
        self.exceptions = 0
        self.silent = 0
        self.crc = 0
        self.stray = 0
        self.waits: list[int] = []  # us; bounded, see _MOST

    _MOST = 100_000

    def take(self, event: "Event") -> None:
        """Count an event of this unit."""
        kinds = {
            sniff.REQUEST: "requests",
            sniff.REPLY: "replies",
            sniff.EXCEPTION: "exceptions",
            sniff.SILENT: "silent",
            sniff.CRC: "crc",
            sniff.STRAY: "stray",
        }
        name = kinds[event.kind]
        setattr(self, name, getattr(self, name) + 1)
        if event.wait_us >= 0 and len(self.waits) < self._MOST:
            self.waits.append(event.wait_us)

    def record(self) -> "dict[str, Any]":
        """For JSON; times in milliseconds."""
        waits = sorted(self.waits)
        record: dict[str, Any] = {
            "requests": self.requests,
            "replies": self.replies,
            "exceptions": self.exceptions,
            "silent": self.silent,
            "crc": self.crc,
            "stray": self.stray,
        }
        if waits:
            middle = waits[len(waits) // 2]
            for name, wait in (("min", waits[0]), ("median", middle), ("max", waits[-1])):
                record["wait_ms_" + name] = round(wait / MILLISECOND, 1)
        return record


class Hearing:
    """Everything that was heard: by unit, and the noise."""

    def __init__(self) -> None:
        self.units: dict[int, Tally] = {}
        self.noise_bytes = 0
        self.frames = 0
        self.busy_us = 0

    def take(self, event: "Event") -> None:
        """Count an event."""
        if event.kind != sniff.SILENT:
            self.busy_us += event.end - event.start
        if event.kind == sniff.NOISE:
            self.noise_bytes += len(event.data)
            return
        if event.kind not in (sniff.SILENT, sniff.CRC):
            self.frames += 1
        self.units.setdefault(event.unit, Tally()).take(event)

    def good(self) -> bool:
        """Whether any intact frame was heard."""
        return self.frames > 0


def words(event: "Event") -> str:
    """An event in words, without its time."""
    if event.kind == sniff.NOISE:
        return "noise      %d bytes  %s" % (len(event.data), _hex(event.data))
    name = _NAMES.get(event.function, "function %d" % event.function)
    text = "%-9s  unit %3d  %s" % (event.kind, event.unit, name)
    detail = _detail(event)
    return text + ("  " + detail if detail else "")


def _detail(event: "Event") -> str:
    data = event.data[1:-2]
    if event.kind in (sniff.REQUEST, sniff.SILENT):
        return _asked(data)
    if event.data[1] & 0x80 and event.kind != sniff.CRC:
        return "exception %d (%s)" % (data[1], EXCEPTIONS.get(data[1], "not in the standard"))
    if event.kind == sniff.REPLY and event.request is not None:
        return _told(event.request.data[1:-2], data)
    return _hex(event.data)


def _asked(data: bytes) -> str:
    """The data of a request."""
    function = data[0]
    address = data[1] << 8 | data[2] if len(data) > 2 else 0
    if function in (1, 2, 3, 4):
        return "%d x %d" % (address, data[3] << 8 | data[4])
    if function in (5, 6):
        return "%d = %d" % (address, data[3] << 8 | data[4])
    if function == pdu.WRITE_MULTIPLE:
        values = [data[at] << 8 | data[at + 1] for at in range(6, len(data) - 1, 2)]
        return "%d = %s" % (address, _list(values))
    return _hex(data[1:])


def _told(asked: bytes, data: bytes) -> str:
    """The data of a reply to `asked`."""
    if asked[0] in (*_BITS, 3, 4, pdu.READ_WRITE):
        return _list(list(pdu.values_of(asked, data)))
    if asked[0] == pdu.DEVICE_ID:
        found, _ = pdu.objects(pdu.values_of(asked, data))
        return ", ".join(content.decode("utf-8", "replace") for _, content in found)
    return "done"


def _list(values: "list[int]") -> str:
    text = " ".join(str(value) for value in values[:_SHOWN])
    return text + (" … (%d)" % len(values) if len(values) > _SHOWN else "")


def _hex(data: bytes) -> str:
    text = " ".join("%02X" % byte for byte in data[:_SHOWN])
    return text + (" …" if len(data) > _SHOWN else "")


def record(event: "Event", base: int) -> "dict[str, Any]":
    """An event for JSON; times in milliseconds since `base`."""
    found: dict[str, Any] = {
        "t_ms": round((event.start - base) / MILLISECOND, 2),
        "kind": event.kind,
        "data": event.data.hex(),
    }
    if event.kind != sniff.NOISE:
        found["unit"] = event.unit
        found["function"] = event.function
        found["text"] = _detail(event)
    if event.gap_us >= 0:
        found["gap_ms"] = round(event.gap_us / MILLISECOND, 2)
    if event.wait_us >= 0:
        found["wait_ms"] = round(event.wait_us / MILLISECOND, 2)
    return found


def line_of(event: "Event", base: int) -> str:
    """An event for people: time, quiet before it, what."""
    at = (event.start - base) / SECOND
    gap = "+%.1f ms" % (event.gap_us / MILLISECOND) if event.gap_us >= 0 else ""
    text = words(event)
    if event.kind == sniff.SILENT:
        text += "  nobody answered"
    return "%10.4f  %11s  %s" % (at, gap, text)


def run(arguments: argparse.Namespace) -> int:
    """Listen until interrupted, --seconds or --frames; 1 when no frame was heard."""
    address = port_address(arguments.port)
    if address.kind != "serial":
        raise UseError("%s: only a serial line can be overheard; use tcpdump" % address.place())
    hearing = Hearing()
    opened = Opened(address)
    base = clock()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _listen(opened, arguments, hearing, base)
    finally:
        opened.port.close()
    _sum_up(hearing, arguments, settings(address), clock() - base)
    return GOOD_EXIT if hearing.good() else BAD_EXIT


def _listen(opened: Opened, arguments: argparse.Namespace, hearing: Hearing, base: int) -> None:
    pause, silent = arguments.pause_ms * MILLISECOND, arguments.silent_ms * MILLISECOND
    sniffer = sniff.Sniffer(opened.address.char_us, pause, silent)
    end = base + arguments.seconds * SECOND if arguments.seconds else NEVER
    while True:
        opened.wait(min(sniffer.deadline(), end))
        data = opened.port.read()
        now = clock()
        events = sniffer.feed(data, now) if data else sniffer.wake(now)
        for event in events:
            hearing.take(event)
            if not arguments.quiet:
                _tell(event, base, arguments.json)
        enough = arguments.frames is not None and hearing.frames >= arguments.frames
        if now >= end or enough or data is None:
            return


def _tell(event: "Event", base: int, as_json: bool) -> None:
    if as_json:
        show_json(record(event, base))
    else:
        show(line_of(event, base))


def _sum_up(hearing: Hearing, arguments: argparse.Namespace, where: str, took: int) -> None:
    load = 100 * hearing.busy_us / max(took, 1)
    units = {str(unit): hearing.units[unit].record() for unit in sorted(hearing.units)}
    if arguments.json:
        summary = {"frames": hearing.frames, "noise_bytes": hearing.noise_bytes, "units": units}
        show_json({"kind": "summary", **summary, "load_percent": round(load, 1)})
        return
    if not hearing.good():
        show("%s: no frame in %.1f s" % (where, took / SECOND))
        if hearing.noise_bytes:
            show("hint: %d bytes came: wrong baud rate or parity?" % hearing.noise_bytes)
        return
    names = ("requests", "replies", "exceptions", "silent", "crc", "stray")
    waits = ("wait_ms_min", "wait_ms_median", "wait_ms_max")
    rows: list[tuple[str, ...]] = [("unit", *names, "wait ms: least", "median", "most")]
    for unit, found in units.items():
        cells = [str(found.get(name, "")) for name in (*names, *waits)]
        rows.append((unit, *cells))
    for row in table(rows):
        show(row)
    text = "%d frames, %d bytes of noise, line busy %.1f %% of %.1f s"
    show(text % (hearing.frames, hearing.noise_bytes, load, took / SECOND))
