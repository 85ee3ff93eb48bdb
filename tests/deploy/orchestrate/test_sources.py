# SPDX-License-Identifier: Apache-2.0
"""Sources of readings, the forecast with its limits, the published record."""

import json
import math
import random
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.northbound.fake_source import FakeSource
from deploy.northbound.metrics import metrics_text as unit_page
from deploy.northbound.snapshot import AlarmItem
from deploy.orchestrate import metrics_text, publish
from deploy.orchestrate.forecast import HOUR_MS, fall_within, forecast, quantile
from deploy.orchestrate.points_source import PointsFolder
from deploy.orchestrate.reading import RowReading
from deploy.orchestrate.rules import DRAIN, RowDecision
from deploy.orchestrate.service import Service
from deploy.orchestrate.settings import OrchestrateSettings, RowSettings
from deploy.orchestrate.sources import MetricsPage, StatusFile, choose, parse_metrics
from deploy.orchestrate.store_source import HEADROOM, HEAT, STATE, StoreSource
from deploy.relay.outputs.fleet_store import open_store
from tests.support.programs import free_port, served

PAGE = """# TYPE coldloop_headroom_watts gauge
coldloop_headroom_watts -1.25e4
coldloop_heat_watts{unit="a\\"b"} 50000 1795853497
coldloop_unit_state{state="normal"} 0
coldloop_unit_state{state="degraded"} 1
coldloop_alarm{code="throttled",name="",priority="3",state="active_unacknowledged"} 1
coldloop_alarm{code="heat_lost",name="",priority="1",state="cleared_unacknowledged"} 0
coldloop_point_quality{point="heat"} 0
coldloop_status_age_seconds 0.8
coldloop_nan NaN
damaged{ 1
# EOF
"""


def test_a_page_of_a_unit() -> None:
    found = parse_metrics(PAGE)
    assert found == RowReading(-12.5e3, 50e3, "limited", "degraded", 0.8, "metrics")
    assert parse_metrics("coldloop_headroom_watts 5\n") is None
    uncertain = parse_metrics(PAGE.replace('{point="heat"} 0', '{point="heat"} 1'))
    assert uncertain is not None
    assert uncertain.capacity_w is None
    names = [name for name, _, _ in metrics_text.read_samples(PAGE)]
    assert "coldloop_nan" not in names
    assert metrics_text.read_samples(PAGE)[1][1] == {"unit": 'a"b'}


def test_random_pages_do_not_raise() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        text = "".join(chance.choice(PAGE + '{}"\\,\0é') for _ in range(60))
        parse_metrics(text)
        parse_metrics(PAGE[: chance.randrange(len(PAGE))])


@pytest.fixture
def page_server() -> Iterator[tuple[str, list[str]]]:
    headers: list[str] = []

    class PageHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_: object) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), PageHandler)) as port:
        yield f"http://127.0.0.1:{port}/metrics", headers


def test_a_page_is_read_with_a_token_and_ages(
    page_server: tuple[str, list[str]], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("abc\n")
    url, headers = page_server
    row = RowSettings("a", ("n",), 100.0, metrics=url, token_file=str(tmp_path / "token"))
    now = [0.0]
    source = MetricsPage(row, 3600.0, lambda: now[0])
    end = time.monotonic() + 10
    while source.read() is None and time.monotonic() < end:
        time.sleep(0.01)
    source.close()
    now[0] = 12.0
    found = source.read()
    assert found is not None
    assert found.age_s == pytest.approx(12.8)
    assert headers == ["Bearer abc"]


def test_an_absent_unit_gives_no_reading() -> None:
    row = RowSettings("a", ("n",), 100.0, metrics=f"http://127.0.0.1:{free_port()}/metrics")
    source = MetricsPage(row, 1.0)
    time.sleep(0.2)
    assert source.read() is None
    source.close()
    assert StatusFile("/no/such/file").read() is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"mono_us": 1, "throttle": {"headroom_w": NaN, "heat_w": 1e999}}',
        '{"mono_us":',
        "\0",
        '{"mono_us": null}',
        "5",
    ],
)
def test_a_damaged_status_has_no_headroom(tmp_path: Path, text: str) -> None:
    path = tmp_path / "status.json"
    path.write_text(text)
    found = StatusFile(str(path)).read()
    assert found is None or found.capacity_w is None


