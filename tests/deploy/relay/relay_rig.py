# SPDX-License-Identifier: Apache-2.0
"""Records of a log, as a unit sends them to the relay."""

from benchmarks.telemetry import stream
from protocols.telemetry import block
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import Schema

GENERATION = b"\x01\x02\x03"


UNIT = "s1/u1"


SCHEMA = Schema([("t", "ms", 1, 1), *[(name, "1", 1, 10) for name in stream.NAMES[:5]]])


START_MS = 1_795_500_000_000


def block_of(seq: int, rows: int = 10) -> bytes:
    columns = [
        [START_MS + 1000 * (seq + i) for i in range(rows)],
        *[[300 + j + (seq + i) % 3 for i in range(rows)] for j in range(5)],
    ]
    return block.encode(SCHEMA.number, seq, columns)


def pack(*records: tuple[int, int, bytes]) -> bytes:
    message = telemetry_message.begin_message(telemetry_message.PACK, GENERATION)
    for record in records:
        telemetry_message.append_record(message, record)
    return bytes(message)


def bulk(ident: int) -> tuple[int, int, bytes]:
    return ident * 4 + telemetry_message.BULK, telemetry_message.ROWS, block_of(ident * 10)


ALARM = (4 + telemetry_message.ALARM, telemetry_message.SCHEMA, SCHEMA.text)
