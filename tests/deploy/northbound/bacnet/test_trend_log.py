# SPDX-License-Identifier: Apache-2.0
"""Trend logs: minutes, gaps, the ring, the start from the agent's log."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.northbound.bacnet import log_fill
from deploy.northbound.bacnet.point_objects import PointObjects
from deploy.northbound.bacnet.trend_log import RECORDS, TrendLogs
from deploy.northbound.bacnet.update_faults import UpdateFaults
from deploy.northbound.fake_source import FakeSource

_START = dt.datetime(2026, 11, 28, 8, 0, 30, tzinfo=dt.UTC)


async def _logs() -> TrendLogs:
    faults = UpdateFaults()
    logs = TrendLogs(PointObjects(faults).by_key, faults)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # of the objects, which belong to no device here
    return logs


def _add(logs: TrendLogs, source: FakeSource, at: dt.datetime | None, raw: int | None) -> None:
    source.set_point("supply_temperature", raw)
    source.replace(utc=at)
    logs.add(source.snapshot)


def test_one_record_a_minute_and_a_ring() -> None:
    logs, source = asyncio.run(_logs()), FakeSource(1)
    log = logs.by_key["supply_temperature"]
    _add(logs, source, None, 30_000)
    assert not log.records
    for second in range(180):
        raw = None if 60 <= second < 120 else 30_000 + second
        _add(logs, source, _START + dt.timedelta(seconds=second), raw)
    assert [record.value for record in log.records] == [30.0, 30.03, None, pytest.approx(30.15)]
    _add(logs, source, _START, 1)  # the clock went back
    assert len(log.records) == 4
    for minute in range(10, RECORDS + 100):
        _add(logs, source, _START + dt.timedelta(minutes=minute), 30_000)
    assert len(log.records) == RECORDS == log.object.recordCount
    assert log.records[-1].sequence == log.object.totalRecordCount == RECORDS + 94


def test_a_clock_that_goes_back_stops_no_log() -> None:
    """One wrong time costs nothing, of the past or of the future; the records after it go on."""
    logs, source = asyncio.run(_logs()), FakeSource(1)
    log = logs.by_key["supply_temperature"]
    for minute in range(200):
        days = {50: -3650, 100: 3650}.get(minute, 0)
        at = _START + dt.timedelta(days=days, minutes=minute)
        source.replace(uptime_us=(1 + minute) * 60_000_000)
        _add(logs, source, at, 30_000)
    times = [record.at_utc_s for record in log.records]
    assert times == sorted(times)
    assert len(times) == log.object.recordCount == 197  # without 50, 100, and the minute after it
    sequences = [record.sequence for record in log.records]
    assert sequences == sorted(set(sequences))


def test_the_start_comes_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logs, source = asyncio.run(_logs()), FakeSource(1)
    _add(logs, source, _START, 31_000)
    at = _START.timestamp()

    def blocks(_folder: Path, _columns: Any) -> Iterator[list[Any]]:
        yield [(at + s, {"supply_temperature": 50.0}) for s in range(60)]  # live is better
        yield [(at - 600 + s, {"supply_temperature": 20.0 + s}) for s in range(0, 120, 7)]
        yield [(at - 3600, {"supply_temperature": None}), (at - 90_000_000, {"unknown": 1.0})]

    monkeypatch.setattr(log_fill, "read_samples", blocks)
    config = {"log": {"port": "store:/nowhere"}}
    asyncio.run(log_fill.fill_from_log(logs, config))
    log = logs.by_key["supply_temperature"]
    values = [record.value for record in log.records]
    assert values[0] is None
    assert values[-1] == 31.0
    assert values[1] == 20.0
    assert len(values) == 5
    assert [r.sequence for r in log.records] == sorted(r.sequence for r in log.records)
    asyncio.run(log_fill.fill_from_log(logs, {}))
