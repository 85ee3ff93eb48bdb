# SPDX-License-Identifier: Apache-2.0
"""The behaviour of every emulated Modbus server: functions, faults, shared line, TCP host."""

from random import Random

import pytest
from pymodbus.pdu import bit_message, register_message

from hil.devices.drives.abb_acs580 import AbbAcs580
from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.other_master import OtherMaster
from hil.devices.modbus.server import ModbusServer
from hil.devices.modbus.tcp import ModbusTcpHost
from hil.devices.power.schneider_iem3000 import Iem3000
from hil.plant.plant import Plant
from tests.support.modbus_master import RTU, LineMaster, TcpMaster, with_crc

DRIVE, METER, PLAIN = 1, 2, 3


class FunctionBench:
    """A drive with all functions, a meter with identification, and a server with ten registers."""

    def __init__(self) -> None:
        self.plant = Plant(Random(1))
        self.drive = AbbAcs580(self.plant, 0, DRIVE, comm_timeout_us=0)
        self.meter = Iem3000(self.plant, METER)
        self.plain = ModbusServer(PLAIN)
        self.plain.registers = {a: 100 + a for a in range(10)}
        self.plain.writable = dict.fromkeys(range(10), (0, 1000))
        self.line = ModbusLine([self.drive, self.meter, self.plain])
        self.master = LineMaster(self.line)


@pytest.fixture
def bench() -> FunctionBench:
    return FunctionBench()


# Functions.


def test_coils_are_bits_of_control_word(bench: FunctionBench) -> None:
    master = bench.master
    word = master.read(DRIVE, 0)[0]
    assert master.read_bits(DRIVE, 0, 16) == [bool(word >> i & 1) for i in range(16)]
    assert (
        master.exception_code(
            bit_message.WriteSingleCoilRequest(dev_id=DRIVE, address=0, bits=[False])
        )
        == 0
    )
    assert master.read(DRIVE, 0) == [word & ~1]
    several = bit_message.WriteMultipleCoilsRequest(
        dev_id=DRIVE, address=0, bits=[True, True, False]
    )
    assert master.exception_code(several) == 0
    assert master.read(DRIVE, 0) == [word & ~7 | 3]
    status = master.read(DRIVE, 3)[0]
    assert master.read_bits(DRIVE, 0, 16, 2) == [bool(status >> i & 1) for i in range(16)]


def test_mask_write(bench: FunctionBench) -> None:
    bench.plain.functions = frozenset((3, 22))
    bench.plain.registers[4] = 0x12  # the example in section 6.16 of the protocol
    request = register_message.MaskWriteRegisterRequest(4, 0x00F2, 0x0025, dev_id=PLAIN)
    assert bench.master.exception_code(request) == 0
    assert bench.master.read(PLAIN, 4) == [0x17]


def test_write_and_read_in_one_request(bench: FunctionBench) -> None:
    request = register_message.ReadWriteMultipleRegistersRequest(0, 2, 1, [16_000], dev_id=DRIVE)
    reply = bench.master.request(request)
    assert reply is not None
    assert list(reply.registers) == [0x047F, 16_000]


