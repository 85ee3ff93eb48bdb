# SPDX-License-Identifier: Apache-2.0
"""Trends: means of a minute, gaps, the agent's log as a real folder, clock steps, damage."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path

from agent.log.segment import LogRecord, frame, segment_name
from deploy.northbound.access.types import FakeAudit
from deploy.northbound.panel.feeder import feed_trends
from deploy.northbound.panel.log_history import log_columns, log_folder, read_samples
from deploy.northbound.panel.services import PanelServices
from deploy.northbound.panel.trends import KEYS, MINUTES, TrendStore
from protocols.telemetry import block, message
from protocols.telemetry.schema import Schema
from tests.deploy.northbound.panel.panel_server import NOW, typical_source

SUPPLY = 1 + KEYS.index("supply_temperature")
CONFIG = {
    "control": {
        "supply": {"sensor": "rpu", "valve": "valve"},
        "dp": {"sensor": "rpu", "pumps": ["pump-a", "pump-b"]},
    },
    "log": {"port": "store:/var/lib/coldloop?x=1"},
}
COLUMNS = [
    ("t", "ms", 1, 1),
    ("rpu.SupplyTemperatureCelsius", "Cel", 1, 10),
    ("pump-b.PumpSpeedPercent", "%", 1, 100),
    ("other.HumidityPercent", "%", 1, 1),
]


def test_a_minute_is_the_mean_of_its_records() -> None:
    trends, source = TrendStore(), typical_source()
    for raw in (30_000, 31_000, 32_000):
        source.set_point("supply_temperature", raw)
        trends.add_snapshot(source.snapshot)
        trends.add_snapshot(source.snapshot)  # the same record counts once
    assert [row[SUPPLY] for row in trends.rows()] == [31.0]


def test_a_missing_value_is_a_gap() -> None:
    trends, source = TrendStore(), typical_source()
    source.set_point("supply_temperature", None, "bad")
    trends.add_snapshot(source.snapshot)
    source.stop()
    trends.add_snapshot(source.snapshot)
    source.snapshot = typical_source().snapshot
    source.replace(utc=NOW + timedelta(minutes=3), sequence=99)
    trends.add_snapshot(source.snapshot)
    assert [row[SUPPLY] for row in trends.rows()] == [None, None, 32.14]


def test_live_values_have_precedence_and_a_clock_step_drops_the_future() -> None:
    trends, source = TrendStore(), typical_source()
    trends.add_snapshot(source.snapshot)
    at_s = NOW.timestamp()
    trends.add_logged(at_s, {"supply_temperature": 99.0})
    trends.add_logged(at_s + 60, {"supply_temperature": 99.0})
    trends.add_logged(at_s - 60, {"supply_temperature": 20.0})
    trends.add_logged(at_s - 60 * MINUTES, {"supply_temperature": 99.0})
    assert [row[SUPPLY] for row in trends.rows()] == [20.0, 32.14]
    source.replace(utc=NOW - timedelta(hours=1))
    trends.add_snapshot(source.snapshot)
    assert [row[SUPPLY] for row in trends.rows()] == [32.14]


def test_one_wrong_utc_loses_one_minute_of_the_trends() -> None:
    """UTC of one record is years ahead; the next one is right again."""
    trends, source = TrendStore(), typical_source()
    for minute in range(MINUTES):
        source.replace(utc=NOW + timedelta(minutes=minute), sequence=minute)
        trends.add_snapshot(source.snapshot)
    lengths = []
    for number, ahead in enumerate((timedelta(days=4000), timedelta(minutes=MINUTES))):
        source.replace(utc=NOW + ahead, sequence=MINUTES + number)
        trends.add_snapshot(source.snapshot)
        lengths.append(len(trends.rows()))
    assert lengths == [1, MINUTES]


def test_the_store_is_bounded() -> None:
    trends, source = TrendStore(), typical_source()
    for minute in range(0, 3 * MINUTES, 7):
        source.replace(utc=NOW + timedelta(minutes=minute))
        trends.add_snapshot(source.snapshot)
    rows = [row for row in trends.rows() if row[SUPPLY] is not None]
    assert len(rows) == -(-MINUTES // 7)


def make_log(folder: Path, blocks: int, damage: bytes = b"") -> None:
    """Write a log with blocks of 60 rows, one row a second, the last one at `NOW`."""
    schema = Schema(COLUMNS)
    generation = bytes(range(message.GENERATION_BYTES))
    records = [frame(generation, 0, LogRecord(1, 0, message.SCHEMA, schema.text))]
    start_ms = int(NOW.timestamp() * 1000) - blocks * 60_000
    for number in range(blocks):
        writer = block.BlockWriter(schema.number, 60 * number, 60)
        writer.add([start_ms + 60_000 * number + 1000 * i for i in range(60)])
        writer.add([320 + number % 5] * 60)
        writer.add([7000] * 60)
        writer.add([None] * 60)
        payload = writer.finish()
        stamp = 60 * (number + 1)
        record = LogRecord(number + 2, stamp, message.ROWS, payload)
        records.append(frame(generation, 0, record))
    folder.mkdir(exist_ok=True)
    data = b"".join(records) + damage
    (folder / segment_name(generation, 0, 1)).write_bytes(data)


def test_the_log_of_the_agent_fills_the_trends(tmp_path: Path) -> None:
    make_log(tmp_path / "log", 30)
    trends = TrendStore()
    trends.add_snapshot(typical_source().snapshot)
    columns = log_columns(CONFIG)
    for samples in read_samples(tmp_path / "log", columns):
        for at_s, values in samples:
            trends.add_logged(at_s, values)
    rows = trends.rows()
    assert [row[SUPPLY] for row in rows[:6]] == [32.0, 32.1, 32.2, 32.3, 32.4, 32.0]
    assert {row[1 + KEYS.index("pump2_speed")] for row in rows[:30]} == {70.0}
    assert len(rows) == 31


def test_the_feeder_reads_the_log_and_follows_the_records(tmp_path: Path) -> None:
    make_log(tmp_path / "log", 20)
    config = {**CONFIG, "log": {"port": f"store:{tmp_path}/log"}}
    services = PanelServices(typical_source(), FakeAudit(), config=config)

    async def run() -> None:
        task = asyncio.create_task(feed_trends(services))
        async with asyncio.timeout(30):
            while len(services.trends.rows()) < 21:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.02)
        task.cancel()

    asyncio.run(run())
    assert services.trends.rows()[-1][SUPPLY] == 32.14


def test_damage_and_absence_cost_only_their_records(tmp_path: Path) -> None:
    assert list(read_samples(tmp_path / "none", log_columns(CONFIG))) == []
    rng = random.Random(4)
    for number in range(20):
        folder = tmp_path / f"log{number}"
        make_log(folder, 3, rng.randbytes(rng.randrange(40)))
        file = next(folder.iterdir())
        data = bytearray(file.read_bytes())
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data[: rng.randrange(len(data))])
        for samples in read_samples(folder, log_columns(CONFIG)):
            assert all(set(values) <= set(KEYS) for _, values in samples)


def test_the_configuration_names_columns_and_folder() -> None:
    assert log_columns({}) == {}
    assert log_columns(CONFIG)["pump-a.PumpSpeedPercent"] == "pump1_speed"
    assert log_folder(CONFIG) == Path("/var/lib/coldloop")
    assert log_folder({"log": {"port": "flash:0"}}) is None
    assert log_folder({}) is None
