# SPDX-License-Identifier: Apache-2.0
"""`coldloop telemetry`: bits per value within limits, exact JSON, errors on one line."""

import csv
import hashlib
import json
from pathlib import Path

import pytest

import coldloop
from agent.log import segment
from benchmarks.telemetry import codec_train, stream
from protocols.telemetry import block, merged_block, message
from protocols.telemetry.schema import Schema
from tests.support.data import data_folder

KEYS = ["block", "values", "bytes", "bits_per_value", "zlib_bits_per_value", "roundtrip"]


def table(path: Path, seed: int, rows: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(stream.NAMES)
        writer.writerows(stream.rows(seed, rows))
    return path


def codec(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, float]:
    assert coldloop.main(["telemetry", "codec", *words, "--json"]) == 0
    record: dict[str, float] = json.loads(capsys.readouterr().out)
    assert list(record) == KEYS
    return record


@pytest.mark.parametrize(("rows", "most"), [(60, 2.3), (600, 2.0)])
@pytest.mark.parametrize("seed", [1, 77])
def test_bits_per_value_of_the_reference_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int, rows: int, most: float
) -> None:
    assert seed < codec_train.FIRST_TRAINING_SEED
    path = table(tmp_path / "s.csv", seed, 1200)
    record = codec(capsys, str(path), "--block", str(rows))
    assert record["values"] == 1200 * 40
    assert record["bits_per_value"] <= most
    assert record["bits_per_value"] < record["zlib_bits_per_value"]
    assert record["roundtrip"] is True


def test_gaps_and_a_short_last_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.csv"
    path.write_text("a,b\n1,\n,2\n3,4\n-5,\n", encoding="utf-8")
    assert codec(capsys, str(path), "--block", "3")["values"] == 8
    assert coldloop.main(["telemetry", "codec", str(path)]) == 0
    assert "every block decodes alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("a,b\n", "no rows"),
        ("a,b\n1\n", "s.csv:2: 1 cells for 2 columns"),
        ("a,b\n1,2\n1,2.5\n", "s.csv:3: a cell must be an integer"),
        ("a\n9007199254740992\n", "53 bits"),
        ("a\tb\n1\n", "cannot be told"),
    ],
)
def test_bad_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text, encoding="utf-8")
    assert coldloop.main(["telemetry", "codec", str(path)]) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert errors.count("\n") == 1


def test_missing_file_and_bad_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coldloop.main(["telemetry", "codec", str(tmp_path / "none.csv")]) == 2
    path = table(tmp_path / "s.csv", 1, 2)
    assert coldloop.main(["telemetry", "codec", str(path), "--block", "0"]) == 2
    assert "--block 0" in capsys.readouterr().err


def test_reference_stream_is_unchanged() -> None:
    """The digest of the output of the generator (beside the data) for the same seed."""
    lines = [stream.NAMES, *stream.rows(5, 50)]
    text = "\n".join(",".join(map(str, line)) for line in lines)
    digest = "3ce25fa9ad998a8785579d3c32f36d1f116f4e692cdef737de6381b129fbc4a2"
    assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_reference_stream_is_that_of_the_benchmarks() -> None:
    tool = data_folder().parent / "tools" / "stream"
    if not tool.exists():
        return  # the digest of its output is in the test above
    names: dict[str, object] = {"__name__": "tool"}
    exec(compile(tool.read_text(encoding="utf-8"), "stream", "exec"), names)
    lines: list[str] = []
    names["print"] = lines.append
    names["main"](5, 50)  # type: ignore[operator]
    assert lines[0] == ",".join(stream.NAMES)
    assert lines[1:] == [",".join(map(str, row)) for row in stream.rows(5, 50)]


def test_innovation_entropy_is_below_the_codec() -> None:
    assert 1.7 < stream.innovation_bits(3, 1200) < 1.85


def write_log(folder: Path) -> None:
    """Write the log of a unit: a schema, two blocks, a note."""
    schema = Schema([("t", "ms", 1, 1), ("cdu.P", "kPa", 1, 10)])
    life = b"\1\2\3"
    blocks = [
        block.encode(schema.number, seq, [[1000 * t for t in range(seq, seq + 3)], [5, None, 7]])
        for seq in (1, 4)
    ]
    records = {
        message.ALARM: [(message.SCHEMA, schema.text), (message.JSON_EVENT, b'{"code":"leak"}')],
        message.BULK: [(message.ROWS, data) for data in blocks],
    }
    for group, entries in records.items():
        frames = [
            segment.frame(life, group, segment.LogRecord(i + 1, 9, kind, payload))
            for i, (kind, payload) in enumerate(entries)
        ]
        (folder / segment.segment_name(life, group, 1)).write_bytes(b"".join(frames))


def test_log_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(tmp_path)
    assert coldloop.main(["telemetry", "cat", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["kind"] for line in lines] == ["schema", "note", "rows", "rows"]
    assert lines[1]["note"] == {"code": "leak"}
    assert lines[2]["rows"][0] == {"seq": 1, "t": 1000, "cdu.P": 0.5}
    assert coldloop.main(["telemetry", "cat", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().out == text
    assert coldloop.main(["telemetry", "cat", str(tmp_path), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["seq"], row["cdu.P"]) for row in rows][:3] == [
        ("1", "0.5"),
        ("2", ""),
        ("3", "0.7"),
    ]
    assert coldloop.main(["telemetry", "stats", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["segments"], record["rows"], record["values"]) == (2, 6, 12)
    assert record["classes"]["bulk"]["last"] == 2


def test_merged_blocks_are_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(tmp_path)
    life, group = b"\1\2\3", message.BULK
    file = tmp_path / segment.segment_name(life, group, 1)
    short = segment.scan(file.read_bytes(), life, group).records
    merge = merged_block.MergedBlockWriter([record.payload for record in short], 2)
    while not merge.step():
        pass
    file.write_bytes(
        segment.frame(life, group, segment.LogRecord(1, 9, message.MERGED, merge.finish()))
    )
    assert coldloop.main(["telemetry", "cat", str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [(row["seq"], row["cdu.P"]) for row in rows[:4]] == [
        (1, 0.5),
        (2, None),
        (3, 0.7),
        (4, 0.5),
    ]
    assert coldloop.main(["telemetry", "stats", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["rows"], record["values"]) == (6, 12)
    bulk = record["classes"]["bulk"]
    assert (bulk["records"], bulk["first"], bulk["last"]) == (2, 1, 2)


def test_damaged_and_missing_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(tmp_path)
    path = sorted(tmp_path.iterdir())[-1]
    path.write_bytes(path.read_bytes()[:-1])
    assert coldloop.main(["telemetry", "stats", str(tmp_path)]) == 1
    assert "truncated or damaged" in capsys.readouterr().err
    for where in (tmp_path / "none", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        assert coldloop.main(["telemetry", "cat", str(where)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
