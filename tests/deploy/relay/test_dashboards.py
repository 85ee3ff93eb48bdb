# SPDX-License-Identifier: Apache-2.0
"""Each query of each dashboard has data: real relay, broker, VictoriaMetrics and vmalert.

The rows are those of an agent in a bench row with loads and meters. The shipped files configure
scrapes and rules, with shorter periods. Grafana does not run here; its data source sends the same
requests: values of a label for a variable, a range query for each target.
"""

import json
import os
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.relay.intake.http_server import HttpSettings
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import RelayOptions
from deploy.relay.relay import Relay
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from protocols.telemetry import block
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import Schema
from tests.deploy.relay.relay_rig import ALARM, block_of_run, note_record, pack, rows_record
from tests.deploy.relay.test_late_start import LateBroker
from tests.deploy.relay.test_relay import TopicListener, wait_until
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT

HERE = ROOT / "deploy" / "container"
BOARDS = sorted(
    path
    for path in [*HERE.glob("monitoring/grafana/*.json"), *HERE.glob("grafana/*.json")]
    if path.stem != "cdu"  # of the server beside the agent: tests/deploy/northbound/http
)
SCENARIO = """
name = "fleet"
title = "A row with loads and meters"
seconds = 150
[row]
meters = 2
pumps = 1
parts = "cooling, safety, throttle, ledger, log"
[[expect]]
measure = "ticks"
min = 0
"""
UNIT = "bench/cdu1"
FIRST_S = 1_795_500_000
"""UTC at the start of a bench row."""


def messages_of_an_agent() -> list[bytes]:
    """Return what the agent of a bench row sends in 150 s."""
    run, messages = VirtualRun(parse(SCENARIO, "fleet"), 1), []
    topic = f"coldloop/v1/{UNIT}/tele"
    run.testbed.broker.observe_messages(
        lambda message: messages.append(bytes(message.payload)) if message.topic == topic else None
    )
    run.run()
    run.dut.close()
    return messages


def water_message() -> bytes:
    """Return rows of a unit with a water meter, which the bench does not have."""
    schema = Schema([("t", "ms", 1, 1), ("ledger.WUE", "L/kW.h", 1, 1000)])
    data = block.encode(schema.number, 1, [[1000 * FIRST_S + 1000, 1000 * FIRST_S + 2000], [7, 8]])
    text = (4 + telemetry_message.ALARM, telemetry_message.SCHEMA, schema.text)
    return pack(text, rows_record(1, data), generation=b"wue")


class MonitoringStack:
    """VictoriaMetrics and vmalert with the shipped files; `ask` sends a request of the API."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        scrape = (HERE / "monitoring" / "scrape.yml").read_text()
        scrape = scrape.replace("relay:9464", f"127.0.0.1:{target}").replace("60s", "1s")
        (folder / "scrape.yml").write_text(scrape)
        for name in ("recording_rules.yml", "alert_rules.yml"):
            text = (HERE / "monitoring" / name).read_text()
            (folder / name).write_text(text.replace("interval: 60s", "interval: 1s"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start(
            "victoria-metrics",
            *(f"-storageDataPath={folder}/victoria", f"-httpListenAddr=127.0.0.1:{self.port}"),
            *("-dedup.minScrapeInterval=1ms", "-retentionPeriod=10y", "-search.latencyOffset=0s"),
            f"-promscrape.config={folder}/scrape.yml",
        )
        wait_until_open(self.port, 60)
        self._start(
            "vmalert",
            *(f"-datasource.url={self.url}", f"-remoteWrite.url={self.url}"),
            *(
                f"-rule={folder}/*_rules.yml",
                "-notifier.blackhole",
                "-rule.evalDelay=1s",
                "-evaluationInterval=1s",
            ),
            f"-httpListenAddr=127.0.0.1:{free_port()}",
        )

    def _start(self, program: str, *words: str) -> None:
        command = [require_program(program), *words]
        self._processes.append(subprocess.Popen(command, stdout=-3, stderr=-3))

    def ask(self, path: str, **fields: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.loads(answer.read())["data"]

    def alerts(self) -> list[str]:
        names: list[str] = self.ask("label/alertname/values", **{"match[]": "ALERTS"})
        return names

    def has_values(self, query: str, start: float, end: float) -> bool:
        fields = {"start": f"{start}", "end": f"{end}", "step": "10"}
        data = self.ask("query_range", query=query, **fields)
        return any(series["values"] for series in data["result"])

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait(20)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[MonitoringStack]:
    """A relay that has the rows of a unit, an alarm, and a block without UTC."""
    for program in ("victoria-metrics", "vmalert", "mosquitto"):
        require_program(program)
    broker, http = LateBroker(tmp_path), free_port()
    broker.start()
    made = MonitoringStack(tmp_path, http)
    relay = Relay(
        RelayOptions(
            BrokerSettings(("127.0.0.1", broker.port)),
            tmp_path / "relay.db",
            outputs={"influx": f"{made.url}/write#settle=0", "fleet": str(tmp_path / "fleet.db")},
            http=HttpSettings("127.0.0.1", http),
            undated_wait_s=0.5,
        )
    )
    thread = threading.Thread(target=relay.run)
    relay.start()
    thread.start()
    try:
        wait_until(relay.ready.is_set)
        client = TopicListener(broker.port, "none")
        client.publish(f"coldloop/v1/{UNIT}/state", b'{"online":true}')
        report = b'{"version":3,"hash":"abab","update":[7,0,0,0,""]}'
        client.publish(f"coldloop/v1/{UNIT}/cfg/reported", report)
        for message in messages_of_an_agent():
            client.publish(f"coldloop/v1/{UNIT}/tele", message)
        leak = b'{"t":null,"alarm":"raised","code":"leak_critical:l1","text":"wet"}'
        undated = rows_record(1, block_of_run(1, 5000, [None] * 5))
        other = pack(ALARM, note_record(2, leak), undated, generation=b"abc")
        client.publish(f"coldloop/v1/{UNIT}/tele", other)
        client.publish(f"coldloop/v1/{UNIT}/tele", water_message())
        client.close()
        yield made
    finally:
        made.close()
        relay.stop()
        thread.join()
        relay.close()
        broker.stop()


def find_empty(stack: MonitoringStack, rows: tuple[float, float]) -> list[str]:
    """Return the queries without data, now and at the time of the rows."""
    empty = []
    for path in BOARDS:
        board = json.loads(path.read_text(encoding="utf-8"))
        for target in [target for panel in board["panels"] for target in panel["targets"]]:
            site, unit = UNIT.split("/")
            query = target["expr"].replace("$site", site).replace("$unit", unit)
            now = time.time()
            if not stack.has_values(query, now - 60, now) and not stack.has_values(query, *rows):
                empty.append(f"{path.stem}: {target['expr']}")
    return empty


def test_each_query_of_each_dashboard_has_values(stack: MonitoringStack) -> None:
    end = time.monotonic() + float(os.environ.get("WAIT_S", "60"))
    while (empty := find_empty(stack, (FIRST_S, FIRST_S + 150))) and time.monotonic() < end:
        time.sleep(1)
    assert empty == [], empty
    metric = "coldloop_unit_message_age_seconds"
    assert stack.ask("label/site/values", **{"match[]": metric}) == ["bench"]
    wait_until(lambda: "ColdloopPriority1" in stack.alerts())
    assert "ColdloopBrokerAway" not in stack.alerts()
