# SPDX-License-Identifier: Apache-2.0
"""`coldloop config` end to end: real keys, a real mosquitto, real agents behind it."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.commands import profiles
from agent.remote.storage import software_slots
from agent.remote.storage.unit_key import unit_key_write
from benchmarks.remote import fleet
from deploy.errors import OpsError
from deploy.ops import change_parser, external_signer, keys
from deploy.ops.command import command as config_command
from deploy.ops.command.show import report_to_json
from deploy.ops.report.unit_report import LastChange, UnitReport
from deploy.ops.unit_config.archive import ConfigArchive
from deploy.ops.unit_config.published import list_differences
from protocols.cbor import Decimal
from protocols.signed_message import PATCH, build_signing_input, unpack
from tests.support.cli_tools import call_coldloop, wait_until
from tests.support.repository import ROOT

Run = Callable[..., tuple[int, Any]]
SETPOINT = "control.supply.setpoint_c"
SPEED = 10
"""Speed of the units' clocks: a health window of 5 s takes half a second."""
BLANK = UnitReport(0, bytes(32), (0, 0, 0), None, None, LastChange(0, "nothing", ""), ("", ""), 0)


def config(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; the test of a paused push has processes of its own."""
    return call_coldloop("config", *arguments)


def signed_unit(folder: Path, raw: dict[str, Any], seed: bytes) -> tuple[str, bytes]:
    """Return the record of the key of a unit, and write its public part."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = {"unit": f"{raw['site']}/{raw['unit']}", "public": keys.public_hex(private)}
    (folder / f"{raw['unit']}.json").write_text(json.dumps(public))
    return unit_key_write(seed, bytes.fromhex(public["public"]))


class RemoteSite:
    """Units of `fleet.FleetUnit` in a thread, and the keys of the operators."""

    def __init__(
        self, folder: Path, port: int, health_s: int = 5, unit_seeds: tuple[bytes, ...] = ()
    ) -> None:
        self.folder, self.port = folder, port
        public = []
        for name, number, role in (("one", 1, "operate"), ("two", 2, "limits")):
            keys.make_key(folder, name, number, role, "")
            public.append(json.loads((folder / f"{name}.json").read_text()))
        keys.make_key(folder, "stranger", 1, "operate", "")
        profile_files = profiles()
        self.units = []
        for number in range(3):
            raw = fleet.configuration(number, port, public[0])
            raw["remote"].update(keys=public, health_s=health_s)
            if number != 1:
                raw["remote"]["groups"] = ["gulf"]
            records = dict([signed_unit(folder, raw, unit_seeds[number])] if unit_seeds else [])
            unit = fleet.FleetUnit(raw, profile_files, broken=False, records=records)
            fleet._replace_devices(unit)
            self.units.append(unit)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=fleet.serve, args=(self.units, self.stop, SPEED))
        self.thread.start()

    def __call__(self, subcommand: str, *arguments: str, key: str = "one") -> tuple[int, Any]:
        options = ["--broker", f"tcp:127.0.0.1:{self.port}"]
        if subcommand != "show":
            options += ["--key", f"{self.folder}/{key}.key"]
        completed = config(subcommand, *arguments, *options, "--json")
        assert not completed.stderr, completed.stderr
        return completed.returncode, json.loads(completed.stdout)

    def read_setpoints(self) -> list[float]:
        return [unit.agent.supply_loop.setpoint for unit in self.units]


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RemoteSite]:
    """Units with a health window of 5 s of their clocks, or of the seconds of a test."""
    with fleet.broker(tmp_path) as port:
        created = RemoteSite(tmp_path, port, getattr(request, "param", 5))
        yield created
        created.stop.set()
        created.thread.join()


def test_a_change_is_pushed_confirmed_and_shown(site: RemoteSite) -> None:
    code, outcome = site("push", "fleet/u000*", f"{SETPOINT}=33.5", "--listen", "1s")
    assert (code, outcome["states"]) == (0, {"confirmed": 3})
    assert site.read_setpoints() == [33.5] * 3
    code, report = site("show", "fleet/u0001")
    assert (code, report["version"], report["last"][1]) == (0, 1, "confirmed")
    sign_options = [f"{SETPOINT}=33", "--report", str(site.folder / "r.json"), "--out"]
    (site.folder / "r.json").write_text(json.dumps(report))
    completed = config(
        "sign",
        "fleet/u0001",
        *sign_options,
        str(site.folder / "p"),
        "--key",
        str(site.folder / "one.key"),
        "--json",
    )
    assert json.loads(completed.stdout)["bytes"] == len((site.folder / "p").read_bytes()) <= 96


