# SPDX-License-Identifier: Apache-2.0
"""Records of a log, as a unit sends them to the relay; a pipeline without broker and threads."""

from pathlib import Path

from benchmarks.telemetry import stream
from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.intake.ingest import Received
from deploy.relay.intake.receipts import DueReceipts
from deploy.relay.outputs.base import Output
from deploy.relay.pipeline import Pipeline, PipelineSettings
from deploy.relay.records.database import RelayDatabase
from deploy.secret_file import SecretFile
from protocols.telemetry import block, merged_block, receipt, varint
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import Schema

GENERATION = b"\x01\x02\x03"


UNIT = "s1/u1"


SCHEMA = Schema([("t", "ms", 1, 1), *[(name, "1", 1, 10) for name in stream.NAMES[:5]]])


START_MS = 1_735_689_600_000
"""2025-01-01: not in the future for the clock of a test machine."""


def block_of(seq: int, rows: int = 10) -> bytes:
    columns = [
        [START_MS + 1000 * (seq + i) for i in range(rows)],
        *[[300 + j + (seq + i) % 3 for i in range(rows)] for j in range(5)],
    ]
    return block.encode(SCHEMA.number, seq, columns)


def block_of_run(
    run: int,
    uptime_ms: int,
    times: list[int | None],
    seq: int = 1,
    columns: int | None = None,
) -> bytes:
    """Make a block with run and uptime, as the agent writes it."""
    extra = bytearray()
    for number in (run, uptime_ms, len(SCHEMA.entries) if columns is None else columns):
        varint.put(number, extra)
    values: list[list[int | None]] = [[300 + j for _ in times] for j in range(5)]
    return block.encode(SCHEMA.number, seq, [times, *values], bytes(extra))


def pack(*records: tuple[int, int, bytes], generation: bytes = GENERATION) -> bytes:
    message = telemetry_message.begin_message(telemetry_message.PACK, generation)
    for record in records:
        telemetry_message.append_record(message, record)
    return bytes(message)


def rows_record(ident: int, payload: bytes) -> tuple[int, int, bytes]:
    return ident * 4 + telemetry_message.BULK, telemetry_message.ROWS, payload


def bulk(ident: int) -> tuple[int, int, bytes]:
    return rows_record(ident, block_of(ident * 10))


def merged_record(first: int, count: int) -> tuple[int, int, bytes]:
    """Make a merged record of `count` blocks from `bulk(first)`."""
    merge = merged_block.MergedBlockWriter(
        [block_of(ident * 10) for ident in range(first, first + count)], 6
    )
    while not merge.step():
        pass
    return first * 4 + telemetry_message.BULK, telemetry_message.MERGED, merge.finish()


def note_record(ident: int, payload: bytes) -> tuple[int, int, bytes]:
    return ident * 4 + telemetry_message.ALARM, telemetry_message.JSON_EVENT, payload


ALARM = (4 + telemetry_message.ALARM, telemetry_message.SCHEMA, SCHEMA.text)


class PipelineRig:
    """A pipeline; without an output, all that is prepared is delivered."""

    def __init__(
        self, path: Path | str = ":memory:", keys: dict[str, bytes] | None = None, **more: object
    ) -> None:
        self.database = RelayDatabase(path, "a")
        self.settings = PipelineSettings(keys or {}, **more)  # type: ignore[arg-type]
        self.pipeline = Pipeline(self.database, self.settings)
        self.items: list[Item] = []
        add = self.pipeline._cache.add

        def record(items: dict[int, Item]) -> None:
            self.items.extend(items.values())
            add(items)

        self.pipeline._cache.add = record  # type: ignore[method-assign]

    def add_output(self, name: str, output: Output) -> None:
        """Add an output without its thread; `deliver` runs it."""
        self.pipeline.add_output(name, output)

    def receive(self, *messages: bytes, unit: str = UNIT) -> Received:
        return self.pipeline.receive([(unit, message) for message in messages])

    def send(self, *messages: bytes, unit: str = UNIT) -> DueReceipts:
        """Receive messages, do all steps, return the receipts."""
        self.receive(*messages, unit=unit)
        return self.settle()

    def settle(self) -> DueReceipts:
        while self.pipeline.process():
            pass
        for worker in self.pipeline.workers.values():
            while worker.step():
                pass
        return self.pipeline.take_receipts()

    def ranges(self, due: DueReceipts, unit: str = UNIT) -> list[tuple[int, int, int]]:
        key = self.settings.keys.get(unit, b"")
        return [
            span
            for name, data in due.receipts
            if name == unit
            for span in receipt.parse_receipt(data, unit, key).ranges
        ]

    def rows(self) -> list[Rows]:
        return [item for item in self.items if isinstance(item, Rows)]

    def notes(self) -> list[Note]:
        return [item for item in self.items if isinstance(item, Note)]

    def reasons(self, unit: str = "") -> list[str]:
        return [held.reason for held in self.pipeline.quarantine.find(unit)]

    def close(self) -> None:
        self.database.close()


def write_secret(folder: Path, text: str = "secret") -> SecretFile:
    """Write the file of a secret, and return it."""
    path = folder / "secret"
    path.write_text(text)
    return SecretFile(path)
