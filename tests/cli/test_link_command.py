# SPDX-License-Identifier: Apache-2.0
"""`coldloop link`, and the satellite modems of `coldloop bench`, over real ports."""

import http.server
import itertools
import json
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands import link
from agent.tools.satcom.satcom_passes import plot
from agent.tools.satcom.satcom_watch import format_status
from hil.bench.testbed import SITE_E7, Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.satcom.constellation import SHAPES
from hil.kernel.world import World
from tests.support.repository import ROOT

COLDLOOP = [sys.executable, str(ROOT / "coldloop.py")]


@pytest.fixture(scope="module")
def webhook_posts() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook on loopback: its URL and the forms that it received."""
    got: list[dict[str, str]] = []

    class WebhookHandler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append(dict(urllib.parse.parse_qsl(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WebhookHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def ports(webhook_posts: tuple[str, list[dict[str, str]]]) -> Iterator[dict[str, str]]:
    """The ports of a running bench without an agent."""
    command = [*COLDLOOP, "bench", "--no-agent", "--json", "--webhook", webhook_posts[0]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as bench:
        assert bench.stdout is not None
        yield json.loads(bench.stdout.readline())["ports"]
        bench.terminate()
        bench.stdout.close()


def test_bench_prints_its_modems(ports: dict[str, str]) -> None:
    for name, baud in (
        ("modem_sbd", 19200),
        ("modem_imt", 230400),
        ("modem_ntn", 115200),
        ("modem_ip", 115200),
        ("modem_rdss", 115200),
    ):
        assert ports[name].startswith("serial:/dev/pts/")
        assert ports[name].endswith(f"?baud={baud}")
    assert ports["ip_path"].startswith("tcp:127.0.0.1:")


@pytest.mark.parametrize("kind", ["sbd", "imt", "ip"])
def test_watch_shows_a_modem(ports: dict[str, str], kind: str) -> None:
    command = [*COLDLOOP, "link", "watch", ports["modem_" + kind], "--kind", kind, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as watch:
        assert watch.stdout is not None
        end = time.monotonic() + 60
        for line in watch.stdout:
            seen = json.loads(line)
            if seen["ready"] and seen["service"] and (seen["bars"] or 0) > 0:
                break
            assert time.monotonic() < end, seen
        watch.terminate()
        watch.stdout.close()
        watch.wait(20)


def test_message_goes_to_the_webhook(
    ports: dict[str, str], webhook_posts: tuple[str, list[dict[str, str]]]
) -> None:
    path = ports["modem_sbd"].removeprefix("serial:").partition("?")[0]
    import serial  # noqa: PLC0415

    with serial.Serial(path, 19200, timeout=20) as port:
        port.reset_input_buffer()
        for command, answer in (
            (b"AT\r", b"OK"),
            (b"AT+SBDWB=5\r", b"READY"),
            (b"hello\x02\x14", b"OK"),
            (b"AT+SBDIX\r", b"OK"),
        ):
            port.write(command)
            printed = port.read_until(answer + b"\r\n")
            assert printed.endswith(answer + b"\r\n"), printed
    end = time.monotonic() + 30
    while not webhook_posts[1] and time.monotonic() < end:
        time.sleep(0.1)
    form = webhook_posts[1][0]
    assert bytes.fromhex(form["data"]) == b"hello"
    assert form["imei"].isdigit()
    assert form["momsn"].isdigit()


def _unit(folder: Path, **modem: object) -> str:
    sample = Testbed(World(1, 0), TestbedSettings()).config(
        "serial:/dev/ttyUSB0?baud=115200",
        "serial:/dev/ttyUSB1?baud=19200&parity=E",
        "tcp:127.0.0.1:1883",
        f"store:{folder}",
    )
    sample["modem"] = {
        "port": "serial:/dev/ttyUSB9?baud=19200",
        "kind": "sbd",
        "region": "bench",
        "mask_deg": [40],
        **modem,
    }
    sample["modem_store"] = {"port": f"store:{folder}/modem"}
    sample.setdefault("receiver", {}).update(latitude=SITE_E7[0] / 1e7, longitude=SITE_E7[1] / 1e7)
    path = folder / "unit.json"
    path.write_text(json.dumps(sample), encoding="utf-8")
    return str(path)


def test_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _unit(tmp_path, constellation=SHAPES["polar66"].section())
    arguments = ["passes", "--config", config, "--hours", "24", "--at", "1795500000"]
    assert link([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    windows = printed["windows"]
    assert 50 <= len(windows) <= 120
    assert 10 <= printed["covered_pct"] <= 25
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(windows))
    assert link(arguments) == 0
    text = capsys.readouterr().out
    assert text.count("deg\n") == len(windows)
    assert "+  0 h" in text
    # a window that began before, or ends after, counts only within the hours
    first = windows[0][0] + 60
    assert link([*arguments[:3], "--hours", "1", "--at", str(first), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["covered_pct"] <= 100


def test_usage_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["passes", "--config", _unit(tmp_path)],
        ["passes", "--config", str(tmp_path / "none.json")],
        ["passes", "--config", _unit(tmp_path), "--at", "999999999999999999"],
        ["watch"],
        ["watch", "serial"],
        ["watch", "--config", _unit(tmp_path)],
    ):
        assert link(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error


def test_status_page_of_the_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = {
        "kind": "sbd",
        "ready": True,
        "forbidden": "",
        "bars": 3,
        "service": True,
        "queued": [1, 2, 0, 0],
        "unacknowledged": 4,
        "tried": 9,
        "sent": 7,
        "failed": 2,
        "why": "the radio link dropped",
        "spent_bytes": 700,
        "day_bytes": 5000,
        "ahead": [[int(time.time()) + 700, int(time.time()) + 900, 55]],
    }
    text = format_status(status)
    for part in ("[###..]", "1 alarm, 2 live", "700 of 5000", "200 s, up to 55 deg", "dropped"):
        assert part in text
    config = _unit(tmp_path)
    (tmp_path / "status.json").write_text(json.dumps({"modem": status}), encoding="utf-8")
    assert link(["watch", "--config", config, "--seconds", "0"]) == 0
    assert "[###..]" in capsys.readouterr().out


def test_plot_shows_elevation_digits() -> None:
    hour = 3_600_000_000
    lines = plot([(hour // 2, hour, 57)], 0, 2)
    assert lines[0] == "+  0 h  " + "." * 36 + "5" * 36
    assert lines[1] == "+  1 h  " + "." * 72
