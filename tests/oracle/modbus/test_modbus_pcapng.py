# SPDX-License-Identifier: Apache-2.0
"""The capture of `modbus sniff --pcapng`, read by tshark."""

import os
import subprocess
from pathlib import Path

from pymodbus.framer import FramerRTU

from drivers.tools.lib.exchange.pcapng import PcapngWriter
from tests.support.programs import require_program

UTC_US = 1_795_500_000_123_456


def with_crc(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def test_tshark_decodes_requests_and_replies(tmp_path: Path) -> None:
    tshark = require_program("tshark")
    path = tmp_path / "line.pcapng"
    with path.open("wb") as file:
        capture = PcapngWriter(file, "serial:/dev/ttyUSB0 19200 8E1")
        capture.write(with_crc(b"\x11\x03\x00\x6b\x00\x02"), UTC_US, True, True, "")
        capture.write(with_crc(b"\x11\x03\x04\x02\x2b\x00\x64"), UTC_US + 9000, False, True, "")
        capture.write(with_crc(b"\x11\x83\x02"), UTC_US + 20_000, False, True, "stray")
        capture.write(b"\xff\x00\x13", UTC_US + 30_000, False, False, "noise")
    fields = ["frame.time_epoch", "_ws.col.protocol", "mbrtu.unit_id", "modbus.func_code"]
    fields += ["modbus.reference_num", "modbus.regval_uint16", "modbus.exception_code"]
    fields += ["mbrtu.crc16.status", "frame.comment"]
    command = [tshark, "-r", str(path), "-T", "fields", "-E", "separator=;"]
    for name in fields:
        command += ["-e", name]
    environment = {**os.environ, "HOME": str(tmp_path)}
    shown = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, env=environment
    )
    rows = [line.split(";") for line in shown.stdout.splitlines()]
    assert float(rows[0][0]) == UTC_US / 1e6
    assert rows[0][1:5] == ["Modbus RTU", "17", "3", "107"]
    assert rows[1][1:4] == ["Modbus RTU", "17", "3"]
    assert rows[1][5] == "555,100"
    assert rows[2][6] == "2"
    assert rows[2][8] == "stray"
    assert rows[3][1] == ""
    assert "Malformed" not in shown.stdout