def test_a_group_takes_one_message(site: RemoteSite) -> None:
    code, outcome = site("push", f"{SETPOINT}=33.5", "--group", "gulf", "--listen", "1s")
    assert (code, outcome["states"]) == (0, {"confirmed": 2})
    assert site.read_setpoints() == [33.5, 32, 33.5]
    boots: list[Any] = [unit.agent.boot for unit in site.units]
    counters = [boot.slots.counters[0] for boot in boots]
    assert counters[0] == counters[2] > counters[1] == 0
    options = ["--broker", f"tcp:127.0.0.1:{site.port}", "--key", f"{site.folder}/one.key"]
    completed = config("push", "fleet/u0001", f"{SETPOINT}=33", "--group", "gulf", *options)
    assert (completed.returncode, completed.stderr.count("\n")) == (2, 1)
    assert "group gulf: none of 1 units belongs to it" in completed.stderr


def test_a_replaced_unit_is_restored_from_the_published_configuration(site: RemoteSite) -> None:
    options = ["--broker", f"tcp:127.0.0.1:{site.port}"]
    out, file = site.folder / "unit.json", site.folder / "file.json"
    raw = json.loads(json.dumps(site.units[1].raw))
    raw["control"]["supply"]["setpoint_c"] = 31.5
    file.write_text(json.dumps(raw))
    trust = ["--trust", f"{site.folder}/one.json", "--trust", f"{site.folder}/two.json"]
    completed = config("diff", "fleet/u0001", str(file), "--out", str(out), *options, *trust[:2])
    assert (completed.returncode, completed.stdout) == (1, f"{SETPOINT}: 32 -> 31.5\n")
    assert completed.stderr.count("left out of remote.keys") == 1
    assert [key["number"] for key in json.loads(out.read_text())["remote"]["keys"]] == [1]
    completed = config("diff", "fleet/u0001", "--out", str(out), *options, *trust)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(out.read_text()) == site.units[1].raw
    assert config("check", str(out)).returncode == 0
    assert config("diff", "fleet/u0001", str(out), *options).returncode == 0


def test_any_two_configurations_are_compared(site: RemoteSite) -> None:
    options = ["--broker", f"tcp:127.0.0.1:{site.port}"]
    units = config("diff", "fleet/u0000", "fleet/u0001", "--json", *options)
    assert units.returncode == 1
    rows = json.loads(units.stdout)
    assert {"path": "unit", "first": "u0000", "second": "u0001"} in rows
    files = []
    for name, unit in zip(("a.json", "b.json"), site.units, strict=False):
        files.append(str(site.folder / name))
        Path(files[-1]).write_text(json.dumps(unit.raw))
    assert json.loads(config("diff", *files, "--json").stdout) == rows
    missing = config("diff", files[0], "no.json")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "no.json: no such file, and no unit" in missing.stderr
    assert "--broker is needed" in config("diff", files[0], "fleet/u0001").stderr


def test_a_dry_run_sends_nothing_and_says_what_would_happen(site: RemoteSite) -> None:
    options = ["--broker", f"tcp:127.0.0.1:{site.port}", "--dry-run", "--listen", "1s"]
    many = config("push", "fleet/*", "no.such=1", *options, "--json")
    rows = json.loads(many.stdout)["dry_run"]
    assert (many.returncode, [row["verdict"] for row in rows]) == (1, ["refused"] * 3), many.stdout
    good = config("push", "fleet/u0001", f"{SETPOINT}=33", *options, "--json")
    rows = json.loads(good.stdout)["dry_run"]
    assert (good.returncode, [row["verdict"] for row in rows]) == (0, ["pass"]), good.stdout
    assert rows[0]["differences"] == [{"path": SETPOINT, "first": 32, "second": 33}]
    for change, words in (
        (f"{SETPOINT}=45", "too_big_step"),
        (f"{SETPOINT}=no", "setpoint_c"),
        ("no.such=1", "unknown key"),
        ("control.supply.integral_s=1", "integral_s"),
    ):
        refused = config("push", "fleet/u0000", change, *options)
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert "fleet/u0000: refused" in refused.stdout
        assert words in refused.stdout
    place = config("push", "fleet/u0000", "remote.port=store:/nowhere", *options)
    assert "only the site file can change it" in place.stdout
    moved = config("push", "fleet/u0000", "limits.supply_max_c=46", "site=elsewhere", *options)
    assert "note: needs two signatures" in moved.stdout
    assert "note: changes site: no twin shows" in moved.stdout
    starved = config("push", "fleet/u0000", "control.supply.max_pct=20", *options)
    assert (starved.returncode, starved.stderr) == (1, "")
    assert "fleet/u0000: fail" in starved.stdout
    assert "unit-load-step: supply_error_k" in starved.stdout
    assert site.read_setpoints() == [32, 32, 32]
    counters = [unit.agent.boot.slots.counters[0] for unit in site.units if unit.agent.boot]
    assert counters == [0, 0, 0]


