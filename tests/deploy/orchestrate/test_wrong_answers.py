# SPDX-License-Identifier: Apache-2.0
"""Files of units and answers of programs that are wrong: no reading, one line, never an undo."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import DeployError
from deploy.orchestrate import settings as settings_file
from deploy.orchestrate.command import own_scheduler
from deploy.orchestrate.reading import RowReading
from deploy.orchestrate.rules import RowRules
from deploy.orchestrate.service import Service
from deploy.orchestrate.settings import (
    OrchestrateSettings,
    RowSettings,
    RuleSettings,
    SlurmSettings,
)
from deploy.orchestrate.slurm.client import SlurmClient, SlurmError
from deploy.orchestrate.sources import StatusFile
from tests.support.repository import ROOT

_HUGE = "-1" + "0" * 400
_DEEP = "[" * 200_000 + "]" * 200_000


def status(headroom: str = "50000", state: str = '"free"', unit: str = '"normal"') -> str:
    limits = f'{{"headroom_w": {headroom}, "heat_w": 10000, "state": {state}}}'
    return f'{{"mono_us": 1, "state": {unit}, "throttle": {limits}}}'


@pytest.mark.parametrize(
    "text",
    [
        status(_HUGE),
        status("1e308"),
        status("true"),
        status(_DEEP),
        _DEEP,
        status(state='"exploded"'),
        status(state="null"),
        status(state='["free"]'),
        status(unit='"exploded"'),
        status(unit="{}"),
        status().replace('"mono_us": 1', '"mono_us": NaN'),
        status() + " " * 1_000_000 + "x",
    ],
)
def test_a_wrong_status_is_no_reading(tmp_path: Path, text: str) -> None:
    path = tmp_path / "status.json"
    path.write_text(text)
    found = StatusFile(str(path)).read()
    assert found is None or found.capacity_w is None
    path.write_text(status())
    found = StatusFile(str(path)).read()
    assert found is not None
    assert found.capacity_w == 60e3


def test_a_heat_below_zero_gives_no_additional_headroom(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text(status().replace('"heat_w": 10000', '"heat_w": -4000'))
    found = StatusFile(str(path)).read()
    assert found is not None
    assert (found.headroom_w, found.heat_w) == (46e3, 0.0)


def test_the_headroom_in_use_is_at_most_the_rating() -> None:
    row = RowSettings("row1", ("n1",), 100.0, status="-")
    reading = RowReading(1e9, 0.0, "free", "normal", 0.0, "status")
    assert RowRules(row, RuleSettings()).step(0.0, reading).headroom_w == 100e3


def test_a_source_with_an_error_leaves_the_other_rows(tmp_path: Path) -> None:
    class Broken:
        def read(self) -> RowReading | None:
            raise RuntimeError("unforeseen")

        def close(self) -> None:
            pass

    path = tmp_path / "status.json"
    path.write_text(status())
    rows = tuple(RowSettings(name, (name,), 100.0, status=str(path)) for name in ("a", "b"))
    lines: list[str] = []
    service = Service(OrchestrateSettings(rows), None, lines.append)
    service._sources["a"] = [Broken()]
    service.step()
    record = service.step()
    readings = [row["reading"] is not None for row in record["rows"]]
    assert readings == [False, True]
    assert lines == ["a: Broken: RuntimeError('unforeseen')"]


@pytest.mark.parametrize("name", ["a down=gentle x", "", "a,b", "A\n", "_a"])
def test_the_name_of_a_row_forges_no_mark(name: str) -> None:
    text = f'[[row]]\nname = {json.dumps(name)}\nnodes = ["n1"]\nrated_kw = 1\nstatus = "s"\n'
    with pytest.raises(DeployError, match="name: 1 to 32"):
        settings_file.parse(text)


_NODE: dict[str, Any] = {"name": "n1", "state": ["IDLE"], "weight": 1}
_JOB: dict[str, Any] = {"job_id": 1, "job_state": ["RUNNING"], "nodes": "n1", "start_time": 5}


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("scontrol", "squeue"):
        program(tmp_path, name, f"#!/bin/sh\ncat {tmp_path}/answer\n")
    return tmp_path / "answer"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        5,
        "text",
        {"nodes": None},
        {"nodes": {}},
        {"nodes": 5},
        {"nodes": [{}]},
        {"nodes": [None]},
        {"nodes": [[]]},
        {"nodes": ["n1"]},
        {"nodes": [{**_NODE, "state": "IDLE"}]},
        {"nodes": [{**_NODE, "state": []}]},
        {"nodes": [{**_NODE, "state": [5]}]},
        {"nodes": [{**_NODE, "name": None}]},
        {"nodes": [{**_NODE, "reason": ["x"]}]},
        {"nodes": [{**_NODE, "weight": "heavy"}]},
        {"nodes": [{**_NODE, "weight": -1}]},
        {"nodes": [{**_NODE, "weight": {"set": True}}]},
        {"jobs": [{**_JOB, "start_time": []}]},
        {"jobs": [{**_JOB, "start_time": "now"}]},
        {"jobs": [{**_JOB, "start_time": {"set": True}}]},
        {"licenses": [{"LicenseName": "a", "Total": None, "Used": "x"}]},
        {"reservations": [{"name": "a", "licenses": 5}]},
        {"partitions": [{"name": "a", "partition": None}]},
        {"partitions": [{"name": "a", "partition": {"state": "UP"}}]},
        {"partitions": [{"name": "a", "partition": {"state": []}}]},
    ],
)
def test_a_wrong_answer_of_slurm_is_one_error(answers: Path, answer: object) -> None:
    answers.write_text(json.dumps(answer))
    client = SlurmClient()
    calls = {
        "nodes": client.nodes,
        "jobs": client.jobs,
        "licenses": client.licences,
        "reservations": client.reservations,
        "partitions": client.partition_states,
    }
    keys = [key for key in calls if isinstance(answer, dict) and key in answer] or list(calls)
    for key in keys:
        with pytest.raises(SlurmError) as caught:
            calls[key]()
        assert "\n" not in str(caught.value)


def test_a_deep_answer_of_slurm_is_one_error(answers: Path) -> None:
    answers.write_text(_DEEP)
    with pytest.raises(SlurmError, match="show nodes"):
        SlurmClient().nodes()


def test_numbers_as_objects_are_read(answers: Path) -> None:
    weight = {"set": True, "infinite": False, "number": 7}
    answers.write_text(json.dumps({"nodes": [{**_NODE, "weight": weight}], "jobs": [_JOB]}))
    assert SlurmClient().nodes()["n1"].weight == 7
    assert SlurmClient().jobs()[0].start_s == 5


def test_a_program_that_cannot_run_is_one_error(answers: Path) -> None:
    for text, mode in (("no format", 0o755), ("#!/no/such/shell\n", 0o755), ("x", 0o644)):
        program(answers.parent, "scontrol", text)
        (answers.parent / "scontrol").chmod(mode)
        client = SlurmClient()
        client._environment["PATH"] = str(answers.parent)
        with pytest.raises(SlurmError, match="scontrol"):
            client.nodes()


def test_an_error_in_a_pass_undoes_nothing(answers: Path) -> None:
    """A program answers wrong in the middle of the service: no change follows, it goes on."""
    folder = answers.parent
    answers.write_text('{"nodes": null}')
    calls = folder / "calls"
    program(folder, "scontrol", f'#!/bin/sh\necho "$@" >> {calls}\ncat {answers}\n')
    path = folder / "status.json"
    path.write_text(status(_HUGE))
    config = folder / "orchestrate.toml"
    config.write_text(
        f'[[row]]\nname = "a"\nnodes = ["n1"]\nrated_kw = 100\nstatus = "{path}"\n'
        "[rules]\npoll_s = 0.1\n[slurm]\n"
    )
    command = [sys.executable, "-m", "coldloop", "orchestrate", "--config", str(config)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 30
        while not calls.exists() or len(calls.read_text().splitlines()) < 3:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert "Traceback" not in log
    assert log.count("not a list") == 2  # of the pass, and of the undo at the end
    assert not {"update", "create"} & set(calls.read_text().split())
    assert process.returncode == 1  # the undo was not complete


@pytest.mark.parametrize("other", ["{0}/./slurm.conf", "{0}/link.conf", "{0}/x/../slurm.conf"])
def test_one_lock_for_all_names_of_a_cluster(tmp_path: Path, other: str) -> None:
    (tmp_path / "slurm.conf").touch()
    (tmp_path / "x").mkdir()
    (tmp_path / "link.conf").symlink_to(tmp_path / "slurm.conf")
    row = RowSettings("row1", ("n1",), 100.0, status="-")
    first, second = (
        OrchestrateSettings((row,), slurm=SlurmSettings(conf=text.format(tmp_path)))
        for text in ("{0}/slurm.conf", other)
    )
    lock = own_scheduler(first)
    try:
        with pytest.raises(DeployError, match="another process"):
            own_scheduler(second)
    finally:
        lock.close()
    own_scheduler(second).close()