def test_the_first_complete_and_fresh_reading_is_used() -> None:
    limits = {"status": 10.0, "store": 180.0}
    old = RowReading(1.0, 1.0, "", "", 11.0, "status")
    store = RowReading(2.0, 1.0, "", "", 100.0, "store")
    fresh = RowReading(1.0, 1.0, "", "", 9.0, "status")
    assert choose([fresh, store], limits) is fresh
    assert choose([old, store], limits) is store
    assert choose([None, None], limits) is None
    assert choose([old, None], limits) is old


def make_store(path: Path, hours: dict[int, float], now_ms: int, heat_w: float = 40e3) -> None:
    db = open_store(str(path))
    for number, name in enumerate((HEADROOM, HEAT, STATE), 1):
        db.execute("INSERT INTO signal VALUES (?,?,'W')", (number, name))
    for hour, capacity_w in hours.items():
        for number, value in ((1, capacity_w - heat_w), (2, heat_w)):
            t_ms = hour * HOUR_MS
            row = ("s/u", number, t_ms, 60 * value, value, value, t_ms, value, 60)
            db.execute("INSERT INTO minute VALUES (?,?,?,?,?,?,?,?,?)", row)
    for number, value in ((1, 30e3), (2, heat_w), (3, 2.0)):
        db.execute("INSERT INTO latest VALUES ('s/u',?,?,?)", (number, now_ms - 5000, value))
    db.execute("INSERT INTO unit (unit, site, name, state) VALUES ('s/u','s','u','normal')")
    db.close()


def daily(hour: int) -> float:
    return 60e3 + 20e3 * math.cos(2 * math.pi * (hour % 24) / 24)


def test_the_store_gives_reading_and_history(tmp_path: Path) -> None:
    now_ms = 500_000 * HOUR_MS + 1_800_000
    path = tmp_path / "fleet"
    make_store(path, {h: daily(h) for h in range(500_000 - 100, 500_001)}, now_ms)
    source = StoreSource(str(path), "s/u", lambda: now_ms)
    found = source.read()
    assert found is not None
    assert (found.heat_w, found.state, found.unit_state) == (40e3, "limited", "normal")
    assert found.age_s == 5.0
    assert found.headroom_w is not None
    assert found.headroom_w == pytest.approx(30e3 - fall_within(source.hours(), 1.0))
    assert found.headroom_w < 26e3
    assert len(source.hours()) == 100  # the present hour is not over
    assert StoreSource(str(path), "s/other").read() is None
    assert StoreSource(str(tmp_path / "none"), "s/u").read() is None


def test_a_time_ahead_of_this_machine_does_not_stay_new(tmp_path: Path) -> None:
    now_ms, clock = 500_000 * HOUR_MS, [100.0]
    path = tmp_path / "fleet"
    make_store(path, {}, now_ms + 305_000)  # the values are 300 s ahead
    wall_ms = [now_ms]
    source = StoreSource(str(path), "s/u", lambda: wall_ms[0], lambda: clock[0])

    def age_s(pass_s: float) -> float | None:
        clock[0] += pass_s
        wall_ms[0] += int(1000 * pass_s)
        found = source.read()
        return None if found is None else found.age_s

    assert age_s(0.0) == 300.0  # at the start it may have been silent for as long as that
    assert age_s(10.0) == 310.0
    db = open_store(str(path))
    db.execute("UPDATE latest SET t_ms=t_ms+10000")
    assert age_s(0.0) == 0.0
    assert age_s(250.0) == 250.0  # silent: it ages, and is still ahead
    db.execute("UPDATE latest SET t_ms=? WHERE signal=2", (wall_ms[0] + 600_001,))
    assert age_s(0.0) is None
    db.execute("UPDATE latest SET t_ms=?", (wall_ms[0] - 400_000,))
    assert age_s(0.0) == 400.0  # late values of a slow link are old at their arrival
    db.close()


def test_a_daily_course_is_learnt_and_its_limits_contain_the_truth() -> None:
    chance = random.Random(5)
    truth = {h: daily(h) + chance.gauss(0, 2000) for h in range(24 * 20)}
    inside = total = 0
    for last in range(24 * 8, 24 * 19):
        for found in forecast({h: v for h, v in truth.items() if h <= last}, 6, 100e3):
            assert found.confidence == "measured"
            assert found.low_w is not None
            assert found.high_w is not None
            inside += found.low_w <= truth[last + found.lead_h] <= found.high_w
            total += 1
    assert 0.74 < inside / total < 0.88  # nominal 0.8
    newest = forecast({h: v for h, v in truth.items() if h <= 24 * 18 + 3}, 6, 100e3)[-1]
    assert newest.expected_w == pytest.approx(daily(24 * 18 + 9), abs=6000)
    assert newest.coverage is not None