def test_identification(bench: FunctionBench) -> None:
    assert bench.master.read_identity(METER) == {
        0: b"Schneider Electric",
        1: b"A9MEM3155",
        2: b"001.004.001",
    }
    assert bench.master.read_identity(METER, 2)[4] == b"iEM3155"
    assert bench.master.read_identity(METER, 4, 1) == {1: b"A9MEM3155"}
    ((_, reply),) = bench.master.exchange_bytes(with_crc(bytes((METER, 43, 14, 4, 3))))
    assert reply == with_crc(bytes((METER, 0xAB, 2)))
    ((_, reply),) = bench.master.exchange_bytes(with_crc(bytes((PLAIN, 43, 14, 1, 0))))
    assert reply == with_crc(bytes((PLAIN, 0xAB, 1)))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("01 01 0000 0000", 3),  # no coils
        ("01 01 0000 07d1", 3),
        ("01 01 000f 0002", 2),
        ("01 02 0010 0001", 2),
        ("01 05 0000 1234", 3),  # neither on nor off
        ("01 05 0010 ff00", 2),
        ("01 0f 0000 0003 02 07 00", 3),
        ("01 0f 000f 0002 01 03", 2),
        ("01 16 0003 0000", 3),  # too short
        ("01 16 0003 0000 0000", 2),  # the status is not writable
        ("01 17 0000 0001 0001 0000 00", 3),
        ("01 17 0000 0001 0003 0001 02 0000", 2),
        ("01 17 00c8 0001 0001 0001 02 0000", 2),
        ("01 2b 0e 05 00", 3),
        ("01 2b 0d 01 00", 3),
        ("01 07", 1),
    ],
)
def test_invalid_requests(bench: FunctionBench, body: str, code: int) -> None:
    request = bytes.fromhex(body)
    ((_, reply),) = bench.master.exchange_bytes(with_crc(request))
    assert reply == with_crc(bytes((1, request[1] | 0x80, code)))


# Behaviour of every server.


def test_busy_exception_is_temporary(bench: FunctionBench) -> None:
    bench.plain.busy = 2
    assert [bench.master.read_exception(PLAIN, 0) for _ in range(3)] == [6, 6, 0]
    bench.plain.busy, bench.plain.busy_code = -1, 5
    assert [bench.master.write(PLAIN, 0, 1) for _ in range(3)] == [5, 5, 5]
    bench.plain.busy = 0
    assert bench.master.read(PLAIN, 0) == [100], "a busy server executes nothing"


def test_ignored_delayed_and_clamped_writes(bench: FunctionBench) -> None:
    master, plain = bench.master, bench.plain
    plain.ignore_writes = True
    assert master.write(PLAIN, 0, 7) == 0
    assert master.read(PLAIN, 0) == [100]
    plain.ignore_writes = False
    plain.write_delay_us = 400_000
    assert master.write(PLAIN, 0, 7) == 0
    assert master.read(PLAIN, 0) == [100]
    master.now += 399_999
    assert master.read(PLAIN, 0) == [100]
    master.now += 1
    assert master.read(PLAIN, 0) == [7]
    plain.write_delay_us = 0
    assert master.write(PLAIN, 0, 1001) == 3
    plain.clamps = True
    assert master.write(PLAIN, 0, 1001) == 0
    assert master.read(PLAIN, 0) == [1000]


def test_delayed_write_takes_effect_without_request(bench: FunctionBench) -> None:
    bench.drive.write_delay_us = 1_000_000
    bench.master.write(DRIVE, 1, 18_000)
    bench.master.advance(6.0)
    bench.plant.advance(bench.master.now)
    assert bench.plant.pumps[0].speed_pct == pytest.approx(90.0)


def test_reboot_restores_defaults_after_silence(bench: FunctionBench) -> None:
    master = bench.master
    bench.plain.nonvolatile = frozenset((1,))
    master.write(PLAIN, 0, 7, 8)
    bench.plain.reboot(master.now)
    assert master.read_exception(PLAIN, 0) == -1
    assert master.read_exception(METER, 0x0BB7, 2) == 0, "other addresses reply"
    master.now += bench.plain.boot_us - 1
    assert master.read_exception(PLAIN, 0) == -1
    master.now += 1
    assert master.read(PLAIN, 0, 2) == [100, 8]


def test_atomic_blocks(bench: FunctionBench) -> None:
    bench.plain.atomic_blocks = ((4, 4),)
    assert bench.master.read(PLAIN, 4, 4) == [104, 105, 106, 107]
    assert [bench.master.read_exception(PLAIN, a, n) for a, n in ((4, 2), (3, 5), (7, 2))] == [
        2,
        2,
        2,
    ]
    assert bench.master.read_exception(PLAIN, 0, 4) == 0


