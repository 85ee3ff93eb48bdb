# SPDX-License-Identifier: Apache-2.0
"""Enrolled units: the tools accept signed reports only, and no other configuration."""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.remote.manager import RemoteManager
from agent.remote.message import canonical
from agent.remote.message.header import EPOCH_S
from agent.remote.message.patch import decode_patch, encode_patch
from agent.remote.storage.unit_key import read_unit_key
from benchmarks.remote import fleet
from deploy.errors import LocalError, OpsError
from deploy.ops import change_parser, keys, messages
from deploy.ops.report.enrolled import EnrolledUnits
from protocols.signed_message import PATCH, unpack
from protocols.signing import report as signed_report
from tests.deploy.ops.test_config_command import SETPOINT, RemoteSite, config
from tests.support.cli_tools import wait_until
from tests.support.programs import require_program

SEEDS = tuple(bytes((number,)) * 32 for number in (1, 2, 3))
TEXT = (
    b'{"version":0,"hash":"%s","counters":[0,0,0],"trial":null,"phase":null,'
    b'"last":[0,"nothing",""],"accepted":0,"refused":0,"refusal":["",""],"results":[],'
    b'"update":null,"audit":[%d,"ab"],"config":"cd"}'
)


def make_payload(unit: str, seed: bytes, number: int = 1) -> bytes:
    text = TEXT % (bytes(32).hex().encode(), number)
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return signed_report.join(text, private.sign(signed_report.signing_input(unit, text)))


def enrol(folder: Path, unit: str, seed: bytes) -> EnrolledUnits:
    public = keys.public_hex(Ed25519PrivateKey.from_private_bytes(seed))
    path = folder / "public.json"
    path.write_text(json.dumps({"unit": unit, "public": public}))
    enrolled = EnrolledUnits(folder / "units")
    assert enrolled.add(path) == unit
    return EnrolledUnits(folder / "units")


def test_only_the_enrolled_key_vouches_for_a_report(tmp_path: Path) -> None:
    blank = EnrolledUnits(tmp_path / "units")
    payload = make_payload("s/u", SEEDS[0])
    assert not blank.read("s/u", payload).signed
    assert blank.read("s/u", payload).config == ""
    enrolled = enrol(tmp_path, "s/u", SEEDS[0])
    found = enrolled.read("s/u", payload)
    assert (found.signed, found.config) == (True, "cd")
    for unit, other, words in (
        ("s/u", make_payload("s/u", SEEDS[1]), "not signed by the enrolled key"),
        ("s/u", make_payload("s/v", SEEDS[0]), "not signed by the enrolled key"),
        ("s/u", payload.replace(b'"version":0', b'"version":1'), "not signed by the enrolled"),
        ("s/u", signed_report.split(payload)[0], "it is not signed"),
        ("s/v", make_payload("s/v", SEEDS[1]), "not enrolled"),
        ("s/u", b"", "it is not signed"),
        ("s/u", make_payload("s/u", SEEDS[0])[:-2] + b',"x":1}', "it is not signed"),
    ):
        with pytest.raises(OpsError, match=words):
            enrolled.read(unit, other)


def test_a_repeated_report_is_not_used(tmp_path: Path) -> None:
    enrolled = enrol(tmp_path, "s/u", SEEDS[0])
    enrolled.read("s/u", make_payload("s/u", SEEDS[0], 7))
    for again in (enrolled, EnrolledUnits(tmp_path / "units")):  # also after a restart of the tool
        with pytest.raises(OpsError, match="older than one before"):
            again.read("s/u", make_payload("s/u", SEEDS[0], 6))
        assert again.read("s/u", make_payload("s/u", SEEDS[0], 7)).audit[0] == 7
    for text in ("{", "", "[]", '{"number": "7"}', '{"number": 1e999}'):
        (tmp_path / "units" / "s.u.seen").write_text(text)
        with pytest.raises(LocalError, match="config unit forget s/u"):
            EnrolledUnits(tmp_path / "units").read("s/u", make_payload("s/u", SEEDS[0], 1))


