# SPDX-License-Identifier: Apache-2.0
"""Outputs of the relay: text formats, Sparkplug, and a new output."""

import json
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.relay import command
from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.outputs import registry
from deploy.relay.outputs.base import Output, OutputContext
from deploy.relay.outputs.fleet_store import FleetStoreOutput
from deploy.relay.outputs.metrics_output import (
    MetricsOutput,
    UnitMetrics,
    format_metrics,
    format_values,
)
from deploy.relay.outputs.text.row_text import rows_to_json, rows_to_lines
from deploy.relay.records.database import RelayDatabase
from deploy.relay.sparkplug import payload as sparkplug_payload
from deploy.relay.sparkplug.edge import NAMESPACE, SparkplugEdge
from deploy.relay.sparkplug.primary_host import SparkplugHost
from tests.deploy.relay.relay_rig import START_MS, UNIT
from tests.deploy.relay.stores.test_stores import context

ROWS = Rows(UNIT, 7, 1, ("a b", "c"), [(1000, [1.5, None]), (2000, [2.5, 3.0])])


def test_output_formats() -> None:
    assert json.loads(rows_to_json(ROWS))["rows"] == [[1000, 1.5, None], [2000, 2.5, 3.0]]
    assert rows_to_lines(ROWS) == (
        "coldloop,site=s1,unit=u1 a\\ b=1.5 1000000000\n"
        "coldloop,site=s1,unit=u1 a\\ b=2.5,c=3.0 2000000000\n"
    )
    assert rows_to_lines(Rows(UNIT, 7, 1, ("a",), [(5, [1.0])], is_dated=False)) == ""
    text = format_metrics({UNIT: UnitMetrics(1000, 2000)}, {"records": 3, "x_now": 4}, 5000)
    assert 'coldloop_unit_data_age_seconds{site="s1",unit="u1"} 4.0\n' in text
    assert "coldloop_relay_x_now 4\n" in text
    assert "coldloop_relay_records_total 3\n" in text
    assert text.endswith("\n# EOF\n")
    text = format_values(UNIT, {'x"y': 1.5})
    assert 'coldloop_value{site="s1",unit="u1",signal="x\\"y"} 1.5\n' in text


def test_alarms_of_the_metrics_end_at_a_start_and_outlast_the_relay(tmp_path: Path) -> None:
    database = RelayDatabase(tmp_path / "relay.db", "r1")
    output = MetricsOutput(context("", database))

    def alarms_of(of: MetricsOutput) -> list[str]:
        text = of.pages()["/metrics"]("")[1]
        return [line for line in text.splitlines() if line.startswith("coldloop_unit_alarms{")]

    raised = {"alarm": "raised", "code": "leak_critical"}
    output.deliver([Note(UNIT, 4, raised), Note("s1/u2", 4, raised)])
    assert len(alarms_of(output)) == 2
    again = MetricsOutput(context("", database))
    assert alarms_of(again) == alarms_of(output)
    again.deliver([Note(UNIT, 8, {"event": "start"})])
    assert [line.split('"')[3] for line in alarms_of(again)] == ["u2"]
    again.deliver([Note("s1/u2", 8, {"alarm": "cleared", "code": "leak_critical"})])
    many = [Note(UNIT, 12, {"alarm": "raised", "code": f"c{at}"}) for at in range(500)]
    again.deliver([*many, Note(UNIT, 16, {"alarm": "cleared", "code": ["no", "text"]})])
    last = MetricsOutput(context("", database))
    assert alarms_of(last) == alarms_of(again)
    assert len(last._units[UNIT].alarms.active()) == 160
    database.close()


def test_metrics_of_backlog_and_versions() -> None:
    output = MetricsOutput(context(""))

    def value_of(name: str) -> list[str]:
        text = output.pages()["/metrics"]("")[1]
        return [line for line in text.splitlines() if line.startswith(f"coldloop_{name}{{")]

    def block(at_ms: int) -> Rows:
        return Rows(UNIT, 7, 1, ("a",), [(at_ms, [1.0])])

    output.deliver([block(START_MS)])
    assert value_of("unit_backlog_seconds")[0].endswith(" 0.0")
    output.deliver([block(START_MS - 7200_000)])
    assert value_of("unit_backlog_seconds")[0].endswith(" 7200.0")
    output._units[UNIT].late_came_ms -= 200_000
    assert value_of("unit_backlog_seconds")[0].endswith(" 0.0")
    report = {"version": 3, "hash": "ab" * 32, "update": [7, 0, 0, 0, ""]}
    for payload in (json.dumps(report).encode(), b"[" * 60_000, b"\xff", b'{"update":{}}x'):
        output.on_unit_report(UNIT, payload)
    labels = 'site="s1",unit="u1",configuration="3",hash="abababababab",release="7"'
    assert value_of("unit_info") == [f"coldloop_unit_info{{{labels}}} 1.0"]


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
    assert [m.get(2) for m in births] == [0, 1, None, None], "commands have no alias"
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
    seqs: list[int | None] = []
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
    host = SparkplugHost(NAMESPACE, "h")
    assert not host.online
    assert host.on_state(b'{"online":true,"timestamp":5}')
    assert not host.on_state(b'{"online":false,"timestamp":4}')
    for nonsense in (b"nonsense", b'{"online":true,"timestamp":1e400}', b"[" * 100_000):
        assert not host.on_state(nonsense)
    assert host.on_state(b'{"online":false,"timestamp":6}')
    assert SparkplugHost(NAMESPACE, "").online


