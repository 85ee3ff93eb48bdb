# SPDX-License-Identifier: Apache-2.0
"""The relay's Sparkplug B output, read by pysparkplug in its own environment (it pins paho 1.6)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.relay.decode.row_format import Rows
from deploy.relay.sparkplug.edge import SparkplugEdge
from deploy.relay.sparkplug.payload import SIGNED_COMMAND, read_signed_commands

_PEER_PACKAGE = "pysparkplug==0.6.1"
_READER = """
import json, sys
import pysparkplug as sp
kinds = {"NBIRTH": sp.NBirth, "DBIRTH": sp.DBirth, "DDATA": sp.DData,
         "DDEATH": sp.DDeath, "NDEATH": sp.NDeath}
birth = None
for line in sys.stdin:
    topic, data = line.split()
    parsed = sp.Topic.from_str(topic)
    kind = topic.split("/")[2]
    got = kinds[kind].decode(bytes.fromhex(data), birth=birth if kind == "DDATA" else None)
    if kind == "DBIRTH":
        birth = got
    print(json.dumps({
        "kind": parsed.message_type.value if parsed.message_type else kind,
        "edge": parsed.edge_node_id, "device": parsed.device_id, "group": parsed.group_id,
        "seq": getattr(got, "seq", None),
        "metrics": [[m.name, m.value, m.timestamp, m.is_historical] for m in
                    getattr(got, "metrics", None) or
                    [m for m in [getattr(got, "bd_seq_metric", None)] if m]],
    }))
"""
_COMMANDER = """
import sys
import pysparkplug as sp
metric = sp.Metric(timestamp=5, name=sys.argv[1], datatype=sp.DataType.DATATYPE, value=VALUE)
print(sp.DCmd(timestamp=5, metrics=(metric,)).encode().hex())
"""
_MESSAGE = bytes(range(120))
_UNIT = "s1/u1"
_NAMES = ("supply", "return")


def _rows(number: int, *rows: tuple[int, list[float | None]]) -> Rows:
    return Rows(_UNIT, number, number, _NAMES, list(rows))


@pytest.mark.soak
def test_pysparkplug_reads_births_data_and_deaths(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=200)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", _PEER_PACKAGE]
    subprocess.run(pip, check=True, timeout=300)
    edge = SparkplugEdge("g", "n", 7, lambda: 9000)
    output = [*edge.birth_messages()]
    output += edge.data_messages(_rows(1, (1000, [20.5, 30.25]), (2000, [21.0, None])))
    output += edge.data_messages(_rows(2, (500, [19.0, -3.5])))  # late: historical
    output += edge.data_messages(_rows(3, (3000, [22.0, 31.0])))
    output += edge.death_messages(_UNIT)
    output.append(edge.will_message())
    text = "".join(f"{topic} {payload.hex()}\n" for topic, payload, _, _ in output)
    read = subprocess.run(
        [python, "-c", _READER], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert read.returncode == 0, read.stderr
    result = [json.loads(line) for line in read.stdout.splitlines()]
    kinds = ["NBIRTH", "DBIRTH", "DDATA", "DDATA", "DDATA", "DDEATH", "NDEATH"]
    assert [entry["kind"] for entry in result] == kinds
    assert [entry["seq"] for entry in result] == [0, 1, 2, 3, 4, 5, None]
    assert {(entry["group"], entry["edge"]) for entry in result} == {("g", "n")}
    assert {entry["device"] for entry in result} == {None, "s1.u1"}
    assert ["bdSeq", 7, 9000, False] in [[*m[:2], 9000, m[3]] for m in result[0]["metrics"]]
    assert [m[0] for m in result[1]["metrics"]] == [*_NAMES, "Commands/Signed", "Commands/Answer"]
    # a value older than the newest of its unit is historical, also in the first block
    assert result[2]["metrics"] == [
        ["supply", 20.5, 1000, True],
        ["return", 30.25, 1000, True],
        ["supply", 21.0, 2000, False],
        ["return", None, 2000, False],
    ]
    assert result[3]["metrics"] == [["supply", 19.0, 500, True], ["return", -3.5, 500, True]]
    assert result[4]["metrics"] == [["supply", 22.0, 3000, False], ["return", 31.0, 3000, False]]
    assert [m[:2] for m in result[6]["metrics"]] == [["bdSeq", 7]]
    for datatype, value in (("BYTES", "bytes.fromhex(sys.argv[2])"), ("STRING", "sys.argv[2]")):
        program = _COMMANDER.replace("DATATYPE", datatype).replace("VALUE", value)
        sent = subprocess.run(
            [python, "-c", program, SIGNED_COMMAND, _MESSAGE.hex()],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert read_signed_commands(bytes.fromhex(sent.stdout)) == [_MESSAGE]
