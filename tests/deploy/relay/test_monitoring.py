# SPDX-License-Identifier: Apache-2.0
"""Files for Prometheus and Grafana: rules by promtool, dashboards by a schema."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]

from deploy.relay.decode.alarm_order import UnitAlarms
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import RelayOptions
from deploy.relay.outputs.metrics_output import UnitMetrics, format_metrics
from deploy.relay.relay import Relay
from tests.support.programs import require_program
from tests.support.repository import ROOT

HERE = ROOT / "deploy" / "container" / "monitoring"
BOARDS = sorted((HERE / "grafana").glob("*.json"))
SOURCE = {"type": "object", "required": ["type", "uid"], "properties": {"uid": {"const": "store"}}}
TARGET = {
    "type": "object",
    "required": ["refId", "expr", "datasource"],
    "properties": {"expr": {"type": "string", "minLength": 1}, "datasource": SOURCE},
}
GRID = {
    "type": "object",
    "required": ["h", "w", "x", "y"],
    "properties": {"w": {"type": "integer", "minimum": 1, "maximum": 24}},
}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos", "targets", "datasource", "fieldConfig"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "type": {"enum": ["timeseries", "stat", "table"]},
        "gridPos": GRID,
        "datasource": SOURCE,
        "targets": {"type": "array", "minItems": 1, "items": TARGET},
    },
}
# SOURCE: Grafana, dashboard JSON model.
BOARD = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "time", "templating", "panels"],
    "properties": {
        "uid": {"type": "string", "maxLength": 40, "pattern": "^[a-z-]+$"},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {"type": "array", "minItems": 1, "items": PANEL},
    },
}


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [require_program("promtool"), *arguments],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "recording_rules.yml", "alert_rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
)
def test_promtool_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    found = promtool(*arguments)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_dashboards_follow_the_schema() -> None:
    assert [path.stem for path in BOARDS] == ["cdu", "energy", "fleet", "link", "site", "unit"]
    for path in BOARDS:
        board = json.loads(path.read_text())
        jsonschema.validate(board, BOARD)
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


def test_each_rule_is_tested() -> None:
    """Each alert has series that fire it and series that do not; each record has a value."""
    groups = [
        group
        for name in ("alert_rules.yml", "recording_rules.yml")
        for group in yaml.safe_load((HERE / name).read_text())["groups"]
    ]
    rules = [rule for group in groups for rule in group["rules"]]
    fault, healthy = yaml.safe_load((HERE / "rules_test.yml").read_text())["tests"]
    fires = {case["alertname"] for case in fault["alert_rule_test"] if case["exp_alerts"]}
    silent = {case["alertname"] for case in healthy["alert_rule_test"] if not case["exp_alerts"]}
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert fires == silent == alerts
    values = {case["expr"] for case in fault["promql_expr_test"] if case["exp_samples"]}
    assert values == {rule["record"] for rule in rules if "record" in rule}


def used_metrics() -> set[str]:
    """Return the names of metrics in rules and dashboards, without those of the rules."""
    texts = [path.read_text() for path in (*BOARDS, *HERE.glob("*_rules.yml"))]
    names = set(re.findall(r"(?<![:\w])coldloop_(?:unit|relay)_\w+", "\n".join(texts)))
    return {name for name in names if not name.startswith("coldloop_relay_output_")}


def test_the_relay_has_each_metric_that_is_used() -> None:
    unit = UnitMetrics(1, 2, True, 1, 0, {}, UnitAlarms.of_active({"leak_critical:l1": 1}), 1, 1)
    names = ["records", "quarantined", "store_errors", "throttled", "datagrams", "duplicates"]
    names += ["broker_connected_now", "refused_receipts_now", "abandoned_now"]
    unit.versions = {"release": "7"}
    page = format_metrics({"s1/u1": unit}, dict.fromkeys(names, 1), 1000)
    offered = set(re.findall(r"^(coldloop_\w+)", page, re.MULTILINE))
    assert used_metrics() <= offered


def to_classic_text(page: str) -> str:
    """Return a page of OpenMetrics in the older format that promtool reads: names with _total."""
    for name in re.findall(r"^# TYPE (\w+) counter$", page, re.MULTILINE):
        page = re.sub(rf"^# (TYPE|HELP) {name} ", rf"# \1 {name}_total ", page, flags=re.MULTILINE)
    return page


def test_prometheus_reads_the_page(tmp_path: Path) -> None:
    """The page of a relay with each counter, and units with each metric: no remark of promtool."""
    outputs = {"metrics": "", "fleet": str(tmp_path / "fleet.db")}
    options = RelayOptions(
        BrokerSettings(("127.0.0.1", 1)),
        tmp_path / "relay.db",
        outputs=outputs,
    )
    relay = Relay(options)
    output = relay.pipeline.workers["metrics"].output
    relay_page = output.pages()["/metrics"]("")[1]
    relay.close()
    unit = UnitMetrics(1, 2, True, 1, 0, {}, UnitAlarms.of_active({"leak_critical:l1": 1}), 1, 1)
    unit.versions = {"release": "7"}
    down = {"sent_down": 1, "lost_down": 2}  # they exist once a gateway is used
    page = format_metrics({'s"1/u1': unit}, down, 1000).replace("# EOF\n", "")
    page += relay_page[relay_page.index("# TYPE coldloop_relay_") :].replace("# EOF\n", "")
    assert "coldloop_relay_output_fleet_backlog_now 0\n" in page
    found = subprocess.run(
        [require_program("promtool"), "check", "metrics"],
        input=to_classic_text(page),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
