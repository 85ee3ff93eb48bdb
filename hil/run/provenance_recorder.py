# SPDX-License-Identifier: Apache-2.0
"""Collects the provenance of a run: devices, interpreter, start and end, load average.

Does not define the record; see `hil.record.provenance`. The identity of a field device is what the
agent has found: it compares the probes of the profile with the replies of the device.
"""

import functools
import os
import platform
import subprocess
from datetime import UTC, datetime
from typing import Any

from hil.record.provenance import (
    EMULATED,
    MATCHES,
    NOT_READ,
    OTHER_MODEL,
    REAL,
    DeviceOrigin,
    Provenance,
)

_IDENTITIES = {
    "ok": MATCHES,
    "refuses": MATCHES + ", refuses a write",
    "wrong model": OTHER_MODEL,
}
_TIMEOUT_S = 20
_DIGITS = 2


def utc_text() -> str:
    """Return the present UTC of this machine."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ProvenanceRecorder:
    """Takes the facts of one run; construct it before the run."""

    def __init__(self, time: str, dut: str) -> None:
        self._time = time
        self._dut = dut
        self._started_utc = utc_text()
        self._load_average = os.getloadavg()[0]

    def finish(
        self,
        config: dict[str, Any],
        status: dict[str, Any] | None,
        swapped: list[dict[str, Any]] | None = None,
    ) -> Provenance:
        """Return the facts after the run. `swapped`: the devices of `DeviceSwap.devices`."""
        load_average = {
            "cpus": float(os.cpu_count() or 1),
            "at_start": round(self._load_average, _DIGITS),
            "at_end": round(os.getloadavg()[0], _DIGITS),
        }
        return Provenance(
            self._time,
            describe_interpreter(self._dut),
            self._started_utc,
            utc_text(),
            load_average,
            tuple(list_origins(config, status, swapped or [])),
        )


def list_origins(
    config: dict[str, Any], status: dict[str, Any] | None, swapped: list[dict[str, Any]]
) -> list[DeviceOrigin]:
    """List the devices of a configuration: receiver, field devices, modem."""
    real_ports = {(row["port"], row["unit"]): row["real"] for row in swapped if row["real"]}
    origins = []
    if "receiver" in config:
        origins.append(_emulated("receiver", config["receiver"]["port"]))
    for device in config["devices"]:
        key = (device["bus"], device["unit"])
        real_port = real_ports.get(key)
        origins.append(
            DeviceOrigin(
                device["name"],
                EMULATED if real_port is None else REAL,
                config["buses"][device["bus"]] if real_port is None else real_port,
                device["unit"],
                device["profile"],
                _read_identity(status, device["name"]),
            )
        )
    if "modem" in config:
        origins.append(_emulated("modem", config["modem"]["port"]))
    return origins


def _emulated(name: str, port: str) -> DeviceOrigin:
    return DeviceOrigin(name, EMULATED, port, None, "", NOT_READ)


def _read_identity(status: dict[str, Any] | None, name: str) -> str:
    rows = ((status or {}).get("modbus") or {}).get("devices") or []
    state = next((row["state"] for row in rows if row["name"] == name), "")
    return _IDENTITIES.get(state, NOT_READ)


@functools.cache
def describe_interpreter(dut: str) -> str:
    """Return name and version of the interpreter under test."""
    if dut == "cpython":
        return f"{platform.python_implementation()} {platform.python_version()}"
    if dut != "micropython":
        return {
            "unix-f32": "MicroPython, 32-bit floats",
            "qemu": "MicroPython image in QEMU",
            "rp2040": "MicroPython image in rp2040js",
        }[dut]
    command = ["micropython", "-c", "import sys; print(sys.version)"]
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return "MicroPython"
    return process.stdout.strip().rpartition("; ")[2] or "MicroPython"
