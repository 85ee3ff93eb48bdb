"""The procedures of docs/operator/roll_out.md, done: a lost key replaced, on a real broker."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.core.errors import Decommissioned
from agent.remote.update import boot
from benchmarks import fleet
from deploy.ops import keys
from tests.deploy.test_config_command import SETPOINT, SPEED, config
from tests.support.cli_tools import until

NAMES = (("alice", 1, "operate"), ("bob", 2, "limits"), ("carol", 3, "limits"))


class Site:
    """One unit behind a broker, and three operators; the unit is started anew when it asks."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        public = [_public(keys.make(folder, n, i, role, "")) for n, i, role in NAMES]
        keys.make(folder, "dora", 4, "operate", "")
        self.maps = profiles()
        raw = fleet.configuration(0, port, public[0])
        raw["remote"].update(keys=public, health_s=5)
        self.unit = fleet.Unit(raw, self.maps, broken=False)
        self.stop = threading.Event()
        self._run()

    def _run(self) -> None:
        fleet._stand_in(self.unit)
        self.stop.clear()
        self.thread = threading.Thread(target=fleet.serve, args=([self.unit], self.stop, SPEED))
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join()

    def start_anew(self) -> None:
        """What a shell does that is asked for a restart."""
        self.end()
        ready, chosen = boot.start(
            self.unit.raw, self.unit.records.get, lambda raw: load(raw, self.maps)
        )
        self.unit.agent, self.unit.socket = Agent(ready, chosen), None
        self._run()

    def __call__(self, word: str, *words: str, by: tuple[str, ...]) -> tuple[int, Any]:
        given = ["--broker", f"tcp:127.0.0.1:{self.port}", "--json"]
        for name in by:
            given += ["--key", f"{self.folder}/{name}.key"]
        done = config(word, *words, *given)
        assert not done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)


def _public(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with fleet.broker(tmp_path) as port:
        made = Site(tmp_path, port)
        yield made
        made.end()


def test_a_lost_key_is_replaced_by_the_holders_of_the_others(site: Site) -> None:
    left = [_public(site.folder / f"{name}.json") for name in ("dora", "bob", "carol")]
    change = f"remote.keys={json.dumps(left)}"
    unit = "fleet/u0000"
    code, outcome = site("push", unit, change, "--answer", "15s", by=("alice",))
    assert code == 1
    assert "wrong_role" in outcome["failed"][unit]
    code, outcome = site("push", unit, change, "--no-confirm", by=("bob", "carol"))
    assert (code, outcome["states"]) == (0, {"trial": 1})
    site.start_anew()
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


def test_a_unit_is_taken_out_of_service(site: Site) -> None:
    site("push", "fleet/u0000", f"{SETPOINT}=33", by=("alice",))
    log = site.folder / "log.json"
    words = ["fleet/u0000", "--out", str(log), "--yes"]
    code, outcome = site("decommission", *words, by=("bob", "carol"))
    assert code == 0
    kept = json.loads(log.read_text())
    assert kept["entries"][0]["what"] == f"patch {SETPOINT}=33"
    assert outcome["last"] == kept["last"]
    log_end = site.unit.agent.parts[0].keeper.audit  # type: ignore[attr-defined]
    assert kept["last"] == [log_end.number, log_end.head.hex()]
    until("the unit has ended", lambda: boot.ENDED in site.unit.records)
    with pytest.raises(Decommissioned):
        site.start_anew()
    given = ["--broker", f"tcp:127.0.0.1:{site.port}", "--key", "x.key", "--yes"]
    done = config("decommission", "fleet/u0000", "--out", str(log), *given)
    assert "a log is never overwritten" in done.stderr
