# SPDX-License-Identifier: Apache-2.0
"""Outputs of the relay: text formats, Sparkplug, and a new output."""

import json

import pytest

from deploy.relay import command, outputs
from deploy.relay.output import Output, OutputContext
from deploy.relay.row_format import Rows, format_metrics, read, rows_to_json, rows_to_lines
from deploy.relay.sparkplug import payload as sparkplug_payload
from deploy.relay.sparkplug.edge import SparkplugEdge, SparkplugHost
from protocols.telemetry import block
from tests.deploy.relay.relay_rig import (
    SCHEMA,
    UNIT,
)

ROWS = Rows(UNIT, 7, 1, ("a b", "c"), [(1000, [1.5, None]), (2000, [2.5, 3.0])])


def test_output_formats() -> None:
    assert json.loads(rows_to_json(ROWS))["rows"] == [[1000, 1.5, None], [2000, 2.5, 3.0]]
    assert rows_to_lines(ROWS) == (
        "coldloop,site=s1,unit=u1 a\\ b=1.5 1000000000\n"
        "coldloop,site=s1,unit=u1 a\\ b=2.5,c=3.0 2000000000\n"
    )
    text = format_metrics({UNIT: {'x"y': 1.5}}, {"records": 3})
    assert 'coldloop_value{site="s1",unit="u1",signal="x\\"y"} 1.5\n' in text
    assert text.endswith("coldloop_relay_records_total 3\n# EOF\n")


def test_rows_before_utc_are_dated_by_later_ones() -> None:
    columns: list[list[int | None]] = [[None, None, 5000, 6000], *[[1, 2, 3, 4]] * 5]
    result = read(UNIT, 1, SCHEMA, block.encode(SCHEMA.number, 1, columns))
    assert [at for at, _ in result.values] == [3000, 4000, 5000, 6000]
    columns[0] = [None] * 4
    assert read(UNIT, 1, SCHEMA, block.encode(SCHEMA.number, 1, columns)).undated == 4


def read_metrics(payload: bytes) -> tuple[int | None, list[dict[int, int | bytes]]]:
    """Read a payload by the field numbers of Tahu's schema: seq and metrics."""
    fields = list(sparkplug_payload._read_fields(payload))
    seqs = [value for number, value in fields if number == 3]
    result = [
        dict(sparkplug_payload._read_fields(value))
        for n, value in fields
        if n == 2 and type(value) is bytes
    ]
    return (seqs[0] if seqs and isinstance(seqs[0], int) else None), result


def test_the_edge_node_follows_sparkplug() -> None:
    edge = SparkplugEdge("g", "n", 257, lambda: 5000)
    topic, will, qos, retain = edge.will_message()
    assert (topic, qos, retain) == ("spBv1.0/g/NDEATH/n", 1, False)
    assert read_metrics(will)[0] is None
    assert [m[11] for m in read_metrics(will)[1]] == [1]
    output = edge.birth_messages()
    assert [message[0] for message in output] == ["spBv1.0/g/NBIRTH/n"]
    names = [
        bytes(str(m[1]), "ascii") if isinstance(m[1], int) else m[1]
        for m in read_metrics(output[0][1])[1]
    ]
    assert names == [b"bdSeq", b"Node Control/Rebirth"]
    output += edge.data_messages(ROWS)
    late = Rows(UNIT, 8, 1, ROWS.names, [(500, [9.0, 9.0])])
    output += edge.data_messages(late)
    assert [message[0].split("/")[2] for message in output] == [
        "NBIRTH",
        "DBIRTH",
        "DDATA",
        "DDATA",
    ]
    assert [read_metrics(message[1])[0] for message in output] == [0, 1, 2, 3]
    births = read_metrics(output[1][1])[1]
    assert [m[2] for m in births] == [0, 1]
    data = read_metrics(output[2][1])[1]
    assert [(m[3], 5 in m) for m in data] == [
        (1000, True),
        (1000, True),
        (2000, False),
        (2000, False),
    ]
    assert all(5 in m for m in read_metrics(output[3][1])[1])
    assert [message[0] for message in edge.death_messages(UNIT)] == ["spBv1.0/g/DDEATH/n/s1.u1"]
    assert edge.death_messages(UNIT) == []
    for _ in range(300):
        seqs = [read_metrics(message[1])[0] for message in edge.data_messages(late)]
    assert max(s for s in seqs if s is not None) < 256
    repeated = edge.birth_messages()
    assert [read_metrics(message[1])[0] for message in repeated] == [0, 1]


def test_rebirth_commands_and_host_states() -> None:
    yes = sparkplug_payload.encode_payload(
        [sparkplug_payload.Metric(True, sparkplug_payload.BOOLEAN, 1, sparkplug_payload.REBIRTH)],
        1,
        0,
    )
    no = sparkplug_payload.encode_payload(
        [sparkplug_payload.Metric(False, sparkplug_payload.BOOLEAN, 1, sparkplug_payload.REBIRTH)],
        1,
        0,
    )
    assert [
        sparkplug_payload.is_rebirth_request(data)
        for data in (yes, no, b"", yes[:-3], b"\xff" * 20)
    ] == [
        True,
        False,
        False,
        False,
        False,
    ]
    host = SparkplugHost("h")
    assert not host.online
    assert host.on_state(b'{"online":true,"timestamp":5}')
    assert not host.on_state(b'{"online":false,"timestamp":4}')
    assert not host.on_state(b"nonsense")
    assert host.on_state(b'{"online":false,"timestamp":6}')
    assert SparkplugHost("").online


class NoConnection:
    """A broker connection that is never open."""

    def is_connected(self) -> bool:
        return False

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        raise AssertionError


class RecordingOutput(Output):
    """Another output: stores the calls, and is ready after the first `process`."""

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        self.calls: list[object] = [context.argument]

    def process(self) -> None:
        self.calls.append("process")

    def ready(self) -> bool:
        return len(self.calls) > 1

    def rows(self, block: Rows) -> None:
        self.calls.append(block)

    def note(self, unit: str, number: int, payload: bytes) -> None:
        self.calls.append((unit, number, payload))

    def close(self) -> None:
        self.calls.append("close")


def test_a_new_output_is_one_class_and_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[RecordingOutput] = []

    def factory(context: OutputContext) -> Output:
        made.append(RecordingOutput(context))
        return made[-1]

    spec = outputs.OutputSpec("record", factory, "PLACE", "record the calls")
    specs = (*outputs.OUTPUTS, spec)
    for module in (outputs, command):
        monkeypatch.setattr(module, "OUTPUTS", specs)
    options = command.parse_options(["--broker", "h:1", "--store", "s", "--record", "here"])
    assert options.outputs == {"record": "here"}
    selected = outputs.Outputs(
        options.outputs,
        lambda argument: OutputContext(
            argument, "r1", "", NoConnection(), lambda: 0, lambda: 0, dict
        ),
    )
    assert not selected.ready()
    selected.process()
    assert selected.ready()
    selected.rows(ROWS)
    selected.note(UNIT, 5, b"{}")
    selected.close()
    (output,) = made
    assert output.calls == ["here", "process", ROWS, (UNIT, 5, b"{}"), "close"]
    kind, page = selected.pages()["/metrics"]()
    assert kind.startswith("application/openmetrics-text")
    assert "coldloop_relay_blocks_total 1\n" in page
