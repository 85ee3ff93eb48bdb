# SPDX-License-Identifier: Apache-2.0
"""A folder that cannot be written costs no run and does not end the bench or start a run."""

import shutil
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.record.record import read
from hil.report.write import check_report
from tests.hil.page.test_page import PageBench
from tests.hil.page.test_survival import read_state
from tests.support.cli_tools import wait_until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PageBench]:
    page_bench = PageBench(tmp_path)
    wait_until("the first state", lambda: read_state(page_bench))
    yield page_bench
    if page_bench.process.poll() is None:
        page_bench.close()


def lock(bench: PageBench) -> None:
    """Replace the folder of the records by a file: it cannot be written, by root either."""
    shutil.rmtree(bench.records, ignore_errors=True)
    bench.records.write_text("no folder")


def last(bench: PageBench) -> dict[str, Any]:
    found: dict[str, Any] = read_state(bench)["last"] or {}
    return found


def short_suite(bench: PageBench) -> str:
    return str(next(bench.records.parent.glob("g*.toml")))


def run_without_a_folder(bench: PageBench) -> None:
    """Start a run, lock the folder, and abort the run."""
    bench.request("start", suite=short_suite(bench), operator="Ada")
    wait_until("the run", lambda: read_state(bench)["scenario"])
    lock(bench)
    bench.request("abort")
    kept = wait_until("its end", lambda: last(bench))
    assert "the record cannot be written, the bench keeps the run" in kept["text"]
    assert kept["report"] is None
    assert bench.process.poll() is None


def test_the_bench_keeps_the_run_and_stores_it_later(bench: PageBench) -> None:
    run_without_a_folder(bench)
    with pytest.raises(urllib.error.HTTPError) as refused:  # no place for its record
        bench.request("start", suite=short_suite(bench))
    assert "name a folder that can be written" in refused.value.read().decode()
    bench.records.unlink()
    stored = wait_until("the record", lambda: last(bench).get("report"))
    record = read(bench.records / stored / "record.json")
    assert record["operator"] == "Ada"
    assert record["runs"][0]["failures"][0] == "aborted"
    assert len(list(bench.records.iterdir())) == 1
    assert bench.process.poll() is None


def test_at_its_end_the_bench_stores_a_kept_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "other"))
    bench = PageBench(tmp_path)
    wait_until("the first state", lambda: read_state(bench))
    run_without_a_folder(bench)
    bench.close()
    (path,) = (tmp_path / "other").glob("coldloop-records-*/*/record.json")
    assert read(path)["operator"] == "Ada"


def test_a_report_that_cannot_be_written_is_found_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.tools.run._run_scenarios", lambda _: pytest.fail("it ran"))
    monkeypatch.setattr("hil.tools.run.run_unit", lambda _: pytest.fail("it ran"))
    (tmp_path / "file").write_text("")
    key = ["--key", str(tmp_path / "key")]
    for folder in (tmp_path / "file" / "a", tmp_path / "file", Path("/proc/x/y")):
        for words in (["smoke"], ["acceptance", "--unit", "unit.json", "--real"]):
            assert main(["hil", "run", *words, "--report", str(folder), *key]) == 2
            assert "name a folder that can be written" in capsys.readouterr().err


def test_a_good_check_leaves_nothing(tmp_path: Path) -> None:
    check_report(tmp_path / "a" / "b", tmp_path / "key")
    assert not (tmp_path / "a").exists()
    (tmp_path / "c").mkdir()
    check_report(tmp_path / "c", tmp_path / "key")
    assert list((tmp_path / "c").iterdir()) == []