def test_the_record_of_points() -> None:
    fake = FakeSource(1)
    source = PointsFolder("", fake)
    fake.replace(alarms=(), unit_state="normal", stale=False)
    fake.set_point("headroom", -2000)
    fake.set_point("heat", 50_000)
    found = source.read()
    assert found is not None
    assert (found.headroom_w, found.heat_w, found.state) == (-2000.0, 50e3, "free")
    fake.set_point("heat", 50_000, "uncertain")
    found = source.read()
    assert found is not None
    assert found.capacity_w is None
    for code, state in (("heat_lost", "lost"), ("load_shed", "shed"), ("throttled", "limited")):
        alarm = AlarmItem(0, code, "", 1, "active_unacknowledged", "", "")
        fake.replace(alarms=(alarm,))
        found = source.read()
        assert found is not None
        assert found.state == state
    fake.stop()
    assert source.read() is None
    for _ in range(300):
        fake.step()
        source.read()


@pytest.mark.parametrize("open_metrics", [False, True])
def test_the_page_of_the_unit_has_the_values_of_its_record(open_metrics: bool) -> None:
    fake = FakeSource(2)
    seen = set()
    for _ in range(200):
        fake.step()
        fake.replace(stale=False, age_ms=400)
        direct = PointsFolder("", fake).read()
        page = parse_metrics(unit_page(fake.snapshot, open_metrics=open_metrics))
        assert direct is not None
        assert page is not None
        assert (page.headroom_w, page.heat_w) == (direct.headroom_w, direct.heat_w)
        assert (page.state, page.unit_state) == (direct.state, direct.unit_state)
        seen.add((page.headroom_w is None, page.unit_state))
    assert len(seen) > 4


def test_without_history_nothing_is_guessed() -> None:
    assert forecast({}, 6, 100e3) == []
    found = forecast({5: 50e3}, 3, 100e3)
    assert [f.confidence for f in found] == ["none"] * 3
    assert found[0].low_w is None
    assert fall_within({5: 50e3}, 1.0) == 0.0
    assert quantile([1.0], 0.9) == 1.0
    gaps = {h: daily(h) for h in range(0, 400, 7)}
    assert all(0 <= f.expected_w <= 100e3 for f in forecast(gaps, 48, 100e3))


def test_the_record_and_its_pages() -> None:
    row = RowSettings('r"1', ("n",), 100.0, status="-")
    reading = RowReading(30e3, 40e3, "free", "normal", 1.0, "status")
    decision = RowDecision(row, DRAIN, 30e3, 70e3, "because", reading)
    hours = forecast({h: daily(h) for h in range(200)}, 3, 100e3)
    now = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
    record = publish.build_record([decision], {row.name: hours}, {"held": {"coolkw": 3}}, now)
    assert record["time"] == "2026-11-28T08:00:00.000Z"
    hour = record["rows"][0]["hours"][2]
    assert hour["headroom_expected_w"] == hour["expected_w"] - 40_000
    server = publish.PublishServer("127.0.0.1:0", lambda: record, lambda _: None)
    try:
        base = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(base + "/headroom") as reply:
            assert json.load(reply) == record
        with urllib.request.urlopen(base + "/metrics") as reply:
            text = reply.read().decode()
    finally:
        server.close()
    samples = metrics_text.read_samples(text)
    assert ("coldloop_orchestrate_level", {"row": 'r"1'}, 1.0) in samples
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    assert list(parser.text_string_to_metric_families(text))


def test_a_pass_without_scheduler_publishes(tmp_path: Path) -> None:
    status = {"mono_us": 1, "state": "normal", "throttle": {"headroom_w": 1, "heat_w": 2}}
    (tmp_path / "status.json").write_text(json.dumps(status))
    row = RowSettings("a", ("n",), 100.0, status=str(tmp_path / "status.json"))
    service = Service(OrchestrateSettings((row,), record=str(tmp_path / "record")), None, print)
    assert service.step() == json.loads((tmp_path / "record").read_text())
    service.close()