def test_truncated_and_duplicated_replies(bench: FunctionBench) -> None:
    frame = RTU.buildFrame(
        register_message.ReadHoldingRegistersRequest(dev_id=PLAIN, address=0, count=4)
    )
    ((_, good),) = bench.master.exchange_bytes(frame)
    bench.plain.truncated_replies, bench.plain.duplicated_replies = 1, 2
    ((_, short),) = bench.master.exchange_bytes(frame)
    assert good.startswith(short[: len(short) // 2])
    assert len(short) == 2 * (len(good) - len(good) // 3)
    ((_, double),) = bench.master.exchange_bytes(frame)
    assert double == good + good
    assert bench.master.exchange_bytes(frame) == [(5_000, good)]


def test_echo_of_the_adapter(bench: FunctionBench) -> None:
    bench.line.echo = True
    frame = RTU.buildFrame(
        register_message.ReadHoldingRegistersRequest(dev_id=PLAIN, address=0, count=1)
    )
    (echo, reply) = bench.master.exchange_bytes(frame)
    assert echo == (0, frame)
    assert reply[1][:2] == bytes((PLAIN, 3))


# A shared line.


def test_frames_for_other_units_in_any_fragments(bench: FunctionBench) -> None:
    identity = bytes((40, 43, 14, 1, 0x81, 0, 0, 2, 0, 3)) + b"ABC" + bytes((1, 2)) + b"XY"
    foreign = [
        with_crc(bytes((40, 3, 0, 0, 0, 10))),
        with_crc(bytes((40, 3, 20)) + bytes(range(20))),
        with_crc(bytes((41, 1, 0, 0, 0, 9))),
        with_crc(bytes((41, 1, 2, 0xFF, 1))),
        with_crc(bytes((41, 15, 0, 0, 0, 9, 2, 0xFF, 1))),
        with_crc(bytes((41, 15, 0, 0, 0, 9))),
        with_crc(bytes((42, 16, 0, 1, 0, 1, 2, 3, 4))),
        with_crc(bytes((42, 22, 0, 1, 0, 1, 3, 4))),
        with_crc(bytes((42, 23, 0, 1, 0, 1, 0, 2, 0, 1, 2, 3, 4))),
        with_crc(bytes((42, 23, 2, 3, 4))),
        with_crc(bytes((40, 43, 14, 1, 0))),
        with_crc(identity),
        with_crc(bytes((40, 0x83, 2))),
    ]
    own_request = RTU.buildFrame(
        register_message.ReadHoldingRegistersRequest(dev_id=PLAIN, address=0, count=1)
    )
    rng = Random(5)
    for _ in range(200):
        frames = [rng.choice(foreign) for _ in range(3)]
        stream = b"".join((*frames, own_request))
        before = bench.line.foreign_frames
        received_replies, at = [], 0
        while at < len(stream):
            size = rng.randint(1, 30)
            received_replies += bench.master.exchange_bytes(stream[at : at + size])
            at += size
            bench.master.now += 600 * size
        assert [reply[:2] for _, reply in received_replies] == [bytes((PLAIN, 3))]
        assert bench.line.foreign_frames == before + 3
    assert bench.line.discarded_bytes == 0
    assert bench.plain.requests == 200


def test_request_inside_reply_of_other_unit_is_not_executed(bench: FunctionBench) -> None:
    inner = RTU.buildFrame(
        register_message.WriteSingleRegisterRequest(dev_id=PLAIN, address=0, registers=[55])
    )
    wrapped = with_crc(bytes((40, 3, len(inner))) + inner)
    assert bench.master.exchange_bytes(wrapped) == []
    assert bench.plain.writes == 0


def test_second_master_does_not_disturb_line() -> None:
    other = OtherMaster(unit=50, count=3, period_us=1_000_000)
    server = ModbusServer(PLAIN)
    server.registers = {0: 1}
    line = ModbusLine([server], other_devices=[other])
    assert line.deadline() == 1_000_000
    (request_frame, replied) = line.wake(1_000_000)
    assert request_frame == (0, with_crc(bytes((50, 3, 0, 0, 0, 3))))
    assert replied == (8_000, with_crc(bytes((50, 3, 6, 0, 7, 0, 8, 0, 9))))
    assert line.deadline() == 2_000_000
    assert line.receive(request_frame[1], 1_000_100) == []
    assert line.receive(replied[1], 1_020_000) == []
    assert line.foreign_frames == 2
    other.unanswered = True
    assert len(line.wake(2_000_000)) == 1
    other.silent = True
    assert line.wake(3_000_000) == []


def test_noise_discards_only_its_own_bytes(bench: FunctionBench) -> None:
    rng = Random(11)
    own_request = RTU.buildFrame(
        register_message.ReadHoldingRegistersRequest(dev_id=PLAIN, address=0, count=1)
    )
    for size in range(1, 60):
        noise = rng.randbytes(size)
        bench.master.now += 100_000
        before = bench.line.discarded_bytes
        assert len(bench.master.exchange_bytes(noise + own_request)) == 1, noise.hex()
        assert bench.line.discarded_bytes == before + size


def test_real_unit_gets_exact_bytes_and_emulated_is_silent(bench: FunctionBench) -> None:
    real_frames: list[bytes] = []
    frame = RTU.buildFrame(
        register_message.ReadHoldingRegistersRequest(dev_id=PLAIN, address=0, count=1)
    )
    assert len(bench.master.exchange_bytes(frame)) == 1
    bench.line.attach_real(PLAIN, real_frames.append)
    assert bench.master.exchange_bytes(frame) == []
    unknown_function = with_crc(bytes((PLAIN, 0x65, 1, 2, 3)))
    assert bench.master.exchange_bytes(unknown_function) == []
    assert real_frames == [frame, unknown_function]
    assert bench.master.read_exception(METER, 0x0BB7, 2) == 0
    broadcast = with_crc(bytes((0, 6, 0, 0, 0, 77)))
    assert bench.master.exchange_bytes(broadcast) == []
    assert real_frames[2:] == [broadcast]
    assert bench.plain.registers[0] == 100
    bench.line.restore_emulated(PLAIN)
    assert bench.master.read(PLAIN, 0) == [100]


# A TCP host.


@pytest.fixture
def host() -> ModbusTcpHost:
    bench = FunctionBench()
    return ModbusTcpHost([bench.plain, bench.drive, bench.meter], max_clients=2)


def test_tcp_serves_several_units_and_clients(host: ModbusTcpHost) -> None:
    one, two = TcpMaster(host, 1), TcpMaster(host, 2)
    assert one.read(PLAIN, 0, 3) == [100, 101, 102]
    assert two.write(PLAIN, 0, 5) == 0
    assert one.read(PLAIN, 0) == [5]
    assert two.read(DRIVE, 0) == [0x047F]
    assert two.read_identity(METER)[0] == b"Schneider Electric"
    assert one.read(255, 1) == [101], "unit 255 is the host itself"
    assert one.read(0, 1) == [101]
    assert one.read_exception(77, 0) == 0x0B
    assert host.opened(3, 0) == [(3, 0, None)], "client limit"
    host.closed(2, 0)
    assert host.opened(4, 0) == []
    host.unknown_unit_code = 0
    assert one.read_exception(77, 0) == -1


def test_the_connection_that_is_silent_longest_gives_way() -> None:
    """As in section 4.2.2 of the Modbus messaging guide. One with a later request stays."""
    bench = FunctionBench()
    host = ModbusTcpHost([bench.plain], max_clients=2, gives_way=True)
    ask = bytes.fromhex("0001 0000 0006 03 03 0000 0001")
    answer = bytes.fromhex("0001 0000 0005 03 03 02 0064")
    assert host.opened(1, 0) == []
    assert host.opened(2, 10) == []
    assert host.receive(1, ask, 20)[0][2] == answer
    assert host.opened(3, 30) == [(2, 0, None)]
    assert host.receive(3, ask, 40)[0][2] == answer
    assert host.opened(4, 50) == [(1, 0, None)]
    assert host.replaced_connections == 2
    assert host.refused_connections == 0
    host.down = True
    assert host.opened(5, 60) == [(5, 0, None)]


@pytest.mark.parametrize("size", [1, 5, 7, 100])
def test_tcp_requests_in_any_fragments(host: ModbusTcpHost, size: int) -> None:
    host.opened(1, 0)
    stream = bytes.fromhex("0001 0000 0006 03 03 0000 0001") + bytes.fromhex(
        "0102 0000 0006 03 03 0001 0001"
    )
    out = []
    for i in range(0, len(stream), size):
        out += host.receive(1, stream[i : i + size], 0)
    assert [data for _, _, data in out] == [
        bytes.fromhex("0001 0000 0005 03 03 02 0064"),
        bytes.fromhex("0102 0000 0005 03 03 02 0065"),
    ]


@pytest.mark.parametrize(
    "header", ["0001 0001 0006 03", "0001 0000 0001 03", "0001 0000 00ff 03", "0001 ffff 0000 03"]
)
def test_tcp_invalid_header_closes_the_connection(host: ModbusTcpHost, header: str) -> None:
    host.opened(1, 0)
    other = TcpMaster(host, 2)
    assert host.receive(1, bytes.fromhex(header), 0) == [(1, 0, None)]
    assert host.protocol_errors == 1
    assert other.read(PLAIN, 0) == [100]


def test_tcp_faults(host: ModbusTcpHost) -> None:
    master = TcpMaster(host, 1)
    plain = host.servers[PLAIN]
    plain.dead = True
    assert master.read_exception(PLAIN, 0) == -1
    assert master.read_exception(DRIVE, 0) == 0
    plain.dead = False
    plain.extra_delay_us = 70_000
    out = host.receive(1, bytes.fromhex("0001 0000 0006 03 03 0000 0001"), 0)
    assert out[0][1] == 75_000
    host.silent = True
    assert master.read_exception(PLAIN, 0) == -1
    host.silent = False
    host.down = True
    assert host.deadline() == 0
    assert host.wake(0) == [(1, 0, None)]
    assert host.opened(2, 0) == [(2, 0, None)]
    host.down = False
    host.idle_us = 5_000_000
    assert host.opened(3, 1_000_000) == []
    assert host.deadline() == 6_000_000
    assert host.wake(6_000_000) == [(3, 0, None)]


def test_tcp_real_unit(host: ModbusTcpHost) -> None:
    one, two = TcpMaster(host, 1), TcpMaster(host, 2)
    real_frames: list[bytes] = []
    host.attach_real(PLAIN, real_frames.append)
    ask = bytes.fromhex("00aa 0000 0006 03 03 0000 0001")
    assert host.receive(1, ask, 0) == []
    assert real_frames == [ask]
    answer = bytes.fromhex("00aa 0000 0005 03 03 02 1234")
    assert host.forward_reply(answer) == [(1, 0, answer)]
    assert host.forward_reply(answer) == [], "no such transaction"
    assert two.read_exception(DRIVE, 0) == one.read_exception(DRIVE, 0) == 0
    host.restore_emulated(PLAIN)
    assert one.read(PLAIN, 0) == [100]


def test_endless_headers_use_bounded_memory(host: ModbusTcpHost) -> None:
    host.opened(1, 0)
    for _ in range(100):
        host.receive(1, b"\0\1\0\0\0\xfe" + bytes(40), 0)
    assert sum(len(buffer) for buffer in host._buffers.values()) <= 260
