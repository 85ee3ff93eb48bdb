# SPDX-License-Identifier: Apache-2.0
"""The northbound servers of the demo: a child process, a site key, their section and addresses.

Does not import the servers: `coldloop northbound` is another program for the bench. All addresses
are on loopback, with free ports. SNMP is left out where net-snmp is not installed. If the servers
end, the demo continues without them.
"""

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hil.run.agent_process import ROOT, with_death_signal

PARTS = "remote,northbound"
"""Optional sections that the servers need."""
_SITE_KEY = 9
_HOST = "127.0.0.1"
_EXTRA = ("bacpypes3", "microdot", "pymodbus", "segno")
_WRITES: dict[str, Any] = {
    "supply_c": {"low": 28, "high": 36, "step": 4},
    "dp_kpa": {"low": 60, "high": 160, "step": 40},
    "every_s": 10,
    "commands": ["acknowledge", "shelve", "unshelve", "reset", "override", "release"],
}
_DEVICE = 4711
_SNMP_USER = "reader"
_SNMP_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
_HEALTH_S = 20
_STOP_TIMEOUT_S = 15


def are_installed() -> bool:
    """Return whether the extra `northbound` is installed."""
    return all(importlib.util.find_spec(name) for name in _EXTRA)


class SiteServers:
    """The servers in `folder`, which is the folder of the bench."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "site"
        self._state.mkdir(mode=0o700)
        self._http, self._modbus = _free_port(), _free_port()
        self._bacnet, self._snmp = _free_port(socket.SOCK_DGRAM), _free_port(socket.SOCK_DGRAM)
        self._has_snmp = bool(
            shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:{_SNMP_PATH}")
        )
        self._public = _make_key(folder / "site.key")
        self._process: subprocess.Popen[bytes] | None = None

    def extend(self, config: dict[str, Any]) -> None:
        """Complete the sections `northbound` and `remote` of a configuration."""
        config["northbound"] = {
            **config["northbound"],
            "state": str(self._state),
            "identity": {
                "manufacturer": "coldloop",
                "model": "emulated CDU",
                "serial_number": "DEMO-0001",
                "location": "demo",
            },
            "writes": {**_WRITES, "key": "site.key"},
            "http": {"address": _HOST, "port": self._http},
            "modbus": {"address": _HOST, "port": self._modbus, "writers": [f"{_HOST}/32"]},
            "bacnet": {"address": f"{_HOST}/8", "port": self._bacnet, "device": _DEVICE},
        }
        if self._has_snmp:
            config["northbound"]["snmp"] = self._snmp_section()
        remote = config["remote"]
        remote["health_s"] = _HEALTH_S
        remote["keys"].append({"number": _SITE_KEY, "public": self._public, "role": "site"})

    def _snmp_section(self) -> dict[str, Any]:
        """Write the passphrases of the user; return the section."""
        keys = self._folder / "snmp.keys"
        keys.touch(mode=0o600)
        texts = (f"{name}: {secrets.token_hex(12)}\n" for name in ("authentication", "privacy"))
        keys.write_text("".join(texts), encoding="utf-8")
        return {"address": _HOST, "port": self._snmp, "user": _SNMP_USER, "keys": keys.name}

    def start(self) -> None:
        """Start the servers with the configuration `unit.json` of the folder."""
        log = self._folder / "site.log"
        command = [sys.executable, str(ROOT / "coldloop.py"), "northbound", "serve", "all"]
        command += ["--config", str(self._folder / "unit.json")]
        with log.open("wb") as target:
            self._process = subprocess.Popen(
                with_death_signal(command),
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=target,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def is_running(self) -> bool:
        """Return whether the servers run."""
        return self._process is not None and self._process.poll() is None

    def addresses(self) -> list[tuple[str, str]]:
        """Return name and address of each server, and the first login."""
        base = f"https://{_HOST}:{self._http}"
        return [
            ("panel", f"{base}/panel"),
            ("redfish", f"{base}/redfish/v1"),
            ("metrics", f"{base}/metrics"),
            ("modbus", f"tcp:{_HOST}:{self._modbus}"),
            ("bacnet", f"udp:{_HOST}:{self._bacnet}, device {_DEVICE}"),
            *self._snmp_address(),
            ("login", f"admin, password in {self._state / 'initial_password'}"),
        ]

    def _snmp_address(self) -> list[tuple[str, str]]:
        keys = self._folder / "snmp.keys"
        text = f"udp:{_HOST}:{self._snmp}, {_SNMP_USER}, keys {keys}"
        return [("snmp", text)] if self._has_snmp else []

    @property
    def pid(self) -> int:
        """Process id of the first server; the others are its children. 0: not started."""
        return 0 if self._process is None else self._process.pid

    def send_signal(self, number: int) -> None:
        """Send a signal to the servers."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Terminate the servers; kill them after 15 s. snmpd has 5 s to write its file."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_TIMEOUT_S)


def _free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((_HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def _make_key(path: Path) -> str:
    """Write a site key as `coldloop config keygen` does; return its public part."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(pem)
    entry = {"number": _SITE_KEY, "public": public, "role": "site"}
    path.with_suffix(".json").write_text(json.dumps(entry), encoding="utf-8")
    return public
