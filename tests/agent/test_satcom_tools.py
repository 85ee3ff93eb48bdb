# SPDX-License-Identifier: Apache-2.0
"""`coldloop link coexistence` and `coldloop link latency`: their tables, in virtual time."""

import argparse
import contextlib
import heapq
import json
from pathlib import Path
from typing import Any

import pytest

from agent.commands import link
from agent.tools.satcom import satcom_coexistence, satcom_latency
from drivers.gnss.receiver import ReceiverDriver
from drivers.modems import make_driver
from hil.bench import receiver_choice
from hil.bench.testbed import SITE_E7
from hil.bench.testbed_satcom import BAUD_RATES, make_device
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.radio import Radio
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from tests.support.repository import ROOT

SAMPLE = ROOT / "deploy/examples/unit.json"
_UTC = 1_795_500_000_000_000


def _probe(
    loss_db: float,
    sessions: int = 2,
    silent_in: str = "",
    statuses: tuple[int, ...] = (),
) -> satcom_coexistence.CoexistenceProbe:
    """Run the schedule against an emulated modem and receiver; return the finished probe.

    `silent_in`: when the receiver sends nothing, "transmitting" or "rest". `statuses`: MO status of
    the sessions.
    """
    world = World(1, _UTC)
    radio = Radio(world.random("radio"), lambda _: 5, 100)
    device = make_device("sbd", radio, MessageGateway(world.utc), world)
    device.force_status = list(statuses)
    settings = TestbedSettings(receiver_dialect="ublox")
    receiver: Any = receiver_choice.make_receiver(world, settings, SITE_E7)
    receiver.burst_db = loss_db
    driver = ReceiverDriver(1, 115_200, max_epochs=8)
    probe = satcom_coexistence.CoexistenceProbe(
        make_driver("sbd", 0, {}), driver, {0: "serial:/m", 1: "serial:/r"}, sessions, 20
    )

    def state() -> str:
        return "transmitting" if probe._transmitting else "rest"

    char_us = -(-10_000_000 // BAUD_RATES["sbd"])
    modem_line = SerialLine(
        world, device, char_us, lambda data: probe.receive(0, data, world.now), 0, 32
    )
    receiver_choice.connect_line(
        world,
        receiver,
        settings,
        lambda data: None if state() == silent_in else probe.receive(1, data, world.now),
        1,
        lambda: 115_200,
    )
    for port in (0, 1):
        probe.event(port, "opened", 0)
    while not probe.done and world.now < 600_000_000:
        for port, op, data in probe.outbox():
            if port == 0 and op == "write":
                modem_line.write(data)
        receiver.set_transmitting(probe._transmitting)
        due = probe.deadline()
        if world.heap and world.heap[0][0] <= due:
            world.now, _, _, call, args = heapq.heappop(world.heap)
            call(*args)
        else:
            world.now = max(world.now, due)
            probe.wake(world.now)
    return probe


def test_coexistence_measures_the_loss() -> None:
    report = _probe(6.0).report()
    assert report["sessions"] == {"sent": 2, "failed": 0}
    assert report["epochs"]["transmitting"] >= 6
    assert report["verdict"] == "too much"
    losses = [band["loss_db"] for band in report["bands"].values() if band["loss_db"] is not None]
    assert losses
    assert all(4.0 < loss < 7.0 for loss in losses)
    text = "\n".join(satcom_coexistence.table({"spacing_m": 1.5, "temperature_c": None, **report}))
    assert "antenna spacing 1.5 m, temperature not entered" in text
    assert "| C/N0 L1, dBHz |" in text


def test_coexistence_without_an_effect_is_ok() -> None:
    report = _probe(0.0).report()
    assert report["verdict"] == "ok"
    assert report["fixes_pct"]["transmitting"] == 100.0


@pytest.mark.parametrize(
    ("silent_in", "verdict"), [("transmitting", "too much"), ("rest", "no epochs at rest")]
)
def test_coexistence_with_a_receiver_that_falls_silent(silent_in: str, verdict: str) -> None:
    assert _probe(0.0, silent_in=silent_in).report()["verdict"] == verdict


def test_coexistence_without_a_sent_datagram_is_not_ok() -> None:
    report = _probe(0.0, statuses=(32, 32)).report()
    assert report["sessions"] == {"sent": 0, "failed": 2}
    assert report["verdict"] == "no transmission"


def test_coexistence_with_a_band_that_disappears() -> None:
    probe = _probe(0.0)
    for epoch in probe._epochs[True]:
        for satellite in epoch.satellite_view.satellites:
            satellite.signals = [
                signal
                for signal in satellite.signals
                if satcom_coexistence.band_of(signal[1]) != "L1"
            ]
    report = probe.report()
    assert report["bands"]["L1"]["loss_db"] is None
    assert report["verdict"] == "too much"


def _change(probe: satcom_coexistence.CoexistenceProbe, case: str) -> None:
    rest, active = probe._epochs[False], probe._epochs[True]
    if case == "two epochs":
        del active[2:]
        probe._transmitted_us = 2_000_000  # short: no more were to be expected
    elif case == "no epochs":
        active.clear()
        del rest[1:]  # no interval, so the number that was to be expected is unknown
    for epoch in [*rest, *active]:
        if case == "no fix":
            epoch.valid, epoch.utc_us = False, 0
        elif case == "no signals":
            epoch.satellite_view.satellites = []
    if case == "time":
        for epoch in active:
            epoch.utc_us += 1_000_000


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("two epochs", "too few epochs during transmissions"),
        ("no epochs", "too few epochs during transmissions"),
        ("no fix", "no fix at rest"),
        ("no signals", "no signals at rest"),
        ("time", "too much"),
    ],
)
def test_coexistence_is_not_ok_without_a_measurement(case: str, verdict: str) -> None:
    probe = _probe(0.0)
    _change(probe, case)
    assert probe.report()["verdict"] == verdict


