# SPDX-License-Identifier: Apache-2.0
"""Dashboard of one CDU: a real Prometheus scrapes the server, and answers the queries of Grafana.

Grafana itself does not run here. Its data source for Prometheus sends the same two requests: values
of a label for the variable, and a range query for each target.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.northbound.redfish.service_bench import METRICS_TOKEN, ServiceBench, set_state
from tests.support.cli_tools import wait_until
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT

BOARD = ROOT / "deploy" / "container" / "monitoring" / "grafana" / "cdu.json"
GUIDE = ROOT / "docs" / "operator" / "redfish.md"


class PrometheusServer:
    """Prometheus with the configuration of the guide; `ask` sends a request of its API."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        text = GUIDE.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
        text = text.replace("10.0.0.5:8443", f"127.0.0.1:{target}").replace("5s", "1s")
        (folder / "prometheus.yml").write_text(text)
        (folder / "metrics_token").write_text(METRICS_TOKEN)
        (folder / "certificate.pem").write_bytes((folder / "https/certificate.pem").read_bytes())
        self.process = subprocess.Popen(
            [require_program("prometheus"), "--config.file=prometheus.yml",
             "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{self.port}"],
            cwd=folder, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until_open(self.port, 60)
        wait_until("prometheus is ready", self._is_ready, 60)

    def _is_ready(self) -> bool:
        """Return whether it answers queries: the port is open before that."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=20):
                return True
        except OSError:
            return False

    def ask(self, path: str, **fields: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            found = json.loads(answer.read())
        assert found["status"] == "success"
        return found["data"]


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[PrometheusServer]:
    require_program("prometheus")
    with ServiceBench(tmp_path) as bench:
        set_state(bench, "normal")
        alarms = bench.source.snapshot.alarms
        while not any(alarm.active for alarm in alarms):
            bench.source.step()
            alarms = bench.source.snapshot.alarms
        set_state(bench, "normal")
        bench.source.replace(alarms=tuple(replace(a, cleared_utc=None) for a in alarms))
        server = PrometheusServer(tmp_path, bench.server.port)
        try:
            yield server
        finally:
            server.process.kill()
            server.process.wait(20)


def test_each_query_of_the_dashboard_has_values(prometheus: PrometheusServer) -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    (variable,) = board["templating"]["list"]
    assert variable["query"]["query"] == "label_values(coldloop_up, instance)"
    end = time.monotonic() + 60
    while not (found := prometheus.ask("label/instance/values", **{"match[]": "coldloop_up"})):
        assert time.monotonic() < end
        time.sleep(0.2)
    (instance,) = found
    now = time.time()
    empty = []
    for panel in board["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$cdu", instance)
            data = prometheus.ask(
                "query_range", query=query, start=f"{now - 5}", end=f"{now + 5}", step="1"
            )
            if not any(series["values"] for series in data["result"]):
                empty.append(target["expr"])
    assert empty == []
