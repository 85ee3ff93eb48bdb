# SPDX-License-Identifier: Apache-2.0
"""All servers under their load beside a real agent: processor, memory, ticks of the agent."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from agent.alarms.catalogue import catalogue
from deploy.northbound.modbus import layout
from deploy.northbound.points.point_table import columns, point_table
from drivers.ports.address import parse_address
from hil.bench.testbed_settings import TestbedSettings
from hil.run.real_bench import RealBench
from hil.run.site_servers import PARTS, SiteServers, are_installed
from tests.deploy.northbound.process.load_clients import SUBSCRIPTIONS, LoadClients, LoadTarget
from tests.deploy.northbound.process.test_launcher import MEMORY_MIB, children_of, share_kib
from tests.hil.test_demo import late_ticks

_SECOND = 1_000_000
_CPU_PERCENT = 20
_FRESH_S = 1.5
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KINDS = {"analog-input": 0, "analog-value": 2, "binary-input": 3, "binary-value": 5}


def cpu_s(pid: int) -> float:
    """Return the processor time of a process and of its children, s."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return own + sum(cpu_s(child) for child in children_of(pid))


def open_session(base: str, password: str) -> dict[str, str]:
    """Log in, set a new password, log in again; return the header of the session."""
    context = ssl._create_unverified_context()

    def call(method: str, path: str, body: dict[str, str], headers: dict[str, str]) -> Any:
        request = urllib.request.Request(
            base + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
            method=method,
        )
        return urllib.request.urlopen(request, context=context, timeout=20).headers

    sessions = "/redfish/v1/SessionService/Sessions"
    names = {"UserName": "admin", "Password": password}
    token = {"X-Auth-Token": call("POST", sessions, names, {})["X-Auth-Token"]}
    names["Password"] = "horse-battery-9"
    account = "/redfish/v1/AccountService/Accounts/admin"
    call("PATCH", account, {"Password": names["Password"]}, token)
    return {"X-Auth-Token": call("POST", sessions, names, {})["X-Auth-Token"]}


class FreshnessSampler:
    """Age of the supply temperature at a Modbus client: of the record, and of its reading.

    `ages_s`: age of the reading by the clock of the agent, at the reply. The age of the reading in
    a record comes from the file; the reply names the record by its heartbeat.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.ages_s: list[float] = []
        self._folder, self._port = folder, port
        self._readings: dict[int, int] = {}
        self._replies: list[tuple[int, int]] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._watch, self._ask)]
        for thread in self._threads:
            thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            record = json.loads((self._folder / "points.json").read_bytes())
            self._readings[record["sequence"]] = record["points"]["supply_temperature"][2]

    def _ask(self) -> None:
        request = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, layout.STATUS, 4)
        with socket.create_connection(("127.0.0.1", self._port), 10) as sock:
            while not self._ended.wait(0.2):
                sock.sendall(request)
                _, heartbeat, age, _ = struct.unpack(">HHHH", sock.recv(300)[9:17])
                self._replies.append((heartbeat, age))

    def stop(self) -> None:
        """End both threads and compute the ages."""
        self._ended.set()
        for thread in self._threads:
            thread.join(20)
        self.ages_s = [
            age / 10 + self._readings[heartbeat] / 1000
            for heartbeat, age in self._replies
            if self._readings.get(heartbeat) is not None
        ]


def make_target(servers: SiteServers, state: Path) -> LoadTarget:
    """Return what the clients read: resources, registers, objects."""
    found = dict(servers.addresses())
    base = found["redfish"].removesuffix("/redfish/v1")
    root, unit = "/redfish/v1", "/redfish/v1/ThermalEquipment/CDUs/1"
    chosen = [
        (_KINDS[column["object"]], column["instance"] + max(0, point_table()[key].instance - 1))
        for key, column in columns("bacnet").items()
        if column["object"] in _KINDS
    ]
    chosen += [(_KINDS["binary-value"], entry.number) for entry in catalogue().entries.values()]
    size = layout.MAP_SIZE
    return LoadTarget(
        http=int(base.rpartition(":")[2]),
        modbus=int(found["modbus"].rpartition(":")[2]),
        bacnet=int(found["bacnet"].partition(",")[0].rpartition(":")[2]),
        authorization=open_session(base, (state / "initial_password").read_text().strip()),
        metrics={"Authorization": f"Bearer {(state / 'metrics_token').read_text().strip()}"},
        paths=(root, unit, f"{unit}/SecondaryCoolantConnectors/1", f"{unit}/Pumps/1"),
        objects=tuple(chosen[:SUBSCRIPTIONS]),
        blocks=tuple((at, min(125, size - at)) for at in range(0, size, 125)),
    )


@pytest.mark.soak  # its limits of age and processor time need a quiet machine
def test_all_clients_at_the_same_time() -> None:
    if not are_installed():
        pytest.skip("needs the extra northbound")
    seconds = int(os.environ.get("COLDLOOP_LOAD_S", "10"))
    with RealBench(TestbedSettings(parts=PARTS), seed=1) as bench:
        servers = bench.add_site_servers()
        bench.start_agent(log=bench.folder / "agent.log")
        bench.shell.run(3 * _SECOND)
        servers.start()
        bench.shell.run(8 * _SECOND)
        assert servers.is_running(), (bench.folder / "site.log").read_text()
        target = make_target(servers, bench.folder / "site")
        clients = LoadClients(target)
        before = bench.status()
        port = json.loads((bench.folder / "unit.json").read_bytes())["northbound"]["port"]
        sampler = FreshnessSampler(Path(parse_address(port).path), target.modbus)
        clients.start()
        bench.shell.run(11 * _SECOND)
        began, used = time.monotonic(), cpu_s(servers.pid)
        bench.shell.run((11 + seconds) * _SECOND)
        elapsed = time.monotonic() - began
        percent = 100 * (cpu_s(servers.pid) - used) / elapsed
        memory = share_kib(servers.pid) / 1024
        after = bench.status()
        counts = clients.stop()
        sampler.stop()
        servers.stop()
    assert before is not None
    assert after is not None
    gets, reads = sorted(counts.get_times), sorted(counts.read_times)
    print(
        f"{percent:.1f} % of a core, {memory:.1f} MiB; {counts.gets / (elapsed + 3):.1f} GET/s, "
        f"p99 {1000 * gets[len(gets) * 99 // 100]:.1f} ms; {counts.reads / (elapsed + 3):.1f} reads"
        f"/s, p99 {1000 * reads[len(reads) * 99 // 100]:.1f} ms; {counts.subscribed} subscriptions,"
        f" {counts.notifications / (elapsed + 3):.1f} notifications/s; {counts.scrapes} scrapes; "
        f"ticks {before['ticks']} {after['ticks']}"
    )
    ages = sorted(sampler.ages_s)
    print(f"reading at a client: median {ages[len(ages) // 2]:.2f} s, at most {ages[-1]:.2f} s old")
    assert ages[len(ages) * 9 // 10] <= _FRESH_S
    assert counts.errors == []
    assert counts.subscribed == SUBSCRIPTIONS
    assert counts.notifications >= SUBSCRIPTIONS
    assert counts.gets >= 45 * seconds
    assert counts.scrapes >= seconds
    assert percent <= _CPU_PERCENT
    assert memory <= MEMORY_MIB
    assert after["ticks"]["missed"] <= late_ticks()