def test_new_names_of_a_device_have_limits() -> None:
    """Each needs a DBIRTH with all names of the device."""
    now = 1000
    edge = SparkplugEdge("g", "n", 0, lambda: now)

    def alarm(number: int, record: int = 4, change: str = "raised") -> list[str]:
        content = {"alarm": change, "code": f"c{number}"}
        return [message[0] for message in edge.alarm_messages(Note(UNIT, record, content))]

    births = sum(topic.count("DBIRTH") for number in range(300) for topic in alarm(number))
    assert births == 64
    assert alarm(5, 8, "cleared") == ["spBv1.0/g/DDATA/n/s1.u1"], "a known one still has its value"
    now += 60_000
    assert len(alarm(299)) == 2
    for block in range(30):
        names = tuple(f"s{block}-{column}" for column in range(100))
        edge.data_messages(Rows(UNIT, 7, 1, names, [(1000, [1.5] * 100)]))
        assert set(names) <= set(edge._devices["s1.u1"].names)
        assert len(edge._devices["s1.u1"].names) <= 2000
    wide = tuple(f"w{column}" for column in range(3000))
    edge.data_messages(Rows(UNIT, 7, 1, wide, [(1000, [1.5] * 3000)]))
    device = edge._devices["s1.u1"]
    assert set(wide) <= device.left_out.union(device.names), "what has no place is left out"
    assert sum(name.startswith("Alarms/") for name in device.names) == 64, "active ones are first"


def test_a_unit_whose_names_always_change_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.relay.outputs.metrics_output._MOST_VALUES", 100)
    monkeypatch.setattr("deploy.relay.outputs.fleet_store._MAX_SIGNALS", 100)
    context = OutputContext(
        str(tmp_path / "fleet.db"), "r1", "", NoConnection(), lambda: 0, lambda: 5000, dict
    )
    metrics, store = MetricsOutput(context), FleetStoreOutput(context)
    for number in range(30):
        names = tuple(f"s{number}-{column}" for column in range(20))
        rows = Rows(UNIT, 4 * number + 7, 1, names, [(1000 + number, [1.5] * 20)])
        metrics.deliver([rows])
        store.deliver([rows])
        assert set(names) <= metrics._units[UNIT].values.keys()
    assert len(metrics._units[UNIT].values) <= 120
    assert len(store._signals) <= 100
    assert store._db.execute("SELECT COUNT(*) FROM signal").fetchone() == (600,)
    store.close()


class NoConnection:
    """A broker connection that is never open."""

    def is_connected(self) -> bool:
        return False

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        raise AssertionError

    def flush(self, needs_subscriber: bool = False) -> None:
        raise AssertionError

    def most_bytes(self) -> int:
        return 1 << 28

    def leave(self) -> None:
        """The connection stays."""


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

    def note(self, note: Note) -> None:
        self.calls.append(note)

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        self.calls.append("close")


MADE: list[RecordingOutput] = []


def make_recording(context: OutputContext) -> Output:
    MADE.append(RecordingOutput(context))
    return MADE[-1]


def test_a_new_output_is_one_class_and_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.OutputSpec(
        "record", f"{__name__}:make_recording", "PLACE", "record the calls", stores=True
    )
    specs = (*registry.OUTPUTS, spec)
    for module in (registry, command):
        monkeypatch.setattr(module, "OUTPUTS", specs)
    options = command.parse_options(["--broker", "h:1", "--store", "s", "--record", "here"])
    assert (options.outputs, options.required) == ({"record": "here"}, {"record"})
    selected = registry.Outputs(
        options.outputs,
        lambda _, argument: OutputContext(
            argument, "r1", "", NoConnection(), lambda: 0, lambda: 0, dict
        ),
    )
    output = selected.by_name["record"]
    assert not output.ready()
    output.process()
    assert output.ready()
    note = Note(UNIT, 5, {})
    output.deliver([ROWS, note])
    selected.close()
    assert MADE.pop().calls == ["here", "process", ROWS, note, "flush", "close"]


def test_the_outputs_that_a_receipt_waits_for() -> None:
    words = ["--broker", "h:1", "--store", "s", "--json", "t", "--sparkplug", "g"]
    options = command.parse_options(words)
    assert (options.required, options.outputs["fleet"]) == ({"fleet"}, "s.fleet")
    assert registry.default_required({"json", "sparkplug", "metrics"}) == {"json", "sparkplug"}
    assert command.parse_options([*words, "--required", "json"]).required == {"json"}
    with pytest.raises(DeployError):
        command.parse_options([*words, "--required", "lines"])
    # an output that drops a part of the records is not the only one that a receipt waits for
    partial = ["--broker", "h:1", "--store", "s", "--influx", "http://h/write", "--lines", "f"]
    options = command.parse_options(partial)
    assert (options.required, options.outputs["fleet"]) == ({"fleet", "influx"}, "s.fleet")
    partial += ["--sparkplug", "g", "--alarms", "a"]
    for names in (["influx"], ["lines"], ["influx", "lines"], ["sparkplug"], ["alarms"]):
        with pytest.raises(DeployError, match="without UTC"):
            command.parse_options([*partial, *[f"--required={name}" for name in names]])
    with pytest.raises(DeployError, match="no --metrics"):
        command.parse_options([*partial, "--required", "metrics"])
    both = ["--fleet", "db", "--required", "influx", "--required", "fleet"]
    assert command.parse_options([*partial, *both]).required == {"fleet", "influx"}