def test_an_archived_configuration_comes_back(
    site: RemoteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDLOOP_LEDGER", str(site.folder / "own" / "ledger.jsonl"))
    unit = "fleet/u0001"
    for value in (33, 33.5, 33, 34):  # a value that comes twice counts twice
        assert site("push", unit, f"{SETPOINT}={value}")[0] == 0
    options = ["--broker", f"tcp:127.0.0.1:{site.port}", "--key", f"{site.folder}/one.key"]
    asked = config("push", unit, "--archived", "3", *options)
    assert (asked.returncode, asked.stderr.splitlines()) == (
        2,
        [
            f"{SETPOINT}: 34 -> 33",
            "coldloop config push: not sent; --yes sends without the question",
        ],
    )
    back = config("push", unit, "--archived", "2", "--yes", *options)
    assert (back.returncode, back.stderr.splitlines()) == (0, [f"{SETPOINT}: 34 -> 33.5"])
    assert site.units[1].agent.supply_loop.setpoint == 33.5
    for wrong, words in (
        ([unit, "--archived", "9"], "the archive has 5 earlier configurations, not 9"),
        ([unit, "--archived", "0"], "'0' is not a number from 1 to 50"),
        (["fleet/*", "--archived", "1"], "name one unit"),
        ([unit, f"{SETPOINT}=33", "--archived", "1"], "name one unit, and no PATH=VALUE"),
    ):
        refused = config("push", *wrong, *options)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert words in refused.stderr


def test_a_damaged_archive_stops_no_push(tmp_path: Path, capsys: Any) -> None:
    archive = ConfigArchive(tmp_path / "configurations")
    for number in range(1, 4):
        archive.add("s/u", bytes([number]) * 32, {"value": number})
    assert archive.earlier("s/u", bytes([3]) * 32, 1) == {"value": 2}
    file = tmp_path / "configurations" / "s.u.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(OpsError, match="line 3 is damaged"):
        archive.earlier("s/u", bytes([3]) * 32, 1)
    victim = tmp_path / "victim"
    victim.write_text("keep")
    archive.add("s/u", bytes([4]) * 32, {"value": 4})
    assert "line 3: damaged; kept as s.u.damaged-" in capsys.readouterr().err
    assert archive.earlier("s/u", bytes([4]) * 32, 1) == {"value": 2}
    file.unlink()
    file.symlink_to(victim)
    archive.add("s/u", bytes([5]) * 32, {"value": 5})
    assert victim.read_text() == "keep"
    assert not file.is_symlink()


def test_values_of_another_type_differ() -> None:
    nan = float("nan")
    first = {"a": 1.0, "b": 1, "c": nan, "d": [1, True], "e": {"f": False}}
    second = {"a": 1, "b": True, "c": nan, "d": [1, 1], "e": {"f": 0}}
    assert [row.path for row in list_differences(first, second)] == ["b", "d", "e.f"]


def test_a_push_without_a_key_is_refused(site: RemoteSite) -> None:
    completed = config("push", "a/b", f"{SETPOINT}=33", "--broker", "tcp:h:1")
    assert (completed.returncode, completed.stderr.count("\n")) == (2, 1)
    assert "--key is needed" in completed.stderr


def test_the_audit_log_is_fetched_and_checked(site: RemoteSite, tmp_path: Path) -> None:
    site("push", "fleet/u0000", f"{SETPOINT}=33.5")
    code, log = site("history", "fleet/u0000")
    assert (code, log["faults"]) == (0, [])
    output = [(entry["keys"], entry["what"], entry["result"]) for entry in log["entries"]]
    assert output[0] == ([1], "patch control.supply.setpoint_c=33.5", "taken")
    assert ([], "confirmed", "version 1") in output
    assert output[-1][1] == "done fetch"
    folder = tmp_path / "store"
    folder.mkdir()
    for key, data in site.units[0].records.items():
        (folder / key).write_bytes(data)
    completed = config("history", "--store", str(folder))
    assert completed.returncode == 0
    assert "key 1: patch control.supply.setpoint_c=33.5: taken" in completed.stdout
    first = (folder / "audit.0").read_bytes()
    (folder / "audit.1").write_bytes(first.replace(b"version 1", b"version 2"))
    assert config("history", "--store", str(folder)).returncode == 1


def test_an_interrupted_software_update_resumes(site: RemoteSite, tmp_path: Path) -> None:
    file = tmp_path / "bundle.whl"
    file.write_bytes(bytes(range(256)) * 40)
    arguments = ["fleet/u0000", str(file), "--release", "2", "--key", str(tmp_path / "two.key")]
    options = ["--broker", f"tcp:127.0.0.1:{site.port}", "--key", str(tmp_path / "one.key")]
    manager: Any = site.units[0].agent.components[0]
    listeners = manager.agent.uplink._listeners
    on_chunk = manager.on_chunk
    listeners[2] = (listeners[2][0], lambda *_: None)
    completed = config("update", *arguments, *options, "--wait", "1s")
    assert completed.returncode == 2
    assert "0 of 10 chunks; the same command continues" in completed.stderr
    listeners[2] = (listeners[2][0], on_chunk)
    code, outcome = site("update", *arguments)
    assert (code, outcome["pieces"], outcome["bytes"]) == (0, 10, 10_240)
    trial = manager.update.releases.trial
    assert software_slots.read_bundle(trial, site.units[0].records.get) == file.read_bytes()
    code, report = site("show", "fleet/u0000")
    assert report["update"][:2] == [0, outcome["counter"]]


@pytest.mark.parametrize("site", [30], indirect=True)
def test_a_push_is_observed_paused_and_stopped(site: RemoteSite) -> None:
    options = ["--broker", f"tcp:127.0.0.1:{site.port}"]
    command = [sys.executable, "-m", "coldloop", "config"]
    watching = [*command, "watch", "fleet/u000*", *options]
    pushing = [*command, "push", "fleet/u000*", f"{SETPOINT}=33.5", "--listen", "1s", "--json"]
    pushing += [*options, "--key", f"{site.folder}/one.key", "--canary", "1", "--trial", "60s"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(watching, **pipes) as watch, subprocess.Popen(pushing, **pipes) as push:
        try:
            wait_until("the canary is on trial", lambda: site.read_setpoints().count(33.5) == 1)
            push.send_signal(signal.SIGUSR1)
            canary = site.read_setpoints().index(33.5)
            slots = site.units[canary].agent.boot.slots
            wait_until("the canary is confirmed", lambda: slots.version == 1)
            time.sleep(1)
            assert site.read_setpoints().count(33.5) == 1  # a pause starts no new unit
            push.send_signal(signal.SIGUSR1)
            wait_until("the rest is on trial", lambda: site.read_setpoints().count(33.5) == 3)
            push.send_signal(signal.SIGINT)
            outcome = json.loads(push.communicate(timeout=60)[0])
        finally:
            watch.terminate()
            push.kill()
        output = watch.communicate(timeout=30)[0]
    assert push.returncode == 1
    assert outcome["aborted"] == "stopped by the operator"
    assert outcome["states"] == {"confirmed": 1, "failed": 2}
    assert sorted(site.read_setpoints()) == [32, 32, 33.5]
    assert f"fleet/u000{canary}  version 1, last " in output
    assert "on trial (health)" in output


@pytest.mark.parametrize("site", [600], indirect=True)
def test_a_trial_without_confirm_is_rolled_back(site: RemoteSite) -> None:
    code, outcome = site("push", "fleet/u0000", f"{SETPOINT}=33.5", "--no-confirm")
    assert (code, outcome["states"]) == (0, {"trial": 1})
    code, report = site("confirm", "fleet/u0000")
    assert (code, report["refusal"][0]) == (1, "not_yet")  # the health window is not over
    code, report = site("rollback", "fleet/u0000")
    assert (code, report["last"][1:]) == (0, ["rolled_back", "on demand"])
    assert site.read_setpoints() == [32] * 3


def test_a_rejected_message_reports_its_reason(site: RemoteSite) -> None:
    # One unit for each case: a unit publishes its reject reasons at most every 10 s.
    for unit, change, key, reason in (
        ("fleet/u0000", f"{SETPOINT}=99", "one", "too_big_step"),
        ("fleet/u0001", "no.such.thing=1", "one", "wrong_role"),
        ("fleet/u0002", f"{SETPOINT}=33", "stranger", "bad_signature"),
    ):
        code, outcome = site("push", unit, change, "--answer", "20s", key=key)
        assert code == 1
        assert reason in outcome["failed"][unit]
    assert site.read_setpoints() == [32] * 3


def test_a_degraded_unit_stops_the_rollout(site: RemoteSite) -> None:
    site.units[0].is_faulty = True
    code, outcome = site("push", "fleet/u000*", f"{SETPOINT}=33.5", "--listen", "1s")
    assert (code, outcome["states"]) == (1, {"failed": 1, "waiting": 2})
    assert "canary" in outcome["aborted"]
    assert site.read_setpoints() == [32] * 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("push", "a/b", "x=1", "--broker", "serial:/dev/x", "--key", "k"), "k: No such file"),
        (("push", "a/b", "x", "--broker", "tcp:h:1", "--key", "k"), "'x' is not a change"),
        (("show", "ab", "--broker", "tcp:h:1"), "not a unit"),
        (("show", "a/b", "--broker", "tcp:127.0.0.1:9"), "check that the broker runs"),
        (("dance",), "no subcommand"),
        (("check", "/nowhere.json"), "/nowhere.json"),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], expected: str) -> None:
    completed = config(*arguments)
    assert completed.returncode in (1, 2)
    assert expected in completed.stdout + completed.stderr
    assert len((completed.stdout + completed.stderr).splitlines()) == 1


