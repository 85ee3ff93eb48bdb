# SPDX-License-Identifier: Apache-2.0
"""`coldloop clock serve` with real programs: chronyd, ptp4l, and their clients over a veth.

Both ends have one kernel clock, so the figures are those of software and network stack. The agent
is a thread that writes its status and its samples.
"""

import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.telemetry.status import STATUS_FILE, STATUS_VERSION
from tests.support.programs import require_program
from tests.support.repository import ROOT

SERVER, CLIENT = "coldloop-ta", "coldloop-tb"
ADDRESS = "10.213.77.1"
TIMEOUT_S = 60.0
LEAVE_S = 12.0  # ten seconds, and the two of a loaded machine
CLIENT_FILE = """server {address} iburst minpoll -1 maxpoll -1
bindcmdaddress {folder}/command.sock
cmdport 0
port 0
pidfile {folder}/pid
user root
"""
SERVER_FILE = """bindcmdaddress {folder}/command.sock
cmdport 0
pidfile {folder}/pid
user root
"""
SLAVE_FILE = """[global]
time_stamping software
network_transport UDPv4
logAnnounceInterval 0
clientOnly 1
free_running 1
summary_interval 0
uds_address {folder}/slave.sock
uds_ro_address {folder}/slave-ro.sock
[cltb]
"""


