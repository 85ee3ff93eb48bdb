# SPDX-License-Identifier: Apache-2.0
"""gpsd, live, on the ports of emulated receivers: equal fixes and equal distinct satellites.

Four vendors at the same time, each on its own pseudo-terminal, at the baud rate of its line.
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.gnss.receiver import ReceiverDriver
from hil.bench.receiver_choice import connect_line, make_receiver
from hil.bench.testbed import SITE_E7
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.gnss.receiver import GnssReceiver
from hil.io.real_ports import PtyPort
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from tests.oracle.test_bench import running_gpsd
from tests.support.cli_tools import TIMEOUT_S
from tests.support.programs import require_program

VENDORS = ("casic", "unicore", "quectel", "ublox")
GNSS = {0: "GPS", 2: "GAL", 3: "BDS", 6: "GLO"}


class GpsdRig:
    """Four receivers on four ports, run by a thread; `receivers` are the drivers."""

    def __init__(self) -> None:
        self.world = World(1, time.time_ns() // 1000)
        self.shell = RealTimeShell(self.world)
        self.ports: dict[str, PtyPort] = {}
        self.receivers: dict[str, ReceiverDriver] = {}
        for name in VENDORS:
            setting = TestbedSettings(receiver_dialect=name)
            receiver = make_receiver(self.world, setting, SITE_E7)
            assert isinstance(receiver, GnssReceiver)
            port = self.ports[name] = PtyPort(self.shell)
            self.receivers[name] = ReceiverDriver(0, 115_200)
            port.line = connect_line(
                self.world, receiver, setting, self._tee(port, name), 0, lambda: None
            )
        self.thread = threading.Thread(target=self.shell.run)
        self.thread.start()

    def _tee(self, port: PtyPort, name: str) -> Any:
        def take(data: bytes) -> None:
            port.to_agent(data)
            self.receivers[name].receive(data, self.world.now)

        return take

    def close(self) -> None:
        self.shell.stop()
        self.thread.join()
        for port in self.ports.values():
            port.close()
        self.shell.close()


@pytest.fixture
def rig() -> Iterator[GpsdRig]:
    created = GpsdRig()
    yield created
    created.close()


def test_gpsd_agrees_with_our_driver(rig: GpsdRig) -> None:
    pipe = require_program("gpspipe")
    fixes: dict[str, Any] = {}
    views: dict[str, set[tuple[str, int]]] = {name: set() for name in VENDORS}
    names = {port.path: name for name, port in rig.ports.items()}
    with running_gpsd(*names) as port:
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end and not (len(fixes) == len(VENDORS) and all(views.values())):
            completed = subprocess.run(
                [pipe, "-w", "-x", "4", f"127.0.0.1:{port}"],
                capture_output=True,
                text=True,
                check=False,
            )
            for text in completed.stdout.splitlines():
                report = json.loads(text)
                name = names.get(report.get("device", ""))
                if name and report["class"] == "TPV" and report.get("mode") == 3:
                    fixes[name] = report
                if name and report["class"] == "SKY" and report.get("satellites"):
                    views[name] |= {(GNSS[s["gnssid"]], s["svid"]) for s in report["satellites"]}
    for name in VENDORS:
        epoch = rig.receivers[name].last_epoch()
        assert epoch is not None
        assert epoch.valid
        assert epoch.lat_e7 is not None
        assert epoch.lon_e7 is not None
        assert fixes[name]["lat"] == pytest.approx(epoch.lat_e7 / 1e7, abs=3e-5)
        assert fixes[name]["lon"] == pytest.approx(epoch.lon_e7 / 1e7, abs=3e-5)
        actual = {(s.gnss, s.sv) for s in epoch.satellite_view.satellites}
        # one satellite rose, one set
        assert len(actual ^ views[name]) <= 2, (name, actual ^ views[name])