def test_a_private_key_file_is_protected(tmp_path: Path) -> None:
    shown = keys.make_key(tmp_path, "a", 7, "limits", "a passphrase")
    path = tmp_path / "a.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.load(path, "a passphrase").number == 7
    with pytest.raises(OpsError, match="passphrase is wrong"):
        keys.load(path, "another")
    with pytest.raises(OpsError, match="never overwrites"):
        keys.make_key(tmp_path, "a", 7, "limits", "")
    path.chmod(0o644)
    with pytest.raises(OpsError, match="chmod 600"):
        keys.load(path, "a passphrase")
    path.chmod(0o600)
    keys.make_key(tmp_path, "b", 8, "operate", "")
    shown.write_text((tmp_path / "b.json").read_text())
    with pytest.raises(OpsError, match="another key"):
        keys.load(path, "a passphrase")
    assert b"PRIVATE" in path.read_bytes()


SIGN = """
import json, os, pathlib, sys
from deploy.ops import keys
from deploy.ops.report.unit_report import UnitReport
path = pathlib.Path(os.environ["COLDLOOP_KEY"])
text = sys.stdin.buffer.read()
pathlib.Path(sys.argv[1]).write_bytes(text)
sys.stdout.buffer.write(keys.load(path.with_name(sys.argv[2]), "").sign(text)[: int(sys.argv[3])])
"""