def test_the_number_only_grows_with_two_tools(tmp_path: Path) -> None:
    first = enrol(tmp_path, "s/u", SEEDS[0])
    second = EnrolledUnits(tmp_path / "units")
    first.read("s/u", make_payload("s/u", SEEDS[0], 3))
    second.read("s/u", make_payload("s/u", SEEDS[0], 9))
    with pytest.raises(OpsError, match="older than one before"):
        first.read("s/u", make_payload("s/u", SEEDS[0], 5))
    assert json.loads((tmp_path / "units" / "s.u.seen").read_text()) == {"number": 9}


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process can grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, previous)


def write_public(path: Path, unit: str, seed: bytes) -> Path:
    public = keys.public_hex(Ed25519PrivateKey.from_private_bytes(seed))
    path.write_text(json.dumps({"unit": unit, "public": public}))
    return path


def test_a_full_disk_leaves_no_part_of_a_file(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    enrolled = enrol(tmp_path, "s/u", SEEDS[0])
    enrolled.read("s/u", make_payload("s/u", SEEDS[0], 3))
    path = write_public(tmp_path / "other.json", "s/v", SEEDS[1])
    before = {file: file.read_bytes() for file in (tmp_path / "units").iterdir()}
    request.getfixturevalue("full_disk")
    with pytest.raises(LocalError, match="File too large"):
        enrolled.add(path)
    with pytest.raises(LocalError, match="File too large"):
        enrolled.read("s/u", make_payload("s/u", SEEDS[0], 4))
    assert {file: file.read_bytes() for file in (tmp_path / "units").iterdir()} == before
    assert EnrolledUnits(tmp_path / "units").names() == ["s/u"]


def test_a_damaged_file_is_named_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDLOOP_LEDGER", str(tmp_path / "ledger.jsonl"))
    enrol(tmp_path, "s/u", SEEDS[0])
    write_public(tmp_path / "units" / "s.w.json", "s/u", SEEDS[0])  # of another unit
    (tmp_path / "units" / "s.v.json").write_text("")
    with pytest.raises(LocalError, match="config unit forget s/v"):
        EnrolledUnits(tmp_path / "units")
    shown = config("unit", "list")
    assert (shown.returncode, shown.stderr.count("damaged")) == (0, 2)
    assert config("unit", "forget", "s/v", "s/w").returncode == 0
    assert EnrolledUnits(tmp_path / "units").names() == ["s/u"]


def test_two_units_do_not_share_a_key(tmp_path: Path) -> None:
    enrolled = enrol(tmp_path, "s/u", SEEDS[0])
    stale = EnrolledUnits(tmp_path / "units")
    enrolled.add(write_public(tmp_path / "v.json", "s/v", SEEDS[1]))
    for seed, other in ((SEEDS[0], "s/u"), (SEEDS[1], "s/v")):
        with pytest.raises(OpsError, match=f"the key of {other}"):
            stale.add(write_public(tmp_path / "w.json", "s/w", seed))
    assert stale.add(write_public(tmp_path / "u.json", "s/u", SEEDS[0])) == "s/u"


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(OpsError, match=r"not a regular file|Is a directory"):
            EnrolledUnits(tmp_path / "units").add(path)


def test_a_key_is_replaced_only_after_it_was_forgotten(tmp_path: Path) -> None:
    enrolled = enrol(tmp_path, "s/u", SEEDS[0])
    path = tmp_path / "public.json"
    public = keys.public_hex(Ed25519PrivateKey.from_private_bytes(SEEDS[1]))
    path.write_text(json.dumps({"unit": "s/u", "public": public}))
    with pytest.raises(OpsError, match="another key"):
        enrolled.add(path)
    enrolled.forget("s/u")
    assert enrolled.add(path) == "s/u"
    for text in ("{}", "[", '{"unit": "s", "public": "00"}', '{"unit": "s/../x", "public": "00"}'):
        path.write_text(text)
        with pytest.raises(OpsError, match="not the public key of a unit"):
            enrolled.add(path)


def test_a_key_is_made_once_and_never_overwritten(tmp_path: Path) -> None:
    raw = fleet.configuration(0, 1, {"number": 1, "public": "00" * 32, "role": "operate"})
    raw["remote"]["port"] = f"store:{tmp_path}/store"
    (tmp_path / "unit.json").write_text(json.dumps(raw))
    first = config("unit", "make", f"{tmp_path}/unit.json", "--out", f"{tmp_path}/p.json", "--json")
    assert (first.returncode, first.stderr) == (0, "")
    again = config("unit", "make", f"{tmp_path}/unit.json", "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert json.loads((tmp_path / "p.json").read_text()) == json.loads(first.stdout)
    record = tmp_path / "store" / "unit.key"
    assert record.stat().st_mode & 0o777 == 0o600
    record.write_bytes(record.read_bytes()[:-1])
    damaged = config("unit", "make", f"{tmp_path}/unit.json")
    assert (damaged.returncode, damaged.stderr.count("\n")) == (2, 1)
    assert "damaged" in damaged.stderr


@pytest.fixture
def signed_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteSite]:
    """Three units with keys; all are enrolled at the operator."""
    monkeypatch.setenv("COLDLOOP_LEDGER", str(tmp_path / "own" / "ledger.jsonl"))
    with fleet.broker(tmp_path) as port:
        site = RemoteSite(tmp_path, port, unit_seeds=SEEDS)
        enrolled = config("unit", "enroll", *(f"{tmp_path}/u000{i}.json" for i in range(3)))
        assert enrolled.returncode == 0, enrolled.stderr
        yield site
        site.stop.set()
        site.thread.join()


def publish(site: RemoteSite, topic: str, payload: bytes) -> None:
    """Publish a retained message as the holder of the unit's certificate can."""
    file = site.folder / "forged"
    file.write_bytes(payload)
    program = require_program("mosquitto_pub")
    place = ["-p", str(site.port), "-t", f"coldloop/v1/{topic}", "-q", "1", "-r"]
    subprocess.run([program, *place, "-f", str(file)], check=True, timeout=30)


def test_a_forged_report_moves_nothing(signed_site: RemoteSite) -> None:
    site, options = signed_site, ["--broker", f"tcp:127.0.0.1:{signed_site.port}"]
    assert site("push", "fleet/u0000", f"{SETPOINT}=33", "--listen", "1s")[0] == 0
    code, shown = site("show", "fleet/u0000")
    assert (code, shown["signed"], shown["version"]) == (0, True, 1)
    forged = json.dumps({**shown, "hash": "00" * 32, "counters": [2**31, 2**31, 2**31]}).encode()
    for payload in (
        forged,
        make_payload("fleet/u0000", SEEDS[1], 99),
        make_payload("fleet/u0001", SEEDS[1], 99),
    ):
        publish(site, "fleet/u0000/cfg/reported", payload)
        refused = config("show", "fleet/u0000", *options)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "not accepted" in refused.stderr
    one = f"{site.folder}/one.key"
    pushed = config(
        "push", "fleet/*", f"{SETPOINT}=33.5", "--listen", "1s", *options, "--key", one, "--json"
    )
    assert "fleet/u0000: its report is not accepted" in pushed.stderr
    assert json.loads(pushed.stdout)["states"] == {"confirmed": 2}
    assert site.read_setpoints() == [33, 33.5, 33.5]


def test_another_published_configuration_is_not_used(signed_site: RemoteSite) -> None:
    site, options = signed_site, ["--broker", f"tcp:127.0.0.1:{signed_site.port}"]
    good = config("diff", "fleet/u0000", *options, "--json")
    assert (good.returncode, json.loads(good.stdout)["unit"]) == (0, "u0000")
    publish(site, "fleet/u0000/cfg/config", b"\xa1\x64unit\x65u0000")
    refused = config("diff", "fleet/u0000", *options)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "not that of its signed report" in refused.stderr
    tried = config("push", "fleet/u0000", f"{SETPOINT}=33", *options, "--dry-run", "--listen", "1s")
    assert "left out: its published configuration" in tried.stderr
    assert tried.returncode != 0


def test_a_unit_without_a_key_is_changed_in_a_fleet_of_its_own(
    signed_site: RemoteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, options = signed_site, ["--broker", f"tcp:127.0.0.1:{signed_site.port}"]
    manager = next(c for c in site.units[2].agent.components if isinstance(c, RemoteManager))
    manager.boot.unit_key = None  # a board
    manager.report.make_due()
    wanted = ["push", "fleet/u0002", f"{SETPOINT}=33", "--listen", "2s"]
    wait_until(
        "unsigned report",
        lambda: "it is not signed" in config("show", "fleet/u0002", *options).stderr,
    )
    refused = config(*wanted, *options, "--key", f"{site.folder}/one.key")
    assert (refused.returncode, site.read_setpoints()) == (2, [32, 32, 32])
    assert "it is not signed" in refused.stderr
    monkeypatch.setenv("COLDLOOP_LEDGER", str(site.folder / "boards" / "ledger.jsonl"))
    code, outcome = site(*wanted)
    assert (code, outcome["states"]) == (0, {"confirmed": 1})
    assert site.read_setpoints() == [32, 32, 33]


def swap_changes(site: RemoteSite, number: int, text: str) -> None:
    """Deliver another change of key 1 to a unit instead of each one, with its counter.

    The attacker holds key 1 and the network.
    """
    manager = next(c for c in site.units[number].agent.components if isinstance(c, RemoteManager))
    deliver, key = manager.queue.add, keys.load(site.folder / "one.key", "")

    def swap(data: bytes, now: int) -> None:
        message = unpack(data) if data else None
        if message is not None and message.kind == PATCH:
            counter_s = EPOCH_S + decode_patch(message.body).counter
            changes, version = change_parser.parse([text]), manager.boot.slots.version
            body = encode_patch(counter_s, version, counter_s + 3600, 3600, changes)
            base = canonical.hash_config(manager.boot.config)
            data = messages.sign_message(PATCH, f"fleet/u000{number}", base, body, [key])
        deliver(data, now)

    manager.queue.add = swap  # type: ignore[method-assign]


@pytest.mark.parametrize("change", [f"{SETPOINT}=33", f"{SETPOINT}=33 limits.leak_trips=true"])
def test_another_change_with_the_same_counter_is_not_confirmed(
    signed_site: RemoteSite, change: str
) -> None:
    site = signed_site
    swap_changes(site, 0, f"{SETPOINT}=31.5")
    keys_ = ["--key", f"{site.folder}/one.key", "--key", f"{site.folder}/two.key"]
    options = ["--broker", f"tcp:127.0.0.1:{site.port}", "--listen", "1s", "--json"]
    pushed = config("push", "fleet/u0000", *change.split(), *keys_, *options)
    outcome = json.loads(pushed.stdout)
    assert (pushed.returncode, outcome["states"]) == (1, {"failed": 1})
    assert "another change with the same counter" in outcome["failed"]["fleet/u0000"]
    assert site.read_setpoints() == [32, 32, 32]


def test_a_unit_reads_the_key_that_the_tool_made(tmp_path: Path) -> None:
    raw = fleet.configuration(0, 1, {"number": 1, "public": "00" * 32, "role": "operate"})
    raw["remote"]["port"] = f"store:{tmp_path}/store"
    (tmp_path / "unit.json").write_text(json.dumps(raw))
    made = json.loads(config("unit", "make", f"{tmp_path}/unit.json", "--json").stdout)

    def read(name: str) -> bytes | None:
        path = tmp_path / "store" / name
        return path.read_bytes() if path.exists() else None

    found = read_unit_key(read)
    assert found is not None
    assert found[1].hex() == made["public"]
    assert keys.public_hex(Ed25519PrivateKey.from_private_bytes(found[0])) == made["public"]
