# SPDX-License-Identifier: Apache-2.0
"""A start of `coldloop agent` runs an update from its slot, and rolls back one that fails."""

import ast
import hashlib
import io
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.remote.message import manifest
from agent.remote.storage import software_slots
from deploy.ops import keys
from deploy.release.bundle import is_dropped
from drivers.ports.address import parse_address
from drivers.ports.cpython.store import Store
from tests.support.cli_tools import wait_until
from tests.support.repository import ROOT

PIECE = manifest.MAX_CHUNK_BYTES
MARK = "release two is here"
GOOD = f'import sys; print("{MARK}", file=sys.stderr, flush=True)\n'
BAD = "raise SystemExit(9)\n"


def wheel(first_lines: str) -> bytes:
    """Return the packages of a controller as a zip, with code before the command dispatcher.

    What the bundle of a server leaves out is not in it, and no northbound servers: with comments
    and types it would have too many bytes.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for package in ("agent", "deploy", "drivers", "protocols"):
            for path in (ROOT / package).rglob("*"):
                name = path.relative_to(ROOT).as_posix()
                is_server = name.startswith("deploy/northbound/")
                if path.suffix in (".py", ".json") and not (is_server or is_dropped(name)):
                    archive.write(path, name)
        archive.writestr("hil/__init__.py", "")  # not that of this checkout
        archive.writestr("coldloop.py", first_lines + (ROOT / "coldloop.py").read_text())
    return out.getvalue()


def test_a_bundle_has_each_module_that_its_modules_import() -> None:
    names = {
        path.relative_to(ROOT).as_posix()
        for package in ("agent", "deploy", "drivers", "protocols")
        for path in (ROOT / package).rglob("*.py")
    }
    kept = {name for name in names if not is_dropped(name)}
    missing = set()
    for name in kept:
        body = ast.parse((ROOT / name).read_text(encoding="utf-8")).body
        blocks = [
            [*node.body, *(x for h in node.handlers for x in h.body)]
            for node in body
            if isinstance(node, ast.Try)
        ]
        for node in [*body, *(x for block in blocks for x in block)]:
            if isinstance(node, ast.ImportFrom) and node.module:
                base = node.module.replace(".", "/")
                found = [f"{base}.py", *(f"{base}/{part.name}.py" for part in node.names)]
                missing |= {(name, entry) for entry in found if entry in names - kept}
    assert missing == set()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    raw: dict[str, Any] = json.loads((ROOT / "deploy/examples/unit.json").read_text())
    raw["buses"] = dict.fromkeys(raw["buses"], "tcp:127.0.0.1:9")
    raw.pop("receiver", None)
    raw.pop("broker", None)
    (tmp_path / "store").mkdir()
    raw["state"] = f"store:{tmp_path}"
    made = [
        keys.make_key(tmp_path, "k", 1, "operate", ""),
        keys.make_key(tmp_path, "l", 2, "limits", ""),
    ]
    publics = [json.loads(path.read_text()) for path in made]
    raw["remote"] = {"port": f"store:{tmp_path}/store", "keys": publics}
    (tmp_path / "unit.json").write_text(json.dumps(raw))
    return tmp_path


def on_trial(site: Path, bundle: bytes) -> Store:
    """Write the records of a unit that has fetched `bundle` to the store."""
    store = Store(parse_address(f"store:{site}/store"))
    found = software_slots.ReleaseRecord()
    digest = hashlib.sha256(bundle).digest()
    found.start_fetch(software_slots.Release([0, 2, len(bundle), digest, b"", 7, 3600, [], PIECE]))
    for at in range(0, len(bundle), PIECE):
        store.write(software_slots.chunk_key(0, at), bundle[at : at + PIECE])
    for key, data in found.start_trial([]):
        store.write(key, data)
    return store


def start_agent(site: Path) -> "subprocess.Popen[bytes]":
    with (site / "log").open("ab") as log:
        command = [sys.executable, "-m", "coldloop", "agent", "--config", str(site / "unit.json")]
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, stderr=log, env=environment, cwd=site)


def is_running(site: Path) -> Callable[[], bool]:
    return (site / "status.json").exists


def exit_code(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(30)


def test_update_on_trial_is_started(site: Path) -> None:
    bundle = wheel(GOOD)
    assert len(bundle) < manifest.MAX_CHUNKS * PIECE
    store = on_trial(site, bundle)
    with start_agent(site) as process:
        wait_until("it runs", is_running(site))
        assert exit_code(process) == 0
    log_text = (site / "log").read_text()
    assert MARK in log_text
    assert "starting " in log_text
    found = software_slots.load_releases(store.read)
    assert found is not None
    assert found.trial is not None
    assert found.trial.starts == 1


def test_crashing_update_is_rolled_back(site: Path) -> None:
    store = on_trial(site, wheel(BAD))
    for _ in range(3):
        with start_agent(site) as process:
            assert process.wait(30) == 9
    with start_agent(site) as process:
        wait_until("the installed one runs", is_running(site))
        assert exit_code(process) == 0
    found = software_slots.load_releases(store.read)
    assert found is not None
    assert (found.trial, found.last) == (None, (7, "rolled_back", "crashed"))


def test_damaged_update_is_not_started(site: Path) -> None:
    store = on_trial(site, wheel(GOOD))
    store.write(software_slots.chunk_key(0, PIECE), b"damaged")
    with start_agent(site) as process:
        wait_until("the installed one runs", is_running(site))
        assert exit_code(process) == 0
    assert MARK not in (site / "log").read_text()
    found = software_slots.load_releases(store.read)
    assert found is not None
    assert found.last == (7, "rolled_back", "damaged")
