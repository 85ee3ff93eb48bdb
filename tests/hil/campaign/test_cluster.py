# SPDX-License-Identifier: Apache-2.0
"""Campaigns on a cluster: error lines, and (`make soak`) real Dask and Ray on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from hil.campaign import cluster
from hil.campaign.cluster import call_checked, run_on_cluster
from hil.commands import hil
from hil.errors import BenchError
from tests.support.programs import free_port
from tests.support.repository import ROOT

CAMPAIGN = ["campaign", "--seeds", "2", "--first", "9", "--seconds", "600", "--json"]


class FakeDaskClient:
    """Replaces the client of Dask for `hil.campaign.cluster`, with a pool of two threads."""

    workers = 1

    def __init__(self, address: str, timeout: float) -> None:
        self.pool = ThreadPoolExecutor(2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()

    def wait_for_workers(self, least: int, timeout: float) -> None:
        if self.workers < least:
            raise TimeoutError

    def submit(self, call: Any, *arguments: Any, pure: bool) -> Any:
        return self.pool.submit(call, *arguments)


@pytest.fixture
def dask(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module = SimpleNamespace(Client=FakeDaskClient, as_completed=as_completed)
    monkeypatch.setattr(cluster, "_load_module", lambda *_: module)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"dask:127.0.0.1:{listening.getsockname()[1]}"


def test_cluster_gives_the_same_record_as_one_core(
    dask: str, capsys: pytest.CaptureFixture[str]
) -> None:
    records = []
    for placement in (["--workers", "1"], ["--cluster", dask]):
        assert hil([*CAMPAIGN, *placement]) == 0
        records.append(json.loads(capsys.readouterr().out))
        del records[-1]["wall_s"]
    assert records[0] == records[1]
    assert len(records[0]["digest"]) == 64


def test_different_seeds_give_different_digests(capsys: pytest.CaptureFixture[str]) -> None:
    digests = set()
    for first in ("9", "11"):
        arguments = ["campaign", "--seeds", "1", "--first", first, "--seconds", "600", "--json"]
        assert hil([*arguments, "--workers", "1"]) == 0
        digests.add(json.loads(capsys.readouterr().out)["digest"])
    assert len(digests) == 2


def test_cluster_errors_print_one_line(
    dask: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeDaskClient, "workers", 0)
    unreachable = f"dask:127.0.0.1:{free_port()}"
    for cluster_name, message in (
        ("dask:somewhere", "is not dask:HOST:PORT or ray:HOST:PORT"),
        ("dask:somewhere:x", "is not dask:HOST:PORT or ray:HOST:PORT"),
        (unreachable, "Connection refused"),
        (dask, "no worker after 20 s"),
    ):
        assert hil(["campaign", "--cluster", cluster_name]) == 2
        output = capsys.readouterr().err
        assert message in output
        assert output.count("\n") == 1


def test_missing_package_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["campaign", "--cluster", "ray:127.0.0.1:1"]) == 2
    assert "ray is not installed; pip install ray" in capsys.readouterr().err


def test_worker_with_different_code_refuses() -> None:
    with pytest.raises(BenchError, match="has another version of coldloop"):
        call_checked("0" * 64, len, ("abc",))


def test_worker_exception_is_reported(dask: str) -> None:
    with pytest.raises(BenchError, match=r"ZeroDivisionError: .*by zero"):
        list(run_on_cluster(dask, divmod, [(1, 0)]))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@contextmanager
def running_group(target: Path, *arguments: str) -> Iterator[None]:
    """Run a program of the cluster, and end it with all its processes."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{target}",
        "RAY_TMPDIR": str(target / "r"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=target,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # processes of Ray ignore other signals
        process.wait(10)


def run_campaign_on(target: Path, cluster_name: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{target}"}
    arguments = [
        sys.executable,
        str(ROOT / "coldloop.py"),
        "hil",
        *CAMPAIGN,
        "--cluster",
        cluster_name,
    ]
    deadline = time.monotonic() + 60
    while True:
        process = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, check=False
        )
        if process.returncode == 0:
            record: dict[str, Any] = json.loads(process.stdout)
            return record
        assert "refused" in process.stderr, process.stderr  # the cluster is still starting
        assert time.monotonic() < deadline
        time.sleep(0.5)


def install(target: Path, package: str) -> None:
    arguments = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), package]
    subprocess.run(arguments, check=True, capture_output=True)


def local_digest(capsys: pytest.CaptureFixture[str]) -> str:
    assert hil([*CAMPAIGN, "--workers", "1"]) == 0
    return str(json.loads(capsys.readouterr().out)["digest"])


@pytest.mark.soak
def test_real_dask_gives_the_same_digest(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(target, "distributed")
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = ["-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1"]
    with (
        running_group(target, "-m", "distributed.cli.dask_scheduler", *options),
        running_group(target, *worker, "--no-dashboard"),
        running_group(target, *worker, "--no-dashboard"),
    ):
        assert run_campaign_on(target, f"dask:127.0.0.1:{port}")["digest"] == local_digest(capsys)


@pytest.mark.soak
def test_real_ray_gives_the_same_digest(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(target, "ray")
    port = free_port()
    options = ["--head", "--block", "--port", str(port), "--num-cpus", "2"]
    with running_group(
        target, "-m", "ray.scripts.scripts", "start", *options, "--include-dashboard=false"
    ):
        assert run_campaign_on(target, f"ray:127.0.0.1:{port}")["digest"] == local_digest(capsys)
