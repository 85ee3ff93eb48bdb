# SPDX-License-Identifier: Apache-2.0
"""One Modbus client of benchmarks/modbus/peers.py in a separate process.

    python benchmarks/modbus/peer.py LIBRARY tcp|rtu PORT cpu
    python benchmarks/modbus/peer.py LIBRARY tcp|rtu PORT faults ADDRESS ...

It prints "ready". Then, for each number N on its input, it makes N transactions and prints their
CPU time, user and system, in nanoseconds. Or it prints for each address 20 registers or "error". It
imports only the selected library; the interpreter can be that of another venv.
"""

import os
import select
import socket
import sys
import time
import tty
from collections.abc import Callable, Sequence
from typing import Any

COUNT = 20
TIMEOUT = 0.2
POLL_FROM_US = 10_000
T35_S = 0.00175  # above 19200 baud
Read = Callable[[int, int], "Sequence[int] | None"]
ReadTuple = Callable[[int, int], "tuple[int, ...] | None"]


def open_port(kind: str, port: str) -> int:
    """Return a descriptor of the pseudo-terminal or the socket."""
    if kind == "tcp":
        sock = socket.create_connection(("127.0.0.1", int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        return sock.detach()
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(fd)
    return fd


def read_available(fd: int) -> bytes:
    """Read the available bytes; a readable pseudo-terminal can have none."""
    try:
        return os.read(fd, 512)
    except BlockingIOError:
        return b""


def is_readable(fd: int, poll: "select.poll", wait_us: int) -> bool:
    """Wait until a descriptor has bytes; return False after `wait_us`, in µs."""
    if wait_us > POLL_FROM_US:
        return bool(poll.poll(wait_us // 1000))  # cheaper, but in milliseconds
    return bool(select.select([fd], [], [], wait_us / 1e6)[0])


def coldloop_matcher(kind: str, port: str) -> Read:
    """Our matcher and decoder in a minimal loop: the cost of a transaction without a queue."""
    from drivers.device.device import ModbusDevice
    from drivers.device.profile import DeviceProfile
    from protocols.modbus import pdu, rtu, tcp

    points = [
        {"name": f"P{n}", "address": 100 + n, "type": "i16", "scale": [1, 10], "unit": "1"}
        for n in range(COUNT)
    ]
    raw = {"model": "bench", "title": "t", "source": "s", "met_hardware": False, "points": points}
    profile = DeviceProfile(raw)
    devices = {unit: ModbusDevice("d", unit, profile) for unit in range(1, 11)}
    client = tcp.TcpClient() if kind == "tcp" else rtu.RtuClient()
    fd = open_port(kind, port)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    requests: dict[int, bytes] = {}

    def read(unit: int, address: int) -> "Sequence[int] | None":
        request = requests.get(address) or requests.setdefault(
            address, pdu.read_holding(address, COUNT)
        )
        os.write(fd, client.start(unit, request))
        while True:
            if not poll.poll(1000):
                client.stop()
                return None
            answer = client.feed(read_available(fd))
            if answer is not None:
                devices[unit].store_block(0, answer[2], 1)
                return answer[2]

    return read


def coldloop_matcher_t35(kind: str, port: str) -> Read:
    """The same with t3.5 before each request: a minimal client that keeps the silence."""
    read_values = coldloop_matcher(kind, port)

    def read(unit: int, address: int) -> "Sequence[int] | None":
        select.select([], [], [], T35_S)
        return read_values(unit, address)

    return read


def python_calls_t35(kind: str, port: str) -> Read:
    """No Modbus at all: wait t3.5, write, wait, read. What the calls alone cost in Python."""
    read_values = python_calls(kind, port)

    def read(unit: int, address: int) -> "Sequence[int] | None":
        select.select([], [], [], T35_S)
        return read_values(unit, address)

    return read


def python_blocking_t35(kind: str, port: str) -> Read:
    """The same with a read that waits: one call less. Only for a program with one port."""
    from protocols.modbus import pdu, rtu

    fd = open_port(kind, port)
    os.set_blocking(fd, True)
    frames: dict[tuple[int, int], bytes] = {}

    def read(unit: int, address: int) -> "Sequence[int] | None":
        frame = frames.get((unit, address))
        if frame is None:
            frame = frames[unit, address] = rtu.build_frame(unit, pdu.read_holding(address, COUNT))
        time.sleep(T35_S)
        os.write(fd, frame)
        return os.read(fd, 512)[-COUNT:]

    return read


def python_calls(kind: str, port: str) -> Read:
    """The same without t3.5."""
    from protocols.modbus import pdu, rtu

    fd = open_port(kind, port)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    frames: dict[tuple[int, int], bytes] = {}

    def read(unit: int, address: int) -> "Sequence[int] | None":
        frame = frames.get((unit, address))
        if frame is None:
            request = pdu.read_holding(address, COUNT)
            frame = rtu.build_frame(unit, request)
            if kind == "tcp":
                frame = bytes((0, unit, 0, 0, 0, 6, unit)) + request
            frames[(unit, address)] = frame
        os.write(fd, frame)
        poll.poll(1000)
        return read_available(fd)[-COUNT:]

    return read


def coldloop_device_no_t35(kind: str, port: str) -> Read:
    """The complete bus and its device, without the silent interval: only for a comparison."""
    return coldloop_device(kind, port, 0)


def coldloop_device(kind: str, port: str, silence_us: int = -1) -> Read:
    """The complete bus, and a device that decodes and range-checks its points."""
    from drivers.device.device import GOOD, ModbusDevice
    from drivers.device.profile import DeviceProfile

    points = [
        {"name": f"P{n}", "address": 100 + n, "type": "i16", "scale": [1, 10], "unit": "1"}
        for n in range(COUNT)
    ]
    raw = {"model": "bench", "title": "t", "source": "s", "met_hardware": False, "points": points}
    profile = DeviceProfile(raw)
    devices = {unit: ModbusDevice("d", unit, profile) for unit in range(1, 11)}
    read_bus = coldloop(kind, port, silence_us)

    def read(unit: int, address: int) -> "Sequence[int] | None":
        values = read_bus(unit, address)
        if values is not None:
            device = devices[unit]
            device.store_block(0, values, 1)
            if device.readings[0].quality != GOOD:
                return None
        return values

    return read


def coldloop(kind: str, port: str, silence_us: int = -1) -> ReadTuple:
    """Our complete bus in real time; it does not decode. `silence_us` replaces t3.5 if not -1.

    A line that is faster than its wire time has no valid timing. The bus then also waits for a
    second copy of a reply before it asks the same unit again; `silence_us` replaces this time too.
    """
    from drivers.modbus.bus import Bus
    from drivers.modbus.duplicate_filter import DuplicateFilter
    from drivers.modbus.line_timer import LineTimer
    from drivers.modbus.wire_time import WireTime
    from protocols.modbus import pdu
    from protocols.time_units import NEVER

    fd = open_port(kind, port)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    bus = Bus(4, kind, 115200, 10, timeout_us=200_000)
    if silence_us >= 0:
        bus._line_timer = LineTimer(silence_us, silence_us)  # noqa: SLF001
        bus._duplicate_filter = DuplicateFilter(WireTime(10_000_000), silence_us)  # noqa: SLF001
    bus.event("opened", time.monotonic_ns() // 1000)

    requests: dict[int, bytes] = {}  # as in the agent: made once

    def read(unit: int, address: int) -> "tuple[int, ...] | None":
        nonlocal fd
        if not bus.open:
            poll.unregister(fd)
            os.close(fd)
            fd = open_port(kind, port)
            poll.register(fd, select.POLLIN)
            bus.event("opened", time.monotonic_ns() // 1000)
        request = requests.get(address) or requests.setdefault(
            address, pdu.read_holding(address, COUNT)
        )
        bus.submit(unit, request, address, 0, 0)
        now = time.monotonic_ns() // 1000
        while True:
            due = bus.wake_at
            if due <= now:
                bus.wake(now)
            else:
                wait_us = 1_000_000 if due == NEVER else due - now
                data = read_available(fd) if is_readable(fd, poll, wait_us) else b""
                now = time.monotonic_ns() // 1000
                if data:
                    bus.receive(data, now)
            if bus.requests:
                for _, op, data in bus.outbox():
                    if op == "write":
                        os.write(fd, data)
            if bus.results:
                result = bus.take_results()[0]
                return result.values if result.status == "ok" else None

    return read


def pymodbus(kind: str, port: str) -> Read:
    """The synchronous client of pymodbus."""
    from pymodbus.client import ModbusSerialClient, ModbusTcpClient
    from pymodbus.exceptions import ModbusException

    client: ModbusTcpClient | ModbusSerialClient
    if kind == "tcp":
        client = ModbusTcpClient("127.0.0.1", port=int(port), timeout=TIMEOUT, retries=0)
    else:
        client = ModbusSerialClient(port, baudrate=115200, timeout=TIMEOUT, retries=0)
    client.connect()

    def read(unit: int, address: int) -> "Sequence[int] | None":
        try:
            reply = client.read_holding_registers(address, count=COUNT, device_id=unit)
        except ModbusException:
            return None
        return None if reply.isError() else reply.registers

    return read


def pymodbus_async(kind: str, port: str) -> Read:
    """The asynchronous client of pymodbus, one request after the other."""
    import asyncio

    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
    from pymodbus.exceptions import ModbusException

    loop = asyncio.new_event_loop()

    async def connect() -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        client: AsyncModbusTcpClient | AsyncModbusSerialClient
        if kind == "tcp":
            client = AsyncModbusTcpClient("127.0.0.1", port=int(port), timeout=TIMEOUT, retries=0)
        else:
            client = AsyncModbusSerialClient(port, baudrate=115200, timeout=TIMEOUT, retries=0)
        await client.connect()
        return client

    client = loop.run_until_complete(connect())

    def read(unit: int, address: int) -> "Sequence[int] | None":
        call = client.read_holding_registers(address, count=COUNT, device_id=unit)
        try:
            reply = loop.run_until_complete(call)
        except ModbusException:
            return None
        return None if reply.isError() else reply.registers

    return read


def umodbus(kind: str, port: str) -> Read:
    """The client of umodbus."""
    channel: Any
    if kind == "tcp":
        from umodbus.client import tcp as client  # type: ignore[import-not-found]

        channel = socket.create_connection(("127.0.0.1", int(port)), timeout=TIMEOUT)
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        import serial
        from umodbus.client.serial import rtu as client  # type: ignore[import-not-found]

        channel = serial.Serial(port, 115200, timeout=TIMEOUT)

    def read(unit: int, address: int) -> "Sequence[int] | None":
        request = client.read_holding_registers(unit, address, COUNT)
        try:
            return list(client.send_message(request, channel))
        except Exception:  # noqa: BLE001  whatever it raises is its answer
            return None

    return read


def minimalmodbus(kind: str, port: str) -> Read:
    """The client of minimalmodbus: serial lines only."""
    import minimalmodbus as library  # type: ignore[import-not-found]

    assert kind == "rtu"
    instruments = {}

    def read(unit: int, address: int) -> "Sequence[int] | None":
        if unit not in instruments:
            instruments[unit] = library.Instrument(port, unit)
            instruments[unit].serial.baudrate = 115200
            instruments[unit].serial.timeout = TIMEOUT
        try:
            return list(instruments[unit].read_registers(address, COUNT))
        except (OSError, ValueError):
            return None

    return read


LIBRARIES = {
    "coldloop": coldloop,
    "coldloop_matcher": coldloop_matcher,
    "coldloop_matcher_t35": coldloop_matcher_t35,
    "coldloop_device": coldloop_device,
    "coldloop_device_no_t35": coldloop_device_no_t35,
    "python_calls": python_calls,
    "python_calls_t35": python_calls_t35,
    "python_blocking_t35": python_blocking_t35,
    "pymodbus": pymodbus,
    "pymodbus_async": pymodbus_async,
    "umodbus": umodbus,
    "minimalmodbus": minimalmodbus,
}


def measure_cpu(read: Read, is_ours: bool) -> int:
    """Make as many transactions as each line of the input says; print their CPU time."""
    i = 0
    for line in sys.stdin:
        before = time.process_time_ns()
        for i in range(i, i + int(line)):  # noqa: B020  it goes on where the last round ended
            registers = read(1 + i % 10, 100) or read(1 + i % 10, 100)
            if registers is None or len(registers) != COUNT:
                return 1
            if not is_ours:
                [(value - 65536 if value > 32767 else value) * 0.1 for value in registers]
        print(time.process_time_ns() - before, flush=True)
        i += 1
    return 0


def main(arguments: list[str]) -> int:
    """Run one client."""
    library, kind, port, mode, *rest = arguments
    read = LIBRARIES[library](kind, port)
    print("ready", flush=True)
    if mode == "cpu":
        return measure_cpu(read, library.startswith("coldloop"))
    for address in rest:
        started = time.monotonic()
        registers = read(5, int(address))
        duration = time.monotonic() - started
        text = "error" if registers is None else " ".join(map(str, registers))
        print(f"{text} t{duration:.4f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
