# SPDX-License-Identifier: Apache-2.0
"""A start with ports that cannot be used: the agent cools without them, but not without its bus."""

import json
import socket
from pathlib import Path
from typing import Any

from tests.support.cli_tools import run_coldloop, running_command
from tests.support.repository import ROOT
from tests.support.runtime_rig import TIMEOUT_S


def configuration(folder: Path, bus: str) -> str:
    """Write the sample with lost certificates, and files in place of folder and receiver.

    A power cut during a renewal of certificates leaves such files. Return the path.
    """
    unit: dict[str, Any] = json.loads((ROOT / "deploy/examples/unit.json").read_text())
    for name in ("receiver", "state"):
        (folder / name).write_text("neither port nor folder")
    unit["receiver"]["port"] = f"serial:{folder}/receiver"
    unit["state"] = f"store:{folder}/state"
    unit["broker"]["address"] = f"tls:localhost:1?ca={folder}/lost.pem"
    unit["buses"] = dict.fromkeys(unit["buses"], bus)
    (folder / "unit.json").write_text(json.dumps(unit))
    return f"{folder}/unit.json"


def test_the_agent_cools_without_broker_receiver_and_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_S)
        config = configuration(tmp_path, f"tcp:127.0.0.1:{server.getsockname()[1]}")
        with running_command("agent", "--config", config):
            bus, _ = server.accept()
            with bus:
                bus.settimeout(TIMEOUT_S)
                assert len(bus.recv(12)) == 12  # a request of Modbus TCP


def test_the_agent_ends_without_a_usable_bus(tmp_path: Path) -> None:
    (tmp_path / "bus").write_text("no serial port")
    completed = run_coldloop("agent", "--config", configuration(tmp_path, f"serial:{tmp_path}/bus"))
    assert completed.returncode == 2
    assert f"coldloop agent: serial:{tmp_path}/bus: not a serial port" in completed.stderr
    assert completed.stderr.count("warning: ") == 3