def signing(folder: Path, key: str, size: int = 64) -> str:
    """Return the command of a program that signs with a key in `folder`."""
    (folder / "sign.py").write_text(SIGN)
    arguments = (sys.executable, folder / "sign.py", folder / "text", key, size)
    return " ".join(map(str, arguments))


def test_an_external_program_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    keys.make_key(tmp_path, "token", 9, "operate", "")
    (tmp_path / "alice.json").write_text((tmp_path / "token.json").read_text())
    (tmp_path / "r.json").write_text(json.dumps({**report_to_json(BLANK), "update": None}))
    arguments = ["sign", "s/u", f"{SETPOINT}=33", "--report", f"{tmp_path}/r.json"]
    arguments += ["--key", f"{tmp_path}/alice.json", "--out", f"{tmp_path}/p"]
    completed = config(*arguments, "--signer", signing(tmp_path, "token.key"))
    assert completed.returncode == 0, completed.stderr
    message = unpack((tmp_path / "p").read_bytes())
    assert [number for number, _ in message.signatures] == [9]
    assert (tmp_path / "text").read_bytes() == build_signing_input(
        PATCH, "s/u", bytes(32), message.body
    )
    assert "use the private key, or --signer" in config(*arguments).stderr


def test_an_external_signature_is_verified(tmp_path: Path) -> None:
    for name in ("token", "other"):
        keys.make_key(tmp_path, name, 9, "operate", "")
    path = tmp_path / "token.json"
    for command, expected in (
        (signing(tmp_path, "other.key"), "not from the key of"),
        (signing(tmp_path, "token.key", 63), "63 bytes where 64"),
        (f"{sys.executable} -c 'raise SystemExit(\"no token\")'", "exit 1, 0 bytes"),
        ("/nowhere/signs", "cannot start"),
        ("'", "cannot start"),
    ):
        with pytest.raises(OpsError, match=expected):
            external_signer.load(path, command).sign(b"text")
    path.write_text(json.dumps({"number": 9, "public": "00", "role": "operate"}))
    with pytest.raises(OpsError, match="64 hexadecimal"):
        external_signer.load(path, "x")