def test_coexistence_that_is_interrupted_prints_what_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(probe: satcom_coexistence.CoexistenceProbe, *_: object, **__: object) -> int:
        probe.sent = 2
        return 2

    monkeypatch.setattr(satcom_coexistence.cpython, "run", interrupt)
    ports = ["tcp:127.0.0.1:1", "tcp:127.0.0.1:1"]
    assert link(["coexistence", *ports, "--json"]) == 130
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["sessions"]["sent"]) == ("interrupted", 2)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--kind", "ip"],
        ["--spacing-m", "nan"],
        ["--spacing-m", "-1"],
        ["--temperature-c", "inf"],
    ],
)
def test_coexistence_refuses(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    ports = ["tcp:127.0.0.1:1", "tcp:127.0.0.1:1"]
    with contextlib.suppress(SystemExit):
        assert link(["coexistence", *ports, *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1


_COUNTS = {"log": {"latency": [["live", "mqtt", [1]]]}}


@pytest.mark.parametrize(
    "status",
    [
        [],
        {"log": []},
        {"log": {"latency": [[1]]}},
        {"log": {"latency": [["live", "mqtt", []]]}},
        {"log": {"latency": {"a": 1}}},
        {"log": {"latency": 7}, "modem": {}},
        {"log": {"latency": [["live", "mqtt", ["a"]]]}, "modem": {"ready": 1, "bars": "x"}},
    ],
)
def test_damaged_status_has_one_line(
    status: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads(SAMPLE.read_text())
    config["state"] = f"store:{tmp_path}"
    path = tmp_path / "unit.json"
    path.write_text(json.dumps(config))
    (tmp_path / "status.json").write_text(json.dumps(status))
    for command in (["latency"], ["watch", "--seconds", "0"]):
        assert link([*command, "--config", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "status.json").write_text(json.dumps(_COUNTS))
    assert link(["latency", "--config", str(path)]) == 0


def test_bands_of_signals() -> None:
    names = {"L1 C/A": "L1", "E1": "L1", "B1I": "L1", "L2 CM": "L2", "L5 I": "L5", "B2a": "L5"}
    assert {name: satcom_coexistence.band_of(name) for name in names} == names
    assert satcom_coexistence.band_of(None) == "L1"


def test_latency_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = [0, 5, 4, 0, 1] + [0] * 13
    status = {"log": {"latency": [["live", "mqtt", counts]]}}
    (tmp_path / "status.json").write_text(json.dumps(status))
    rows = status["log"]["latency"]
    assert satcom_latency.table(rows)[2] == (
        "| live | mqtt | 10 | 2 | 4 | 16 | <2: 5, <4: 4, <16: 1 |"
    )
    assert satcom_latency.to_record("live", "mqtt", counts)["p99_s"] == 16
    assert satcom_latency.table([])[-1].startswith("| no receipt")
    parser = argparse.ArgumentParser()
    satcom_latency.configure(parser)
    assert parser.parse_args(["--config", "x"]).config == "x"