def sh(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def inside(namespace: str) -> list[str]:
    """Return the words before a command that make it run in a network namespace.

    Those of `ip` (`netns exec`, `-n`) also change mounts, for which the root must be a mount point.
    That of chroot(8) is none.
    """
    return [require_program("nsenter"), f"--net=/run/netns/{namespace}"]


@pytest.fixture
def namespaces() -> Iterator[None]:
    """Two network namespaces with a cable between them."""
    ip = require_program("ip")
    for name in (SERVER, CLIENT):
        sh(ip, "netns", "del", name)
    if sh(ip, "netns", "add", SERVER).returncode:
        pytest.skip("network namespaces are not allowed")
    sh(ip, "netns", "add", CLIENT)
    sh(ip, "link", "add", "clta", "netns", SERVER, "type", "veth", "peer", "cltb", "netns", CLIENT)
    for name, link, address in ((SERVER, "clta", ADDRESS), (CLIENT, "cltb", "10.213.77.2")):
        for words in (f"addr add {address}/24 dev {link}", f"link set {link} up", "link set lo up"):
            done = sh(*inside(name), ip, *words.split())
            assert done.returncode == 0, done.stderr
    yield
    for name in (SERVER, CLIENT):
        sh(ip, "netns", "del", name)


class StandInAgent(threading.Thread):
    """Writes the status of an agent and sends its samples twice a second."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.status, self.sock = folder / STATUS_FILE, folder / "bds.sock"
        self.state = "sync"
        self.stopped = threading.Event()

    def run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            while not self.stopped.wait(0.5):
                clock = {"state": self.state, "bound_us": 40, "source": "pulses", "flags": []}
                raw_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) // 1000
                text = {
                    "version": STATUS_VERSION,
                    "mono_us": raw_us,
                    "clock": {**clock, "leap_s": 18},
                }
                fresh = self.status.with_suffix(".new")
                fresh.write_text(json.dumps(text), encoding="utf-8")
                fresh.replace(self.status)
                if self.state == "sync" and self.sock.is_socket():
                    second, rest = divmod(time.time_ns(), 1_000_000_000)
                    sample = struct.pack("@qqdiiii", second, rest // 1000, 0.0, 0, 0, 0, 0x534F434B)
                    try:
                        sock.sendto(sample, str(self.sock))
                    except OSError:
                        continue  # chronyd does not run yet


class Site:
    """The processes of a test, and the questions to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.agent = StandInAgent(folder)
        for name in ("server", "client", "ptp", "files"):
            (folder / name).mkdir(mode=0o700)
        raw = json.loads((ROOT / "deploy" / "examples" / "unit.json").read_text())
        raw["chrony"] = {"port": f"chrony:{folder}/bds.sock", "bound_ms": 1}
        raw["state"] = f"store:{folder}"
        (folder / "unit.json").write_text(json.dumps(raw), encoding="utf-8")

    def start(self, namespace: str, *argv: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{len(self.processes)}.log").open("wb")
        command = [*inside(namespace), *argv]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        log.close()
        self.processes.append(process)
        return process

    def wait_for(self, condition: Callable[[], Any], seconds: float = TIMEOUT_S) -> None:
        """Wait until the result is true, or until a program ends: then it fails with its log."""
        end = time.monotonic() + seconds
        while not condition():
            for number, process in enumerate(self.processes):
                if process.poll() is not None:
                    log = (self.folder / f"{number}.log").read_text()
                    pytest.fail(f"program {number} ended with {process.returncode}: {log}")
            if time.monotonic() > end:
                pytest.fail(f"not within {seconds:g} s")
            time.sleep(0.2)

    def serve(self, *options: str) -> list[str]:
        folder = self.folder
        argv = [sys.executable, "-m", "coldloop", "clock", "serve"]
        argv += ["--config", f"{folder}/unit.json", "--allow", "10.213.77.0/24"]
        argv += ["--chronyd", f"{folder}/server/command.sock", "--run-folder", f"{folder}/ptp"]
        return [*argv, "--folder", f"{folder}/files", *options]

    def chronyc(self, name: str, report: str) -> list[str]:
        """Return the fields of a report; empty ones if chronyd does not answer in time."""
        path = f"{self.folder}/{name}/command.sock"
        fields = sh("chronyc", "-h", path, "-c", report).stdout.strip().split(",")
        return fields + [""] * (16 - len(fields))

    def parent_class(self) -> str:
        argv = ("pmc", "-u", "-b", "0", "-s", f"{self.folder}/slave.sock")
        text = sh(*argv, "-i", f"{self.folder}/ask.sock", "GET PARENT_DATA_SET").stdout
        found = re.search(r"gm.ClockClass\s+(\S+)", text)
        return found.group(1) if found else ""

    def port_state(self) -> str:
        argv = ("pmc", "-u", "-b", "0", "-s", f"{self.folder}/slave.sock")
        text = sh(*argv, "-i", f"{self.folder}/ask.sock", "GET PORT_DATA_SET").stdout
        found = re.search(r"portState\s+(\S+)", text)
        return found.group(1) if found else ""

    def stop(self) -> None:
        self.agent.stopped.set()
        self.agent.join()
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(10)


@pytest.fixture
def site(namespaces: None, tmp_path: Path) -> Iterator[Site]:
    for program in ("chronyd", "chronyc", "ptp4l", "pmc"):
        require_program(program)
    running_site = Site(tmp_path)
    yield running_site
    running_site.stop()


@pytest.mark.realtime
def test_clients_follow_and_leave(site: Site) -> None:
    folder = site.folder
    written = subprocess.run(site.serve("--write", f"{folder}/files", "--ptp", "clta"), cwd=ROOT,
                             capture_output=True, text=True, check=False)  # fmt: skip
    assert written.returncode == 0, written.stderr
    text = (folder / "files" / "coldloop.conf").read_text()
    (folder / "server.conf").write_text(text + SERVER_FILE.format(folder=folder / "server"))
    client = CLIENT_FILE.format(address=ADDRESS, folder=folder / "client")
    (folder / "client.conf").write_text(client)
    (folder / "slave.conf").write_text(SLAVE_FILE.format(folder=folder))
    site.agent.start()
    site.start(SERVER, require_program("chronyd"), "-x", "-d", "-f", f"{folder}/server.conf")
    site.start(CLIENT, require_program("chronyd"), "-x", "-d", "-f", f"{folder}/client.conf")
    slave = [require_program("ptp4l"), "-f", f"{folder}/slave.conf", "-m"]
    site.start(CLIENT, *slave)
    slave_log = folder / "2.log"
    site.wait_for((folder / STATUS_FILE).is_file)
    site.start(SERVER, *site.serve("--ptp", "clta"))

    site.wait_for(lambda: site.chronyc("client", "tracking")[1] == ADDRESS)
    site.wait_for(lambda: site.parent_class() == "6")
    site.wait_for(lambda: slave_log.read_text().count("master offset") >= 8)
    check = subprocess.run(site.serve("--check", "--ptp", "clta"), cwd=ROOT, capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert check.returncode == 0, check.stderr
    tracking = site.chronyc("client", "tracking")
    assert float(tracking[6]) <= 0.2e-3  # rms of the offsets
    root_distance = float(tracking[10]) / 2 + float(tracking[11])
    assert root_distance >= 1e-3  # bound_ms: never less than the agent states
    offsets = [int(x) for x in re.findall(r"master offset\s+(-?\d+)", slave_log.read_text())]
    rms_ns = (sum(x * x for x in offsets[2:]) / len(offsets[2:])) ** 0.5
    assert rms_ns <= 50_000

    site.agent.state = "untrusted"
    start = time.monotonic()
    site.wait_for(lambda: site.port_state() == "LISTENING", LEAVE_S)
    left_ptp = time.monotonic() - start
    site.wait_for(lambda: site.chronyc("client", "sources")[1] != "*", LEAVE_S)
    left_ntp = time.monotonic() - start
    print(f"NTP rms {tracking[6]} s, PTP rms {rms_ns:.0f} ns, left {left_ntp:.1f} {left_ptp:.1f} s")
    assert max(left_ptp, left_ntp) <= LEAVE_S
    check = subprocess.run(site.serve("--check", "--ptp", "clta"), cwd=ROOT, capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert check.returncode == 1
    assert "untrusted" in check.stderr


@pytest.mark.realtime
def test_client_with_nts(site: Site) -> None:
    """Keys by TLS, then authenticated packets; a client without the certificate gets no time."""
    folder = site.folder
    cert, key = folder / "nts.pem", folder / "nts.key"
    openssl = require_program("openssl")
    done = sh(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
              "-nodes", "-days", "2", "-keyout", str(key), "-out", str(cert), "-subj", "/CN=site",
              "-addext", f"subjectAltName=IP:{ADDRESS}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    options = ("--nts-cert", str(cert), "--nts-key", str(key))
    written = subprocess.run(site.serve("--write", f"{folder}/files", *options), cwd=ROOT,
                             capture_output=True, text=True, check=False)  # fmt: skip
    assert written.returncode == 0, written.stderr
    text = (folder / "files" / "coldloop.conf").read_text()
    (folder / "server.conf").write_text(text + SERVER_FILE.format(folder=folder / "server"))
    lines = (folder / "files" / "client.conf").read_text().replace("HOST", ADDRESS)
    rest = CLIENT_FILE.partition("\n")[2]
    for name, trusted in (("client", f"ntstrustedcerts {cert}\n"), ("stranger", "")):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
        own = rest.format(folder=folder / name)
        (folder / f"{name}.conf").write_text(lines + trusted + own)
    site.agent.start()
    site.start(SERVER, require_program("chronyd"), "-x", "-d", "-f", f"{folder}/server.conf")
    for name in ("client", "stranger"):
        program = require_program("chronyd")
        site.start(CLIENT, program, "-x", "-d", "-f", f"{folder}/{name}.conf")
    site.wait_for(lambda: site.chronyc("client", "tracking")[1] == ADDRESS)
    site.wait_for(lambda: site.chronyc("client", "authdata")[1] == "NTS")
    site.wait_for(lambda: int(site.chronyc("server", "serverstats")[7] or 0) > 0)
    site.wait_for(lambda: site.chronyc("client", "tracking")[6])
    rms_s = float(site.chronyc("client", "tracking")[6])
    print(f"NTS rms {rms_s} s")
    assert rms_s <= 0.2e-3
    assert site.chronyc("stranger", "tracking")[1] != ADDRESS