class ReportQueue:
    """A broker session that returns these reports, one for each call."""

    def __init__(self, *reports: UnitReport) -> None:
        self.reports = list(reports)

    def messages(self, seconds: float) -> Iterator[tuple[str, bytes]]:
        if self.reports:
            report = self.reports.pop(0)
            fields = {**report_to_json(report), "hash": report.config_hash.hex()}
            yield "s/u/cfg/reported", json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("refused", "result"),
    [
        (1, "7 confirm: not_yet"),
        (1, "7 confirm: not_yet: its health is still being watched"),
        (0, "7 confirm: confirmed"),
        (1, "7 confirm: confirmed"),  # another message was refused meanwhile
    ],
)
def test_the_result_decides_when_a_command_is_done(refused: int, result: str) -> None:
    """The report with the counter of the command can come before the report with its result."""
    before = replace(BLANK, results=("6 restart: restarting",), refused_message=(0, 0))
    noted = replace(before, counters=(0, 7, 0))
    other = replace(noted, refused_count=1, refused_message=(2, 6), last_refusal=("busy", ""))
    answer = replace(other, refused_count=refused, results=(*before.results, result))
    link: Any = ReportQueue(before, noted, other, answer)
    assert config_command._wait_for_answer(link, "s/u", before, 7, 5) == answer
    assert config_command.is_done(answer, 7, "confirm") == ("not_yet" not in result)
    link = ReportQueue(before, noted, other)
    with pytest.raises(OpsError, match="no result"):
        config_command._wait_for_answer(link, "s/u", before, 7, 0.1)


def test_a_rejection_before_the_execution_is_an_answer() -> None:
    before = replace(BLANK, refused_message=(0, 0))
    refused = replace(
        before, refused_count=1, refused_message=(2, 7), last_refusal=("wrong_role", "")
    )
    link: Any = ReportQueue(before, refused)
    assert config_command._wait_for_answer(link, "s/u", before, 7, 5) == refused
    assert not config_command.is_done(refused, 7, "confirm")
    old = replace(BLANK, refused_count=1)  # a unit that does not name the message
    assert config_command.is_answer(old, BLANK, 7)


def test_change_arguments_keep_their_exact_values() -> None:
    read = change_parser.parse(
        [f"{SETPOINT}=32.50", "a.b=null", "site=x", "c=", "d=[1,2.5]", "e=-7"]
    )
    assert read == [
        (1, Decimal(325, 1)),
        ("a.b", None),
        ("site", "x"),
        ("c", None),
        ("d", [1, Decimal(25, 1)]),
        ("e", -7),
    ]
    for bad in (["a"], ["=1"], ["a=1", "a=2"], [], ["a=0.1234567891"]):
        with pytest.raises(OpsError):
            change_parser.parse(bad)


# --- The rollout, without a broker ----------------------------------------------------------------
