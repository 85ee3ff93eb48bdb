# SPDX-License-Identifier: Apache-2.0
"""A receiver that answers an error for the records of one unit only: the others go on."""

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from deploy.relay.outputs.base import AnsweredError, OutputError
from deploy.relay.outputs.influx_output import InfluxOutput
from protocols.telemetry import block
from tests.deploy.relay.relay_rig import (
    ALARM,
    SCHEMA,
    START_MS,
    UNIT,
    PipelineRig,
    block_of_run,
    bulk,
    note_record,
    pack,
    rows_record,
)
from tests.deploy.relay.stores.servers import http_server
from tests.deploy.relay.stores.test_stores import context

BAD = "s1/bad"


class LinesReceiver:
    """Answers status 500 to lines of the units in `bad`, with `all_bad` to all."""

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.all_bad = False
        self.lines: list[str] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class LinesHandler(BaseHTTPRequestHandler):
            """Takes lines."""

            def do_GET(self) -> None:
                self.send_error(404)

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                lines = body.decode().splitlines()
                is_bad = receiver.all_bad or any(
                    f"unit={unit.partition('/')[2]}" in line
                    for unit in receiver.bad
                    for line in lines
                )
                if not is_bad:
                    receiver.lines += lines
                self.send_response(500 if is_bad else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Write no log."""

        return LinesHandler


class Delivery:
    """A pipeline with the output; `steps` runs it as its thread does."""

    def __init__(self, url: str) -> None:
        self.rig = PipelineRig(required={"influx"})
        output = InfluxOutput(context(f"{url}/write#settle=0"))
        output.LINGER_S = 0.0  # type: ignore[misc]
        self.rig.add_output("influx", output)
        self.worker = self.rig.pipeline.workers["influx"]

    def send(self, unit: str, *idents: int) -> None:
        self.rig.receive(pack(ALARM, *map(bulk, idents)), unit=unit)
        while self.rig.pipeline.process():
            pass

    def steps(self, count: int) -> list[OutputError]:
        errors = []
        for _ in range(count):
            try:
                self.worker.step()
            except OutputError as error:
                self.worker._suspicion.add(error)
                errors.append(error)
        return errors


@pytest.fixture
def receiver() -> LinesReceiver:
    return LinesReceiver()


@pytest.fixture
def delivery(receiver: LinesReceiver) -> Iterator[Delivery]:
    with http_server(receiver.handler()) as url:
        each = Delivery(url)
        yield each
        each.rig.close()


def test_a_record_that_the_receiver_cannot_handle_stops_no_other(
    receiver: LinesReceiver, delivery: Delivery
) -> None:
    receiver.bad = {BAD}
    delivery.send(UNIT, 1)
    delivery.send(BAD, 1, 2)
    delivery.send(UNIT, 2, 3)
    errors = delivery.steps(3)
    assert [type(error) for error in errors] == [AnsweredError] * 3
    assert delivery.steps(1) == []
    assert delivery.rig.reasons(BAD) == ["refused"] * 2
    assert delivery.rig.reasons(UNIT) == []
    assert len(set(receiver.lines)) == 30
    delivery.send(BAD, 3)
    delivery.send(UNIT, 4)
    assert delivery.steps(1) == [], "the next one is found without a wait"
    assert delivery.rig.reasons(BAD) == ["refused"] * 3
    due = delivery.rig.pipeline.take_receipts()
    assert (3, 1, 4) in delivery.rig.ranges(due)


def test_a_receiver_that_answers_errors_to_all_refuses_nothing(
    receiver: LinesReceiver, delivery: Delivery
) -> None:
    receiver.all_bad = True
    delivery.send(UNIT, 1)
    delivery.send(BAD, 1)
    assert len(delivery.steps(8)) == 8
    assert delivery.rig.reasons() == []
    receiver.all_bad = False
    assert delivery.steps(1) == []
    assert delivery.worker.delivered == 2


def test_a_record_that_the_output_does_not_send_is_no_evidence(
    receiver: LinesReceiver, delivery: Delivery
) -> None:
    """Lines have no alarms and no rows without UTC: they are taken in each outage."""
    receiver.all_bad = True
    delivery.send(UNIT, 1)
    notes = pack(note_record(9, b"{}"), rows_record(5, block_of_run(1, 9000, [None, None])))
    delivery.rig.receive(pack(ALARM), notes, unit=BAD)
    delivery.rig.receive(pack(rows_record(6, block_of_values(None))), unit=BAD)
    while delivery.rig.pipeline.process():
        pass
    assert len(delivery.steps(8)) == 8
    assert "refused" not in delivery.rig.reasons()


def block_of_values(value: int | None) -> bytes:
    """Make a block whose values are all the same."""
    times: list[int | None] = [START_MS, START_MS + 1000]
    return block.encode(SCHEMA.number, 1, [times, *[[value, value] for _ in range(5)]])


def test_records_of_one_unit_alone_wait(receiver: LinesReceiver, delivery: Delivery) -> None:
    receiver.bad = {BAD}
    delivery.send(BAD, 1, 2)
    assert len(delivery.steps(8)) == 8
    assert delivery.rig.reasons() == []
    delivery.send(UNIT, 1)
    delivery.steps(1)
    assert delivery.rig.reasons() == ["refused"] * 2
    assert delivery.worker.delivered >= 1
