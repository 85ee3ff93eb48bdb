# SPDX-License-Identifier: Apache-2.0
"""Prometheus and OpenMetrics: both judges, values, unknown values, size and cost."""

import asyncio
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from microdot import Microdot, Request
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from deploy.northbound.access.types import ADMINISTRATOR, READ_ONLY, Refusal, Session
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.metrics import _Scrape, add_metrics, metrics_text
from deploy.northbound.points.point_table import columns, point_table
from deploy.northbound.snapshot import Snapshot
from tests.support.programs import require_program

STATES = [FakeSource(seed).snapshot for seed in range(8)] + [Snapshot()]


@pytest.mark.parametrize("number", range(len(STATES)))
def test_promtool_has_no_remark(number: int) -> None:
    promtool = require_program("promtool")
    text = metrics_text(STATES[number], open_metrics=False)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True,
                          text=True, timeout=30, check=False)  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("states", [300, pytest.param(1000, marks=pytest.mark.soak)])
def test_values_are_equal_in_random_states(states: int) -> None:
    source, table, found = FakeSource(7), point_table(), columns("prometheus")
    for number in range(states):
        source.step()
        parse = parse_open_metrics if number % 2 else parse_text
        text = metrics_text(source.snapshot, open_metrics=bool(number % 2))
        samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parse(text)
            for sample in family.samples
        }
        for key, column in found.items():
            name = f"coldloop_{column['name']}"
            name += "_total" if table[key].kind == "counter" else ""
            row, raw = table[key], source.snapshot.points[key].raw
            if row.kind == "enum":
                shown = [samples.get((name, tuple(_labels(column, word)))) for word in row.words]
                assert shown == [None if raw is None else n == raw for n in range(len(shown))], key
                continue
            labels = dict(part.split("=") for part in column.get("labels", "").split(",") if part)
            at = (name, tuple(sorted((k, v.strip('"')) for k, v in labels.items())))
            value = source.snapshot.value(key)
            if value is None:
                assert at not in samples, key
            else:
                expected = pytest.approx(value * column.get("factor", 1), rel=1e-9, abs=1e-9)
                assert samples[at] == expected, key


def _labels(column: Mapping[str, Any], word: str) -> Iterator[tuple[str, str]]:
    name, _, text = column["labels"].replace("{word}", word).partition("=")
    yield name, text.strip('"')


def test_without_a_record_there_is_no_value() -> None:
    text = metrics_text(Snapshot(), open_metrics=True)
    names = {family.name for family in parse_open_metrics(text)}
    assert names == {
        "coldloop_up",
        "coldloop_build_info",
        "coldloop_unit_state",
        "coldloop_point_quality",
    }
    assert "coldloop_up 0\n" in text


def test_texts_of_the_record_are_escaped() -> None:
    source = FakeSource(3)
    source.replace(software='a"b\\c\nd')
    for wanted in (True, False):
        parse = parse_open_metrics if wanted else parse_text
        families = list(parse(metrics_text(source.snapshot, open_metrics=wanted)))
        (build,) = [f for f in families if f.name.startswith("coldloop_build")]
        assert build.samples[0].labels["version"] == 'a"b\\c\nd'


def test_the_exposition_is_small_and_cheap() -> None:
    source = FakeSource(5)
    full = {
        k: replace(p, raw=p.raw or 1, quality="good") for k, p in source.snapshot.points.items()
    }
    source.replace(points=full)
    metrics_text(source.snapshot, open_metrics=True)
    started = time.thread_time()
    for _number in range(20):
        text = metrics_text(source.snapshot, open_metrics=True)
    assert (time.thread_time() - started) / 20 < 0.005
    assert len(text) <= 20 * 1024


def test_the_record_is_read_at_most_once_a_second() -> None:
    reads, clock = [], [0.0]

    class CountingSource:
        def read(self) -> Snapshot:
            reads.append(clock[0])
            return Snapshot()

    scrape = _Scrape(CountingSource(), lambda: clock[0])
    for step in range(30):
        clock[0] = step / 10
        scrape.text(open_metrics=bool(step % 2))
    assert reads == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (Session("1", "reader", READ_ONLY, "127.0.0.1", ""), 200),
        (Session("1", "admin", ADMINISTRATOR, "127.0.0.1", "", must_change=True), 403),
        (Refusal("login"), 401),
        (None, 401),
    ],
)
def test_an_account_with_its_initial_password_reads_nothing(found: object, status: int) -> None:
    class Login:
        async def identify(self, _request: Request, _address: str) -> object:
            return found

    app: Any = Microdot()
    add_metrics(app, FakeSource(1), "token", Login())  # type: ignore[arg-type]

    async def ask(header: str) -> Any:
        headers = {"authorization": header}
        request = Request(app, ("127.0.0.1", 1), "GET", "/metrics", "1.1", headers)
        return await app.dispatch_request(request)

    reply = asyncio.run(ask("Basic eA=="))
    assert reply.status_code == status
    assert (b"coldloop_up" in reply.body) == (status == 200)
    assert asyncio.run(ask("Bearer token")).status_code == 200
