# SPDX-License-Identifier: Apache-2.0
"""Procedures of docs/operator/roll_out.md on a real broker: lost key, decommission."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.core.errors import DecommissionedError
from agent.remote.update import boot
from benchmarks.remote import fleet
from deploy.ops import keys
from tests.deploy.ops.test_config_command import SETPOINT, SPEED, config
from tests.support.cli_tools import wait_until

NAMES = (("alice", 1, "operate"), ("bob", 2, "limits"), ("carol", 3, "limits"))


class ProcedureSite:
    """One unit behind a broker, and three operators."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        public = [_public(keys.make_key(folder, n, i, role, "")) for n, i, role in NAMES]
        keys.make_key(folder, "dora", 4, "operate", "")
        self.profile_files = profiles()
        raw = fleet.configuration(0, port, public[0])
        raw["remote"].update(keys=public, health_s=5)
        self.unit = fleet.FleetUnit(raw, self.profile_files, broken=False)
        self.stop = threading.Event()
        self._run()

    def _run(self) -> None:
        fleet._replace_devices(self.unit)
        self.stop.clear()
        self.thread = threading.Thread(target=fleet.serve, args=([self.unit], self.stop, SPEED))
        self.thread.start()

    def stop_unit(self) -> None:
        self.stop.set()
        self.thread.join()

    def restart_unit(self) -> None:
        """Start the agent again, as the runtime does when the agent requests it."""
        self.stop_unit()
        ready, chosen = boot.start_config(
            self.unit.raw, self.unit.records.get, lambda raw: load(raw, self.profile_files)
        )
        self.unit.agent, self.unit.socket = Agent(ready, chosen), None
        self._run()

    def __call__(self, subcommand: str, *arguments: str, by: tuple[str, ...]) -> tuple[int, Any]:
        options = ["--broker", f"tcp:127.0.0.1:{self.port}", "--json"]
        for name in by:
            options += ["--key", f"{self.folder}/{name}.key"]
        completed = config(subcommand, *arguments, *options)
        assert not completed.stderr, completed.stderr
        return completed.returncode, json.loads(completed.stdout)


def _public(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ProcedureSite]:
    with fleet.broker(tmp_path) as port:
        created = ProcedureSite(tmp_path, port)
        yield created
        created.stop_unit()


def test_the_other_operators_replace_a_lost_key(site: ProcedureSite) -> None:
    remaining = [_public(site.folder / f"{name}.json") for name in ("dora", "bob", "carol")]
    change = f"remote.keys={json.dumps(remaining)}"
    unit = "fleet/u0000"
    code, outcome = site("push", unit, change, "--answer", "15s", by=("alice",))
    assert code == 1
    assert "wrong_role" in outcome["failed"][unit]
    code, outcome = site("push", unit, change, "--no-confirm", by=("bob", "carol"))
    assert (code, outcome["states"]) == (0, {"trial": 1})
    site.restart_unit()
    confirmed = False
    for _ in range(20):
        code, report = site("confirm", unit, by=("dora",))
        confirmed = report["last"][1] == "confirmed"
        if confirmed:
            break
    assert confirmed
    code, outcome = site("push", unit, f"{SETPOINT}=33", "--answer", "15s", by=("alice",))
    assert code == 1
    assert "unknown_signer" in outcome["failed"][unit]
    code, outcome = site("push", unit, f"{SETPOINT}=33", by=("dora",))
    assert (code, outcome["states"]) == (0, {"confirmed": 1})


def test_a_unit_is_decommissioned(site: ProcedureSite) -> None:
    site("push", "fleet/u0000", f"{SETPOINT}=33", by=("alice",))
    log = site.folder / "log.json"
    arguments = ["fleet/u0000", "--out", str(log), "--yes"]
    code, outcome = site("decommission", *arguments, by=("bob", "carol"))
    assert code == 0
    retained = json.loads(log.read_text())
    assert retained["entries"][0]["what"] == f"patch {SETPOINT}=33"
    assert outcome["last"] == retained["last"]
    log_end = site.unit.agent.components[0].write_queue.audit  # type: ignore[attr-defined]
    assert retained["last"] == [log_end.number, log_end.head.hex()]
    wait_until("the unit has ended", lambda: boot.DECOMMISSIONED_KEY in site.unit.records)
    with pytest.raises(DecommissionedError):
        site.restart_unit()
    options = ["--broker", f"tcp:127.0.0.1:{site.port}", "--key", "x.key", "--yes"]
    completed = config("decommission", "fleet/u0000", "--out", str(log), *options)
    assert "never overwrites a log" in completed.stderr
